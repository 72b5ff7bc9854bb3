"""`run: queued`: at most one run of a key is open, and those that wait begin in the order they were asked for."""

import msgspec

from hub.bus.log import InputKind
from hub.clock import iso
from hub.engine.account_rows import NO_ACCOUNT, NOBODY
from hub.engine.decision import Trace, Verdict, encode_trace
from hub.engine.keys import KeyKind
from hub.engine.plans import Candidate, Plan
from hub.engine.roots import RunBody
from hub.engine.rows import RunRow
from hub.engine.run_rows import NO_EVENT, Cause, OpenRun, Queue, Queued
from hub.engine.runs import begin
from hub.engine.scene import NO_EVENT as NOTHING
from hub.engine.scene import Broken, Scene
from hub.engine.so_far import so_far
from hub.engine.values import Kind, Slot
from hub.events.records import decode_data, decode_envelope

EMPTY = Queue(())


def open_now(scene: Scene, workflow: str) -> list[str]:
    """Return the runs of a workflow that are open, with what this input has begun and ended so far."""
    runs = {run.id: run for run in scene.state.open_runs}
    for (kind, name), value in scene.decision.puts.items():
        if kind == Kind.RUN.value:
            runs.pop(name, None)
            if isinstance(value, OpenRun):
                runs[name] = value
    return [
        run.id for run in runs.values() if run.workflow == workflow and not run.lost and run.branch is None
    ]


def full(scene: Scene, plan: Plan) -> str | None:
    """Say that no further run may wait, if that is so."""
    most, waiting = plan.workflow.queue, _of(scene, plan.workflow.id).waiting
    if most is None or len(waiting) < most:
        return None
    return f"run: {len(waiting)} wait already, and {most} may: {waiting[0].run} is next"


def must_wait(scene: Scene, plan: Plan) -> bool:
    workflow = plan.workflow.id
    return bool(_of(scene, workflow).waiting or open_now(scene, workflow))


def add(scene: Scene, candidate: Candidate, run_id: str, cause: Cause, reason: str) -> None:
    """Have a run wait for its turn, with everything it was asked for by."""
    plan, item = candidate.plan, scene.item
    event = scene.envelope.id if scene.envelope is not None else None
    by_mail = scene.state.by_mail and bool(scene.account.login)
    asked = Queued(
        run=run_id,
        trigger=candidate.trigger.id,
        cause=cause,
        reason=reason,
        at=item.at,
        version=plan.workflow.hash,
        caused_by=event or f"{InputKind(item.kind).name.lower()}:{item.ref}",
        depth=scene.depth,
        event=msgspec.Raw(scene.body) if scene.body is not None else NO_EVENT,
        account=scene.account if by_mail else None,
        client=scene.client if by_mail and scene.client is not NOBODY else None,
    )
    before = _of(scene, plan.workflow.id).waiting
    if any(each.run == run_id for each in before):
        return
    _put(scene, plan.workflow.id, (*before, asked))
    ahead = [*open_now(scene, plan.workflow.id), *(each.run for each in before)]
    why = f"{reason}; waits for {len(ahead)} before it: {ahead[-1]}"
    _row(scene, plan.workflow.id, asked, "queued", why, plan.workflow.mode.value)
    _trace(scene, plan.workflow.id, asked, Verdict.QUEUED, why)


def go_on(scene: Scene) -> None:
    """Begin what waits, where the run before it has ended."""
    for workflow in scene.program.queued:
        plan = scene.program.plans[workflow]
        while (waiting := _of(scene, workflow).waiting) and not open_now(scene, workflow):
            _put(scene, workflow, waiting[1:])
            _begin(scene, plan, waiting[0])


def realign(scene: Scene) -> None:
    """Let nothing wait for a workflow that is live no more, or queues no more."""
    for workflow, queue in scene.state.of_kind(Kind.QUEUE):
        if workflow in scene.program.queued:
            continue
        assert isinstance(queue, Queue)
        for asked in queue.waiting:
            why = "never begun: its workflow is not live any more, or no longer queues its runs"
            _row(scene, workflow, asked, "done", why, "")
            _trace(scene, workflow, asked, Verdict.HELD_BACK, why)
        _put(scene, workflow, ())


def _begin(scene: Scene, plan: Plan, asked: Queued) -> None:
    broken = scene.broken.get(asked.run)
    if broken is not None:
        _row(scene, plan.workflow.id, asked, "failed", broken, plan.workflow.mode.value)
        _trace(scene, plan.workflow.id, asked, Verdict.FAILED, broken)
        return
    try:
        reason = f"{asked.reason}; waited since {iso(asked.at)}"
        begin(_about(scene, asked), plan, asked.run, asked.cause, reason, caused_by=asked.caused_by)
    except Exception as problem:
        raise Broken(asked.run, f"{type(problem).__name__}: {problem}") from problem


def _about(scene: Scene, asked: Queued) -> Scene:
    """Return the scene the run was asked for in: its event and account, and everything else as it is now."""
    about = scene.beside(NOTHING, asked.depth)
    if bytes(asked.event) != bytes(NO_EVENT):
        body = bytes(asked.event)
        envelope = decode_envelope(body)
        about.look_at(envelope, decode_data(envelope), body)
    if scene.state.by_mail:
        about.account = about.account_before = asked.account or NO_ACCOUNT
        if scene.state.kind is not KeyKind.CLIENT:
            about.client = about.client_before = asked.client or NOBODY
    return about


def _of(scene: Scene, workflow: str) -> Queue:
    return so_far(scene, _slot(workflow), Queue) or EMPTY


def _put(scene: Scene, workflow: str, waiting: tuple[Queued, ...]) -> None:
    scene.decision.puts[_slot(workflow)] = Queue(waiting) if waiting else None


def _row(scene: Scene, workflow: str, asked: Queued, state: str, reason: str, mode: str) -> None:
    body = encode_trace(RunBody(asked.cause, asked.caused_by, mode, {}, reason))
    key, partition = scene.state.key, scene.state.partition
    row = RunRow(partition, asked.run, key, workflow, asked.version, state, asked.at, body)
    scene.decision.writing().runs.append(row)


def _trace(scene: Scene, workflow: str, asked: Queued, verdict: Verdict, reason: str) -> None:
    event = scene.envelope.id if scene.envelope is not None else None
    trace = Trace(asked.trigger, reason, event, asked.run)
    scene.decision.trace(workflow, f"{asked.run}/{verdict.value}", verdict, trace)


def _slot(workflow: str) -> Slot:
    return Kind.QUEUE.value, workflow
