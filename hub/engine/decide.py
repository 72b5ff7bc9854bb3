"""`decide`: what one input means for one key. Pure: no clock, no I/O, the state unchanged; now is the input's `at`."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from hub.bus.log import Input, InputKind
from hub.engine import (
    absence,
    anchors,
    grants,
    introductions,
    period_ends,
    queued,
    quotes,
    rate_board,
    remembering,
    schedules,
)
from hub.engine.account_rows import NO_ACCOUNT, NOBODY, ClientRow
from hub.engine.ask import ask
from hub.engine.count import count
from hub.engine.courses import ACCOUNT_FIELDS
from hub.engine.crossing import by_mail, crossed, meet_position, observed, rebuild
from hub.engine.decision import NOTHING, Decision, apply
from hub.engine.fold import fold_account, fold_client
from hub.engine.holds import BACK, LOST, begin_anew, doubt_held, held_long_enough
from hub.engine.index import Program
from hub.engine.keys import KeyKind
from hub.engine.mail import Mail, decode_mail, send, tell_parts
from hub.engine.own import SLOTS, changed, quoted, told_of
from hub.engine.plans import Candidate, TypePlan
from hub.engine.position_levels import WATCH, belong, relay, watch, with_owner
from hub.engine.program import Absent, Becomes, PeriodEnd
from hub.engine.readers import CREATED
from hub.engine.rows import TimerKey
from hub.engine.run_rows import NO_EVENT as NO_RAW
from hub.engine.run_versions import MIGRATE, migrate
from hub.engine.runs import conclude
from hub.engine.scene import NO_EVENT, NONE_BROKEN, Broken, Scene
from hub.engine.starts import START, start
from hub.engine.state import KeyState
from hub.engine.stock import hear_of, restock, take_stock
from hub.engine.straight import absorb, straight
from hub.engine.totals import Alarm
from hub.engine.triggers import fire_in_time, turn_quietly
from hub.engine.values import ACCOUNT, CLIENT, Kind
from hub.engine.waits import decided, hear, look, rate_is_known, time_is_up
from hub.events.records import Envelope, decode_data, decode_envelope
from hub.events.watched import CROSSINGS, RELAYED, SYMBOL_QUOTED
from hub.ids import account_key

OBSERVED = "level.observed"
SAMPLED_LATE = "day.sampled"
EVENT, OUTCOME = int(InputKind.EVENT), int(InputKind.OUTCOME)
MAIL, COMMAND = int(InputKind.MAIL), int(InputKind.COMMAND)
APPROVAL = int(InputKind.APPROVAL)
TIMED = frozenset({Kind.HOLD.value, Kind.ABSENCE.value, Kind.PERIOD.value, Kind.SCHEDULE.value})
NO_BODY = bytes(NO_RAW)
NOBODYS = (NO_EVENT, NO_ACCOUNT, NOBODY)


def decide(program: Program, state: KeyState, item: Input) -> Decision:
    """Return what this input changes. With `again` set, time had something to change first: apply, then ask again."""
    try:
        return _decide(program, state, item, NONE_BROKEN)
    except Broken as problem:
        broken = {problem.part: problem.reason}
    while True:
        try:
            return _decide(program, state, item, broken)
        except Broken as problem:
            broken[problem.part] = problem.reason


def _decide(program: Program, state: KeyState, item: Input, broken: Mapping[str, str]) -> Decision:
    decision = Decision(item.partition, item.key, item.n, item.at)
    if state.by_mail:
        program = program.of(state.kind)
    scene = Scene(program, state, item, decision, broken)
    if state.alarm_due <= item.at:
        _elapse(scene)
        decision.again = True
    elif item.kind == EVENT:  # nearly always
        if item.key:
            _event(scene)
    else:
        _take(scene, item)
    if program.queued:
        queued.go_on(scene)
    return decision


def _take(scene: Scene, item: Input) -> None:
    if item.kind == MAIL:
        _mail(scene)
    elif item.kind == OUTCOME:
        conclude(scene)
    elif item.kind == APPROVAL:
        decided(scene)
    elif item.kind == COMMAND:
        command = COMMANDS.get(item.ref)
        if command is not None:
            command(scene)
    # A timer has done its work by being a moment; other commands are not the engine's.


def _sampled_late(scene: Scene) -> None:
    ask(scene, scene.program.no_event, anchors.sampled(scene))


def realign(program: Program, state: KeyState, item: Input) -> Decision:
    """Return what another set of workflows changes for a key before any input: its levels, its timers."""
    decision = Decision(item.partition, state.key, item.n, item.at)
    scene = Scene(program.of(state.kind), state, item, decision)
    if scene.program.looks_at_rows or not state.by_mail:
        restock(scene)
        tell_parts(scene, f"activated:{item.ref}")
    rebuild(scene)
    return decision


def advance(program: Program, state: KeyState, item: Input) -> list[Decision]:
    """Decide an input and apply what was decided; return the decisions, one unless time had passed."""
    told = straight(program, state, item)
    if told is not None:
        absorb(state, told)
        return [told]
    return advance_with_care(program, state, item)


def advance_with_care(program: Program, state: KeyState, item: Input) -> list[Decision]:
    """Do the same with what the straight way has left to the careful one, or would."""
    made: list[Decision] = []
    changed: tuple[str, ...] = ()
    while True:
        decision = decide(program, state, item)
        apply(state, decision)
        made.append(decision)
        if decision.writes is not NOTHING:
            changed += decision.writes.changed
        if not decision.again:
            break
    if changed and state.ledgers:
        booked = grants.settle(program, state, item, frozenset(changed))
        if booked is not None:
            apply(state, booked)
            made.append(booked)
    return made


def _event(scene: Scene) -> None:
    """Fold, count, then ask the triggers: in this order, so that a trigger sees the event it is asked about."""
    envelope = decode_envelope(scene.item.body)
    if envelope.account is None:
        return
    record = decode_data(envelope)
    scene.look_at(envelope, record, scene.item.body)
    plan = scene.program.for_type(envelope.type)
    dirty = fold_event(scene, plan, envelope, record)
    counted = count(scene, plan, envelope, record)
    if scene.program.looks_at_rows:
        counted += take_stock(scene, envelope, record, dirty)
    if scene.program.anchored:
        dirty = (*dirty, *anchors.note(scene, plan, (*dirty, *counted)))
    if envelope.type in CROSSINGS:
        crossed(scene, record)
    if scene.program.absents:
        _note_absences(scene, plan, first=scene.state.account is None)
    if scene.program.period_ends and scene.state.account is None:
        _await_ends(scene)
    if scene.program.schedules and scene.state.account is None:
        schedules.begin_first(scene)
    ask(scene, plan, (*dirty, *counted) if counted else dirty)
    if scene.state.open_runs:
        hear(scene)
        look(scene)
    if scene.program.remembered:
        remembering.remember(scene)
    if scene.program.granting:
        grants.hear(scene, envelope.type, record, (*dirty, *counted))
    if scene.program.mailed:
        send(scene, envelope, record, dirty)


def _mail(scene: Scene) -> None:
    """Count and ask for a key that is no account what one of its accounts has been through."""
    mail = decode_mail(scene.item.body)
    body = bytes(mail.event)
    if body == NO_BODY:
        _settle(scene, mail)
        return
    envelope = decode_envelope(body)
    record = decode_data(envelope)
    scene.look_at(envelope, record, body)
    scene.account = scene.account_before = mail.account
    plan = scene.program.for_type(envelope.type)
    dirty = fold_mail(scene, plan, envelope, record, mail)
    counted = count(scene, plan, envelope, record)
    if scene.program.crosses:
        by_mail(scene, envelope.type, record)
    if mail.parts:
        counted += hear_of(scene, account_key(mail.account.server, mail.account.login), mail.parts)
    if scene.program.anchored:
        new = () if scene.state.values else (CREATED,)
        dirty = (*dirty, *anchors.note(scene, plan, (*dirty, *counted, *new)))
    _begin_waiting(scene, plan, is_new=not scene.state.values)
    ask(scene, plan, (*dirty, *counted))
    if scene.state.open_runs:
        hear(scene)
        look(scene)
    if scene.program.remembered:
        remembering.remember(scene)


def _quoted(scene: Scene) -> None:
    """Take the first look at a symbol that somebody quotes: nobody need trade it for its levels to be watched."""
    if scene.state.kind is not KeyKind.SYMBOL:
        return
    plan, slot, is_new = scene.program.no_event, SLOTS[KeyKind.SYMBOL], not scene.state.values
    before = scene.state.values.get(slot)
    scene.own = quoted(scene.state.key, before, scene.item.body)
    dirty = changed(KeyKind.SYMBOL, before, scene.own)
    if dirty:
        scene.decision.puts[slot] = scene.own
    if scene.program.anchored:
        dirty = (*dirty, *anchors.note(scene, plan, (*dirty, CREATED) if is_new else dirty))
    _begin_waiting(scene, plan, is_new=is_new)
    ask(scene, plan, dirty)


def _begin_waiting(scene: Scene, plan: TypePlan, *, is_new: bool) -> None:
    if scene.program.absents:
        _note_absences(scene, plan, first=is_new)
    if scene.program.period_ends and is_new:
        _await_ends(scene)
    if scene.program.schedules:
        schedules.begin_first(scene)


def fold_mail(scene: Scene, plan: TypePlan, envelope: Envelope, record: Any, mail: Mail) -> tuple[str, ...]:
    """Fold an event into what a key that is no account knows; return what changed, as conditions name it."""
    dirty: tuple[str, ...] = ()
    if scene.state.kind is KeyKind.CLIENT:
        dirty = _fold_client(scene, plan, envelope, record, mail.client)
    else:
        scene.client = scene.client_before = mail.client or NOBODY
    return _fold_own(scene, envelope, record, mail) if scene.state.kind in SLOTS else dirty


def _fold_own(scene: Scene, envelope: Envelope, record: Any, mail: Mail) -> tuple[str, ...]:
    """Keep what the event tells of the position, symbol or group a key is; a position that is over is known once more."""
    kind = scene.state.kind
    slot = SLOTS[kind]
    before = scene.state.values.get(slot)
    if kind is KeyKind.POSITION:
        scene.own = with_owner(scene, mail.position, mail.account)
    else:
        scene.own = told_of(kind, scene.state.key, before, envelope, record, mail.account)
    dirty = changed(kind, before, scene.own)
    if mail.is_over:
        scene.decision.puts[slot] = None
    elif dirty:
        scene.decision.puts[slot] = scene.own
    return dirty


def _settle(scene: Scene, mail: Mail) -> None:
    """Take in what an account contributes that was there before, or has left: conditions turn, and fire only `on_first`."""
    if scene.state.kind is KeyKind.CLIENT and scene.state.client is None and mail.client is not None:
        scene.decision.puts[CLIENT] = scene.client = mail.client
    if scene.program.crosses:
        meet_position(scene, mail.position, mail.account, over=mail.is_over)
    names = hear_of(scene, account_key(mail.account.server, mail.account.login), mail.parts)
    for place in scene.program.candidates(scene.program.no_event, tuple(names)):
        found: list[Candidate] = []
        place.find(NOBODYS, NOBODYS, found, found)
        for candidate in found:
            if isinstance(candidate.trigger, Becomes):
                turn_quietly(scene, candidate, candidate.trigger)
    if scene.state.open_runs:
        look(scene)


def _note_absences(scene: Scene, plan: TypePlan, *, first: bool) -> None:
    for candidate in plan.absents:
        assert isinstance(candidate.trigger, Absent)
        absence.note(scene, candidate, candidate.trigger)
    if first:
        for candidate in scene.program.absents:
            assert isinstance(candidate.trigger, Absent)
            absence.begin_first(scene, candidate, candidate.trigger)


def _await_ends(scene: Scene) -> None:
    for candidate in scene.program.period_ends:
        assert isinstance(candidate.trigger, PeriodEnd)
        period_ends.begin_first(scene, candidate, candidate.trigger)


@lru_cache(maxsize=1024)
def _paths(changed: tuple[str, ...]) -> tuple[str, ...]:
    """Return fields of an account as conditions name them; the same few change together again and again."""
    return tuple(ACCOUNT_FIELDS[name] for name in changed)


def fold_event(scene: Scene, plan: TypePlan, envelope: Envelope, record: Any) -> tuple[str, ...]:
    """Fold the event into its account and client; return what changed, as conditions name it."""
    puts, state = scene.decision.puts, scene.state
    account, changed = fold_account(scene.account_before, envelope, record)
    dirty = _paths(changed)
    if state.account is None:
        dirty = (*dirty, CREATED, "account.server")
        puts[ACCOUNT] = account
    elif changed:
        puts[ACCOUNT] = account
    scene.account = account
    if plan.of_client:
        client, changed = fold_client(scene.client_before, envelope, record)
        if changed:
            puts[CLIENT] = client
            scene.client = client
            dirty = (*dirty, *(f"client.{name}" for name in changed))
    return dirty


def _fold_client(
    scene: Scene, plan: TypePlan, envelope: Envelope, record: Any, told: ClientRow | None
) -> tuple[str, ...]:
    """Fold the event into the client of all his accounts; the first mail brings what was known before there was a key."""
    known = scene.state.client
    client = known or told or ClientRow(id=scene.state.key.partition("=")[2])
    changed = client.__struct_fields__ if known is None else ()
    if plan.of_client:
        client, folded = fold_client(client, envelope, record)
        changed = (*changed, *folded)
    if changed:
        scene.decision.puts[CLIENT] = scene.client = client
    return tuple(f"client.{name}" for name in changed)


def _elapse(scene: Scene) -> None:
    """Let go what the windows have let go by now, ask the conditions that read them, and end the waits that are over."""
    state, now = scene.state, scene.item.at
    if state.by_mail and scene.program.crosses:
        belong(scene)
    scene.before_at = state.alarm_due - 1
    dirty: list[str] = []
    for name, alarm in state.of_kind(Kind.ALARM):
        assert isinstance(alarm, Alarm)
        if alarm.due > now:
            continue
        feed = scene.program.feeds.get(name)
        if feed is None or not feed.watched:
            scene.decision.puts[(Kind.ALARM, name)] = None
            scene.decision.writing().cancelled.append(TimerKey(state.partition, alarm.due, alarm.timer))
        else:
            scene.changed(feed, feed.accumulator.expire(scene.holding(feed), now))
            dirty.append(name)
    scene.event = NO_EVENT
    ask(scene, scene.program.no_event, tuple(dirty))
    if any(kind in TIMED for kind, _ in state.values):
        in_time = (
            *held_long_enough(scene),
            *absence.in_vain(scene),
            *period_ends.over(scene),
            *schedules.come(scene),
        )
    else:  # nearly always it is a window alone
        in_time = ()
    grants.elapse(scene, dirty)
    for candidate, cause, number, reason in in_time:
        fire_in_time(scene, candidate, number, cause, reason)
    if state.open_runs:
        time_is_up(scene)
        look(scene)


COMMANDS = {
    OBSERVED: observed,
    WATCH: watch,
    RELAYED: relay,
    SYMBOL_QUOTED: _quoted,
    SAMPLED_LATE: _sampled_late,
    LOST: doubt_held,
    BACK: begin_anew,
    START: start,
    introductions.KNOWN: introductions.meet,
    MIGRATE: migrate,
    quotes.TOLD: rate_board.told,
    quotes.WANTED: rate_board.wanted,
    quotes.KNOWN: rate_is_known,
}
