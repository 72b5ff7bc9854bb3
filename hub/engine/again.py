"""Inputs of the log looked at once more, without asking any trigger: what they add to aggregates, and whom they concern."""

from hub.bus.log import Input, InputKind
from hub.engine.count import count
from hub.engine.decide import NO_BODY, fold_event, fold_mail
from hub.engine.decision import Decision
from hub.engine.index import Program
from hub.engine.mail import decode_mail, forward, send
from hub.engine.positions import fold_positions
from hub.engine.scene import Scene
from hub.engine.state import KeyState
from hub.events.records import decode_data, decode_envelope

EVENT, MAIL = int(InputKind.EVENT), int(InputKind.MAIL)


def recount(program: Program, state: KeyState, item: Input) -> Decision:
    """Return what an input adds to aggregates, asking no trigger: for those that are new and count what was."""
    decision = Decision(item.partition, item.key, item.n, item.at)
    scene = Scene(program.of(state.kind), state, item, decision)
    if item.kind == MAIL:
        mail = decode_mail(item.body)
        body = bytes(mail.event)
        if body == NO_BODY:
            return decision
        scene.account = scene.account_before = mail.account
    else:
        mail, body = None, item.body
    envelope = decode_envelope(body)
    if envelope.account is None and item.kind == EVENT:
        return decision
    record = decode_data(envelope)
    scene.look_at(envelope, record, body)
    plan = scene.program.for_type(envelope.type)
    if mail is not None:
        fold_mail(scene, plan, envelope, record, mail)
    else:
        fold_event(scene, plan, envelope, record)
        if scene.program.folds_positions:
            decision.puts.update(fold_positions(state, envelope, record).puts)
    count(scene, plan, envelope, record)
    return decision


def retell(program: Program, state: KeyState, item: Input) -> Decision:
    """Return whom an event concerns beside its account, which is folded and decides nothing: the mail about it."""
    if not item.key:
        return forward(program, item) or Decision(item.partition, "", item.n, item.at)
    decision = Decision(item.partition, item.key, item.n, item.at)
    scene = Scene(program, state, item, decision)
    envelope = decode_envelope(item.body)
    if envelope.account is not None:
        record = decode_data(envelope)
        scene.look_at(envelope, record, item.body)
        dirty = fold_event(scene, program.for_type(envelope.type), envelope, record)
        if program.folds_positions:
            scene.moved = fold_positions(state, envelope, record)
            decision.puts.update(scene.moved.puts)
        send(scene, envelope, record, dirty)
    return decision
