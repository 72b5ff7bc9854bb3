"""Runs begin where a trigger fires, and go on where what became of an action is known."""

from typing import Any

import msgspec

from hub.bus.log import InputKind
from hub.engine import grants
from hub.engine.account_rows import NOBODY
from hub.engine.answers import answer_from
from hub.engine.branches import Late
from hub.engine.code import Act
from hub.engine.decision import Trace, Verdict
from hub.engine.forking import Forking
from hub.engine.late import came_late, waited_for
from hub.engine.lost import give_up
from hub.engine.plans import Plan, quoted
from hub.engine.publishing import told
from hub.engine.remembering import came_before
from hub.engine.run_rows import NO_EVENT, Cause, OpenRun
from hub.engine.scene import Scene
from hub.engine.undoing import as_before
from hub.events.operations import ActionMoved
from hub.events.records import decode_data, decode_envelope
from hub.intents.intent import State
from hub.intents.outcome import Outcome, decode_outcome
from hub.intents.verbs import VERBS, Risk, ToCrm

SEMANTICS = 1  # raised by a fix that would decide differently; a run keeps the one it began with
LONGEST_NAME = 128
ACTION_EVENTS = {
    State.APPLIED: "action.applied",
    State.REJECTED: "action.rejected",
    State.UNKNOWN: "action.unknown",
    State.PARKED: "action.parked",
}


def begin(
    scene: Scene, plan: Plan, run_id: str, cause: Cause, reason: str, *, caused_by: str | None = None
) -> None:
    """Start a run with its first steps, and keep why. `caused_by`: not this input, but an earlier one."""
    item, workflow = scene.item, plan.workflow
    event = scene.envelope.id if scene.envelope is not None else None
    by_mail = scene.state.by_mail and bool(scene.account.login)
    before, lost = came_before(scene, plan, cause)
    begun = OpenRun(
        id=run_id,
        workflow=workflow.id,
        version=workflow.hash,
        cause=cause,
        at=item.at,
        position=0,
        waiting="",
        verb="",
        params=msgspec.Raw(b"{}"),
        results={},
        caused_by=caused_by or event or f"{InputKind(item.kind).name.lower()}:{item.ref}",
        depth=scene.depth,
        semantics=SEMANTICS,
        event=msgspec.Raw(scene.body) if scene.body is not None else NO_EVENT,
        account=scene.account if by_mail else None,
        client=scene.client if by_mail and scene.client is not NOBODY else None,
        mode=workflow.mode.value,
        before=before,
    )
    run = Forking(scene, plan, begun)
    verdict, problem = run.carry_on()
    if verdict is Verdict.DONE:
        verdict = Verdict.FIRED
    trace = Trace(
        cause.id,
        "; ".join(part for part in (reason, lost, problem) if part),
        event,
        run_id,
        run.intents,
        workflow.mode.value,
    )
    scene.decision.trace(workflow.id, run_id.removeprefix(plan.prefix), verdict, trace)


def conclude(scene: Scene) -> None:
    """Take in what became of an intent: tell it as an event, and carry on with the run that waited for it."""
    outcome = decode_outcome(scene.item.body)
    state = State(outcome.state)
    run = _waiting(scene, outcome.intent)
    late = waited_for(scene, outcome.intent) if run is None else None
    if run is not None and run.account is not None:  # as it was when the run began: this key knows no later
        scene.account, scene.client = run.account, scene.state.client or run.client or NOBODY
    booking = grants.learn(scene, outcome, state) if run is None and scene.state.ledgers else {}
    if state in ACTION_EVENTS and scene.program.hears(ACTION_EVENTS[state]):
        _tell(scene, outcome, state, run or late, booking)
    if late is not None:
        came_late(scene, late, outcome, state)
    if run is None or state is State.UNKNOWN:
        return
    plan = scene.program.version(run.version, run.workflow)
    if plan is None:
        give_up(scene, run, f"{outcome.verb} was {state.value}")
        return
    if bytes(run.event) != bytes(NO_EVENT):
        scene.event = decode_data(decode_envelope(run.event))
    scene.depth = run.depth
    carried = Forking(scene, plan, run)
    carried.forget_wait()
    if run.undoing is not None:
        verdict, reason = carried.taken_back(outcome, state)
        part = f"{outcome.intent.removeprefix(plan.prefix)}/{state.value}"
    else:
        act = plan.code[run.position]
        assert isinstance(act, Act)
        verdict, reason = _take_in(carried, act, outcome, state)
        part = f"{run.id.removeprefix(plan.prefix)}/{quoted(act.do.path)}/{state.value}"
    trace = Trace(run.cause.id, reason or f"{outcome.verb} was applied", None, run.id, carried.intents)
    scene.decision.trace(run.workflow, part, verdict, trace)


