"""Runs that wait go on: when their time is up, when an event answers them, when their condition holds."""

from collections.abc import Iterator
from typing import Any

import msgspec

from hub.clock import MICROSECOND, from_us, iso
from hub.engine.decision import Trace, Verdict
from hub.engine.index import Plan, matches
from hub.engine.program import Wait
from hub.engine.rows import TimerKey
from hub.engine.run import Run
from hub.engine.scene import NO_EVENT as NOTHING
from hub.engine.scene import Broken, Scene
from hub.engine.state import NO_EVENT, NOBODY, Kind, OpenRun
from hub.engine.triggers import spoken
from hub.events.records import decode_data, decode_envelope

MOST_EARLY = 20  # events a run remembers for the waits it has not come to


def time_is_up(scene: Scene) -> None:
    """Carry on the runs whose wait is over by now, in order of time."""
    now = scene.item.at
    due = [run for run in scene.state.open_runs if run.wait is not None and run.wait.due <= now]
    for run in sorted(
        due, key=lambda run: (run.wait.due, run.wait.timer) if run.wait is not None else (0, "")
    ):
        plan = _plan(scene, run)
        assert run.wait is not None
        if plan is None:
            _give_up(scene, run)
            continue
        if run.wait.what == "retry":
            _ask_again(scene, run, plan)
            continue
        step = plan.code[run.position]
        assert isinstance(step, Wait)
        late = from_us(now) - from_us(run.wait.due)
        reason = f"waited until {iso(run.wait.due)}" + (
            f", late_by {spoken(late)}" if late >= 1_000_000 * MICROSECOND else ""
        )
        timed_out = run.wait.what != "time"
        carried = _carried(scene, run, plan)
        if timed_out and step.on_timeout != "continue":
            _cancel(scene, run)
            in_vain = f"{reason}, in vain"
            if step.on_timeout == "stop":
                carried.end("done", in_vain)
                _keep(scene, run, plan, Verdict.DONE, in_vain, carried)
            else:
                _keep(scene, run, plan, *carried.fail(in_vain), carried)
            continue
        _go_on(scene, run, plan, carried, {"ok": not timed_out, "timed_out": timed_out}, reason)


def hear(scene: Scene) -> None:
    """Let the runs of this key hear an event: one that is answered goes on, one that may be later remembers it."""
    if not scene.state.open_runs or scene.body is None or scene.envelope is None:
        return
    for run, plan in _still_open(scene):
        step = plan.code[run.position]
        carried = _carried(scene, run, plan)
        if isinstance(step, Wait) and run.wait is not None and _holds(run, carried, step, scene.body):
            reason = f"{scene.envelope.type} came in"
            _go_on(scene, run, plan, carried, {"ok": True, "timed_out": False}, reason, scene.body)
            continue
        if len(run.early) < MOST_EARLY and _may_answer(plan, run.position + 1, scene.envelope.type):
            early = [*run.early, msgspec.Raw(scene.body)]
            scene.decision.put_run(run.id, msgspec.structs.replace(run, early=early))


def look(scene: Scene) -> None:
    """Carry on the runs whose condition holds now."""
    for run, plan in _still_open(scene):
        step = plan.code[run.position]
        if run.wait is None or not isinstance(step, Wait) or step.condition is None:
            continue
        carried = _carried(scene, run, plan)
        env = carried.env()
        if step.condition.test(env) is True:
            _go_on(scene, run, plan, carried, {"ok": True, "timed_out": False}, step.condition.explain(env))


def _still_open(scene: Scene) -> Iterator[tuple[OpenRun, Plan]]:
    for run in scene.state.open_runs:
        if (Kind.RUN.value, run.id) not in scene.decision.puts and (plan := _plan(scene, run)) is not None:
            yield run, plan


def _plan(scene: Scene, run: OpenRun) -> Plan | None:
    return scene.program.version(run.version, run.workflow)


def _may_answer(plan: Plan, position: int, type_name: str) -> bool:
    """Return whether a later wait of the run may be answered by an event of this type that has come already."""
    return any(
        isinstance(step, Wait)
        and step.from_start
        and step.event is not None
        and matches(step.event, type_name)
        for step in plan.code[position:]
    )


def _carried(scene: Scene, run: OpenRun, plan: Plan) -> Run:
    event = decode_data(decode_envelope(run.event)) if bytes(run.event) != bytes(NO_EVENT) else NOTHING
    about = scene.beside(event, run.depth)
    if run.account is not None and not about.account.login:
        about.account, about.client = run.account, scene.state.client or run.client or NOBODY
    return Run(about, plan, run)


def _holds(run: OpenRun, carried: Run, step: Wait, body: bytes) -> bool:
    try:
        return carried.answers(step, body)
    except Exception as problem:
        raise Broken(run.id, f"{type(problem).__name__}: {problem}") from problem


def _go_on(
    scene: Scene,
    run: OpenRun,
    plan: Plan,
    carried: Run,
    result: dict[str, Any],
    reason: str,
    event: bytes | None = None,
) -> None:
    step = plan.code[run.position]
    assert isinstance(step, Wait)
    carried.passed(step.id, result, event)
    _carry_on(scene, run, plan, carried, reason)


def _ask_again(scene: Scene, run: OpenRun, plan: Plan) -> None:
    _carry_on(scene, run, plan, _carried(scene, run, plan), f"asked for again, {run.tried} times so far")


def _carry_on(scene: Scene, run: OpenRun, plan: Plan, carried: Run, reason: str) -> None:
    _cancel(scene, run)
    broken = scene.broken.get(run.id)
    if broken is not None:
        carried.end("failed", broken)
        _keep(scene, run, plan, Verdict.FAILED, broken, carried)
        return
    try:
        verdict, problem = carried.carry_on()
    except Exception as error:
        raise Broken(run.id, f"{type(error).__name__}: {error}") from error
    _keep(scene, run, plan, verdict, f"{reason}; {problem}" if problem else reason, carried)


def _give_up(scene: Scene, run: OpenRun) -> None:
    """Leave a run where it is, whose version cannot be loaded, without asking again for ever."""
    scene.decision.put_run(run.id, msgspec.structs.replace(run, wait=None))
    _cancel(scene, run)
    reason = f"its wait is over, and version {run.version} of the workflow cannot be loaded any more"
    part = f"{run.id}/{run.position}/lost"
    scene.decision.trace(run.workflow, part, Verdict.FAILED, Trace(run.cause.id, reason, None, run.id))


def _cancel(scene: Scene, run: OpenRun) -> None:
    """Take a wait's timer away; one that has fired already is gone."""
    assert run.wait is not None
    timer = TimerKey(scene.state.partition, run.wait.due, run.wait.timer)
    scene.decision.writing().cancelled.append(timer)


def _keep(scene: Scene, run: OpenRun, plan: Plan, verdict: Verdict, reason: str, carried: Run) -> None:
    event = scene.envelope.id if scene.envelope is not None else None
    part = f"{run.id.removeprefix(plan.prefix)}/{run.position}/{verdict.value}"
    trace = Trace(run.cause.id, reason, event, run.id, carried.intents, plan.workflow.mode.value)
    scene.decision.trace(run.workflow, part, verdict, trace)
