"""Runs that wait go on: when their time is up, when an event answers them, when their condition holds."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import msgspec

from hub.clock import from_us, iso
from hub.engine import approvals, grants
from hub.engine.account_rows import NO_ACCOUNT, NOBODY
from hub.engine.ballots import decode_ballot, refusal, rules_of
from hub.engine.code import Act
from hub.engine.decision import Trace, Verdict
from hub.engine.forking import Forking, Stands
from hub.engine.keys import KeyKind
from hub.engine.late import gave_up
from hub.engine.lost import give_up
from hub.engine.plans import Plan
from hub.engine.program_steps import Approve, Wait
from hub.engine.rate_board import answer_to, pair_of
from hub.engine.reads import matches
from hub.engine.run_rows import NO_EVENT, Approval, OpenRun, Waiting
from hub.engine.scene import NO_EVENT as NOTHING
from hub.engine.scene import Broken, Scene
from hub.engine.timed_rows import cancel_timer
from hub.engine.triggers import spoken
from hub.engine.values import Kind
from hub.events.records import decode_data, decode_envelope

MOST_EARLY = 20  # events a run remembers for the waits it has not come to: the first that may answer one
SECOND = timedelta(seconds=1)


def time_is_up(scene: Scene) -> None:
    """Carry on the runs whose wait is over by now, in order of time."""
    now = scene.item.at
    waits = [(run.wait, run) for run in scene.state.open_runs if run.wait is not None and run.wait.due <= now]
    for wait, run in sorted(waits, key=lambda each: (each[0].due, each[0].timer)):
        if (Kind.RUN.value, run.id) in scene.decision.puts:
            continue  # ended meanwhile, by another branch of its run
        plan = _plan(scene, run)
        if plan is None:
            give_up(scene, run, "its wait is over")
        elif not _is_broken(scene, run, plan):
            with _blaming(run):
                _end_wait(scene, run, plan, wait)


def hear(scene: Scene) -> None:
    """Let the runs of this key hear an event: one that is answered goes on, one that may be later remembers it."""
    if scene.body is None or scene.envelope is None:
        return
    name = scene.envelope.type
    for run, plan in _still_open(scene):
        step = plan.code[run.position]
        waits = run.wait is not None and isinstance(step, Wait) and _is_of(step, name)
        ahead = [
            each
            for each in plan.code[run.position + 1 : _until(run)]
            if isinstance(each, Wait) and _is_of(each, name)
        ]
        if not waits and not ahead:
            continue  # nearly always: nothing is decoded for it
        with _blaming(run):
            carried = _carried(scene, run, plan)
            if waits and isinstance(step, Wait) and carried.answered_by(step, scene.body) is True:
                _pass(scene, run, plan, carried, ok=True, reason=f"{name} came in", event=scene.body)
            elif len(run.early) < MOST_EARLY and any(
                each.from_start and carried.answered_by(each, scene.body) is not False for each in ahead
            ):
                early = [*run.early, msgspec.Raw(scene.body)]
                scene.decision.put_run(run.id, msgspec.structs.replace(run, early=early))


def look(scene: Scene) -> None:
    """Carry on the runs whose condition holds now."""
    for run, plan in _still_open(scene):
        _look_at(scene, run, plan)


def rate_is_known(scene: Scene) -> None:
    """Carry on the runs, and go on with the promises, that asked for this rate; where there is none, say why."""
    quote = answer_to(scene)
    if quote is None:
        return
    grants.rate_is_known(scene, quote)
    for run, plan in _still_open(scene):
        act = plan.code[run.position]
        if run.wait is None or run.wait.what != "rate" or not isinstance(act, Act):
            continue
        with _blaming(run):
            carried = _carried(scene, run, plan)
            if pair_of(act.do, carried.account) != quote.pair:
                continue
            if quote.problem:
                reason = f"step {act.do.path}: the amount is in {quote.source}: {quote.problem}; waits until {iso(run.wait.due)}"
                _keep(scene, run, plan, Verdict.HELD_BACK, reason, carried)
            else:
                _carry_on(scene, run, plan, carried, quote.spoken)


def look_again(scene: Scene, run: OpenRun, plan: Plan) -> None:
    """Carry a run on whose condition is another by now, and holds."""
    if not _is_broken(scene, run, plan):
        _look_at(scene, run, plan)


def _look_at(scene: Scene, run: OpenRun, plan: Plan) -> None:
    step = plan.code[run.position]
    if run.wait is None or not isinstance(step, Wait) or step.condition is None:
        return
    with _blaming(run):
        carried = _carried(scene, run, plan)
        env = carried.env()
        if step.condition.test(env) is True:
            _pass(scene, run, plan, carried, ok=True, reason=step.condition.explain(env))


def decided(scene: Scene) -> None:
    """Take in what a person said: the run goes on once enough have approved, or one has declined."""
    ballot = decode_ballot(scene.item.body)
    approval = approvals.find(scene, ballot.approval)
    run = scene.state.values.get((Kind.RUN.value, approval.run)) if approval is not None else None
    plan = _plan(scene, run) if isinstance(run, OpenRun) else None
    if approval is None or not isinstance(run, OpenRun):
        approvals.refuse(
            scene, ballot, None, "it is not open: it was decided, it expired, or its run is over"
        )
    elif plan is None:
        gone = f"version {run.version} of the workflow cannot be loaded any more"
        approvals.refuse(scene, ballot, approval, gone)
    elif not _is_broken(scene, run, plan):
        with _blaming(run):
            problem = refusal(ballot, rules_of(approval), scene.item.at)
            if problem is not None:
                approvals.refuse(scene, ballot, approval, problem)
                return
            approval, state = approvals.vote(scene, ballot.approval, approval, ballot)
            carried = _carried(scene, run, plan)
            reason = approvals.spoken(approval, state)
            if state == "open":
                _keep(scene, run, plan, Verdict.FIRED, reason, carried)
            else:
                _answer(scene, run, plan, carried, ballot.approval, approval, state, reason)


def _answer(
    scene: Scene,
    run: OpenRun,
    plan: Plan,
    carried: Forking,
    name: str,
    approval: Approval,
    state: str,
    reason: str,
) -> None:
    """Carry a run on with what people decided."""
    step = plan.code[run.position]
    assert isinstance(step, Approve)
    approvals.tell(carried.scene, name, approval, state, run.depth)
    if state == "approved":
        carried.approved |= approval.fixed
    carried.passed(step.id, approvals.result(approval, state, scene.item.at))
    _carry_on(scene, run, plan, carried, reason)


def _expire(scene: Scene, run: OpenRun, plan: Plan, carried: Forking, late: timedelta) -> None:
    step = plan.code[run.position]
    assert isinstance(step, Approve)
    name = approvals.approval_id(run.id, step.path)
    approval = approvals.find(scene, name)
    assert approval is not None
    approvals.close(scene, name, approval, "expired")
    reason = approvals.spoken(approval, "expired") + (f"; late_by {spoken(late)}" if late >= SECOND else "")
    if step.on_timeout == "reject":
        _answer(scene, run, plan, carried, name, approval, "expired", reason)
    else:
        approvals.tell(carried.scene, name, approval, "expired", run.depth)
        _cancel(scene, run)
        _keep(scene, run, plan, *carried.fail(reason), carried)


def _end_wait(scene: Scene, run: OpenRun, plan: Plan, wait: Waiting) -> None:
    carried = _carried(scene, run, plan)
    if wait.what == "retry":
        _carry_on(scene, run, plan, carried, f"asked for again, {run.tried} times so far")
        return
    if wait.what == "outcome":
        _cancel(scene, run)
        _keep(scene, run, plan, *gave_up(carried), carried)
        return
    if wait.what == "rate":
        _cancel(scene, run)
        _keep(scene, run, plan, *_without_rate(carried, wait), carried)
        return
    step = plan.code[run.position]
    late = from_us(scene.item.at) - from_us(wait.due)
    if isinstance(step, Approve):
        _expire(scene, run, plan, carried, late)
        return
    assert isinstance(step, Wait)
    reason = f"waited until {iso(wait.due)}" + (f", late_by {spoken(late)}" if late >= SECOND else "")
    if wait.what == "time":
        _pass(scene, run, plan, carried, ok=True, reason=reason)
    elif step.on_timeout == "continue":
        _pass(scene, run, plan, carried, ok=False, reason=reason)
    else:
        _cancel(scene, run)
        in_vain = f"{reason}, in vain"
        if step.on_timeout == "stop":
            verdict, _ = carried.stop(in_vain)
            _keep(scene, run, plan, verdict, in_vain, carried)
        else:
            _keep(scene, run, plan, *carried.fail(in_vain), carried)


def _without_rate(carried: Forking, wait: Waiting) -> Stands:
    act = carried.plan.code[carried.position]
    assert isinstance(act, Act)
    reason = f"step {act.do.path}: no rate was known until {iso(wait.due)}, and nothing was booked"
    if not carried.goes_on_without(reason):
        return carried.fail(reason)
    verdict, more = carried.carry_on()
    return verdict, f"{reason}; the run went on" + (f"; {more}" if more else "")


def _still_open(scene: Scene) -> Iterator[tuple[OpenRun, Plan]]:
    """Yield the runs this input has not carried on yet; one that broke on the way is ended instead."""
    for run in scene.state.open_runs:
        if (Kind.RUN.value, run.id) in scene.decision.puts:
            continue
        plan = _plan(scene, run)
        if plan is not None and not _is_broken(scene, run, plan):
            yield run, plan


def _is_broken(scene: Scene, run: OpenRun, plan: Plan) -> bool:
    """End a run that failed on our side when this input was decided before, and say so."""
    broken = scene.broken.get(run.id)
    if broken is None:
        return False
    carried = Forking(scene, plan, run)
    carried.break_off(broken)
    _keep(scene, run, plan, Verdict.FAILED, broken, carried)
    return True


@contextmanager
def _blaming(run: OpenRun) -> Iterator[None]:
    """Have whatever fails in here end this run and no other: the input is decided again without it."""
    try:
        yield
    except Exception as problem:
        raise Broken(run.id, f"{type(problem).__name__}: {problem}") from problem


def _plan(scene: Scene, run: OpenRun) -> Plan | None:
    return scene.program.version(run.version, run.workflow)


def _until(run: OpenRun) -> int | None:
    return run.branch.until if run.branch is not None else None


def _is_of(step: Wait, type_name: str) -> bool:
    return step.event is not None and matches(step.event, type_name)


def _carried(scene: Scene, run: OpenRun, plan: Plan) -> Forking:
    event = decode_data(decode_envelope(run.event)) if bytes(run.event) != bytes(NO_EVENT) else NOTHING
    about = scene.beside(event, run.depth)
    if scene.state.by_mail:  # whichever account the mail is from: this run is about the one it began with
        about.account = about.account_before = run.account or NO_ACCOUNT
        if scene.state.kind is not KeyKind.CLIENT:  # whose client is the key itself
            about.client = about.client_before = run.client or NOBODY
    return Forking(about, plan, run)


def _pass(
    scene: Scene,
    run: OpenRun,
    plan: Plan,
    carried: Forking,
    *,
    ok: bool,
    reason: str,
    event: bytes | None = None,
) -> None:
    """Go past the wait a run stands at."""
    step = plan.code[run.position]
    assert isinstance(step, Wait)
    carried.passed(step.id, {"ok": ok, "timed_out": not ok}, event)
    _carry_on(scene, run, plan, carried, reason)


def _carry_on(scene: Scene, run: OpenRun, plan: Plan, carried: Forking, reason: str) -> None:
    _cancel(scene, run)
    verdict, problem = carried.carry_on()
    _keep(scene, run, plan, verdict, f"{reason}; {problem}" if problem else reason, carried)


def _cancel(scene: Scene, run: OpenRun) -> None:
    assert run.wait is not None
    cancel_timer(scene, run.wait)


def _keep(scene: Scene, run: OpenRun, plan: Plan, verdict: Verdict, reason: str, carried: Forking) -> None:
    event = scene.envelope.id if scene.envelope is not None else None
    part = f"{run.id.removeprefix(plan.prefix)}/{run.position}/{verdict.value}"
    trace = Trace(run.cause.id, reason, event, run.id, carried.intents, run.mode)
    scene.decision.trace(run.workflow, part, verdict, trace)