def _take_in(run: Forking, act: Act, outcome: Outcome, state: State) -> tuple[Verdict, str]:
    """Keep what came of the step the run waited for, and carry it on; return how it stands, with the reason."""
    do = act.do
    if do.verb.answers:
        answer = answer_from(do, outcome, state)
        run.answered(do, answer)
        outcome = msgspec.structs.replace(outcome, reason=answer.reason)
        return _go_on(run, act, outcome, state, ok=answer.ok)
    result = run.results[do.id or do.path] = {
        "ok": state in {State.APPLIED, State.DELIVERED} and not outcome.unverified,
        "state": state.value,
        "ticket": outcome.ticket,
        "reason": outcome.unverified or outcome.reason,
        "before": outcome.before,
        "after": outcome.after,
    }
    if state is State.APPLIED:
        run.applied(do, as_before(run.begun.asked or run.scene.account, outcome.before))
    return _go_on(run, act, outcome, state, ok=bool(result["ok"]))


def _go_on(run: Forking, act: Act, outcome: Outcome, state: State, *, ok: bool) -> tuple[Verdict, str]:
    """Carry the run on as the outcome says."""
    if ok:
        run.tried = 0
        run.position += 1
        verdict, reason = run.carry_on()
        done = f"{outcome.verb} was {state.value}, the run went on"
        return verdict, done if verdict is Verdict.FIRED else reason
    why = outcome.unverified or outcome.reason or "no reason given"
    reason = f"step {act.do.path}: {outcome.verb} was {state.value}: {why}"
    retry = act.do.retry
    if retry is not None and _may_be_asked_again(act, outcome, state) and run.try_again(retry):
        return Verdict.FIRED, f"{reason}; it is asked for again, {run.tried} of {retry.max} times"
    if run.goes_on_without(reason):
        verdict, problem = run.carry_on()
        return verdict, f"{reason}; the run went on" + (f"; {problem}" if problem else "")
    return run.fail(reason)


def _may_be_asked_again(act: Act, outcome: Outcome, state: State) -> bool:
    """Only what was surely not done, or does the same but once; of what is parked a person decides."""
    if state is State.APPLIED:  # and found wanting
        return act.do.verb.desired_state
    return state is State.REJECTED if act.do.verb.is_manager else outcome.again


def _waiting(scene: Scene, intent: str) -> OpenRun | None:
    return next((run for run in scene.state.open_runs if run.waiting == intent), None)


def _tell(
    scene: Scene, outcome: Outcome, state: State, run: OpenRun | Late | None, booking: dict[str, Any]
) -> None:
    verb = VERBS.get(outcome.verb)
    tells = verb is not None and (verb.risk is Risk.NOTIFY or issubclass(verb.params, ToCrm))
    data = ActionMoved(
        action=outcome.intent[:LONGEST_NAME],
        verb=outcome.verb,
        # What a message says is its receiver's: a code to sign in with must not go out with an event.
        params=msgspec.json.decode(run.params) if run is not None and not tells else {} if tells else booking,
        before=outcome.before,
        after=outcome.after,
        ticket=outcome.ticket,
        reason=outcome.reason[:2048] or None,
    )
    depth, key = run.depth if run is not None else 0, f"{outcome.intent}:{state.value}"
    fact = told(scene, ACTION_EVENTS[state], data, depth, key=key, caused_by=outcome.intent)
    scene.decision.writing().facts.append(fact)
