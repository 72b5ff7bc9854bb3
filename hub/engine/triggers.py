"""Asking a trigger: scope, edge, limit, then the run. The first no is the reason."""

from datetime import timedelta
from decimal import Decimal

from msgspec import UNSET

from hub.clock import MICROSECOND, iso, to_us
from hub.engine import queued
from hub.engine.decision import Trace, Verdict
from hub.engine.forking import MOST_OPEN
from hub.engine.holds import begin_held_level, begin_hold, let_go
from hub.engine.plans import Candidate, Plan, quoted
from hub.engine.program import Becomes, Crosses, OnEvent
from hub.engine.program_timed import Limit, Quiet
from hub.engine.quiet import NoClock, quiet_until
from hub.engine.run_rows import Cause
from hub.engine.runs import begin
from hub.engine.scene import Broken, Scene
from hub.engine.trigger_rows import Edge, Fires
from hub.engine.values import Kind
from hub.expr import UNKNOWN

MAX_DEPTH = 8
MOST_INSTANTS = 1_000  # of runs under a limit for ever: the row is written with each of them
UNTOUCHED = Edge(None, 0)
NEVER_FIRED = Fires(())


def on_event(scene: Scene, candidate: Candidate, trigger: OnEvent, *, in_scope: bool) -> None:
    """Fire when the event is one the trigger waits for; `in_scope`: the index has proved its scope already."""
    env = scene.env(candidate)
    if not in_scope and candidate.gate is not None and candidate.gate.test(env) is not True:
        return
    if trigger.where is not None and trigger.where.test(env) is not True:
        return
    assert scene.envelope is not None
    where = trigger.where
    reason = where.explain(env, answer=True) if where is not None else f"{scene.envelope.type} came in"
    fire(scene, candidate, scene.envelope.id, Cause(trigger.id, scene.now), reason, trigger.on_replay)


def becomes(scene: Scene, candidate: Candidate, trigger: Becomes, *, in_scope: bool) -> None:
    """Fire when the condition turns true. Where nothing is stored, how it stood before this input is worked out."""
    env = scene.env(candidate)
    stored = scene.state.values.get(candidate.edge)
    edge = stored if type(stored) is Edge else UNTOUCHED
    puts = scene.decision.puts
    if not in_scope and candidate.gate is not None and candidate.gate.test(env) is not True:
        if edge.value is not None:
            puts[candidate.edge] = Edge(None, edge.number)  # out of scope nobody follows it: forget
            let_go(scene, candidate.part)
        return
    now = trigger.condition.test(env)
    if now is False and edge.value is not True:
        return
    before = trigger.condition.test(scene.env_before(candidate)) if edge.value is None else edge.value
    if now is UNKNOWN:
        if edge.value is None and before is False:
            puts[candidate.edge] = Edge(False, edge.number)  # so that unknown in between hides no turn
        elif trigger.hold is not None and let_go(scene, candidate.part) is not None:
            puts[candidate.edge] = Edge(False, edge.number)  # nobody can say that it held all the time
        return
    if now is False:
        puts[candidate.edge] = Edge(False, edge.number)
        hold = let_go(scene, candidate.part) if trigger.hold is not None else None
        reason = trigger.condition.explain(env, answer=False)
        if hold is not None:
            reason += f"; it held since {iso(hold.since)}, not for {spoken(trigger.hold or timedelta())}"
        _armed(scene, candidate, reason, edge.number)
        return
    if before is True:
        return
    if before is UNKNOWN and not trigger.on_first:
        puts[candidate.edge] = Edge(True, edge.number)
        scene.follow(candidate)
        return
    number = edge.number + 1
    puts[candidate.edge] = Edge(True, number)
    scene.follow(candidate)
    reason = trigger.condition.explain(env, answer=True)
    if trigger.hold is not None:
        if not _is_skipped(scene, trigger.on_replay):
            begin_hold(scene, candidate, trigger.hold, number, reason)
        return
    fire(scene, candidate, str(number), Cause(trigger.id, scene.now), reason, trigger.on_replay)


def turn_quietly(scene: Scene, candidate: Candidate, trigger: Becomes) -> None:
    """Take over how a condition stands where what it reads was only now counted; `on_first` it may fire."""
    stored = scene.state.values.get(candidate.edge)
    if trigger.on_first and stored is None:
        becomes(scene, candidate, trigger, in_scope=False)
        return
    env = scene.env(candidate)
    if candidate.gate is not None and candidate.gate.test(env) is not True:
        return
    truth, edge = trigger.condition.test(env), stored if isinstance(stored, Edge) else UNTOUCHED
    if isinstance(truth, bool) and truth is not (edge.value is True):
        scene.decision.puts[candidate.edge] = Edge(truth, edge.number)
        if truth:
            scene.follow(candidate)
        else:
            let_go(scene, candidate.part)


def realign_edge(scene: Scene, candidate: Candidate) -> None:
    """Take over an edge as the condition stands now: an edited condition neither fires nor keeps the old answer."""
    edge = scene.state.values.get(candidate.edge)
    if isinstance(candidate.trigger, Becomes) and isinstance(edge, Edge) and edge.value is not None:
        truth = candidate.trigger.condition.test(scene.env(candidate))
        if isinstance(truth, bool) and truth is not edge.value:
            scene.decision.puts[candidate.edge] = Edge(truth, edge.number)
            if truth:
                scene.follow(candidate)


def fire_crossing(
    scene: Scene, candidate: Candidate, *, value: Decimal | None, limit: Decimal | None, reason: str
) -> None:
    """Go the way of any trigger for a level that was passed; the run is numbered as an edge."""
    env = scene.env(candidate)
    scope = candidate.gate
    if scope is not None and scope.test(env) is not True:
        return
    stored = scene.state.values.get(candidate.edge)
    number = (stored.number if isinstance(stored, Edge) else 0) + 1
    scene.decision.puts[candidate.edge] = Edge(True, number)
    trigger = candidate.trigger
    if isinstance(trigger, Crosses) and trigger.hold is not None:
        begin_held_level(scene, candidate, trigger.hold, number, reason, value=value, limit=limit)
        return
    cause = Cause(trigger.id, scene.now, value, limit)
    fire(scene, candidate, str(number), cause, reason, "fire")


def fire_in_time(scene: Scene, candidate: Candidate, number: str, cause: Cause, reason: str) -> None:
    """Fire because time has passed, if the key is in scope now."""
    if candidate.gate is None or candidate.gate.test(scene.env(candidate)) is True:
        fire(scene, candidate, number, cause, reason, "fire")


def fire(
    scene: Scene, candidate: Candidate, cause_name: str, cause: Cause, reason: str, on_replay: str
) -> None:
    """Start the run unless something holds it back, and keep the reason either way."""
    if _is_skipped(scene, on_replay):
        return  # history counts and starts nothing; a reason for each of a million events would help nobody
    plan = candidate.plan
    run_id = "/".join(
        [plan.prefix[:-1], quoted(scene.state.key), quoted(candidate.trigger.id), quoted(cause_name)]
    )
    held = _held_back(scene, candidate)
    event = scene.envelope.id if scene.envelope is not None else None
    if held is not None:
        trace = Trace(candidate.trigger.id, held, event, mode=plan.workflow.mode.value)
        scene.decision.trace(
            plan.workflow.id, f"{candidate.trigger.id}/{cause_name}", Verdict.HELD_BACK, trace
        )
        return
    broken = scene.broken.get(candidate.part)
    if broken is not None:
        trace = Trace(candidate.trigger.id, broken, event, run_id, mode=plan.workflow.mode.value)
        scene.decision.trace(plan.workflow.id, f"{candidate.trigger.id}/{cause_name}", Verdict.FAILED, trace)
        return
    if plan.workflow.queue is not None and queued.must_wait(scene, plan):
        queued.add(scene, candidate, run_id, cause, reason)
        return
    try:
        begin(scene, plan, run_id, cause, reason)
    except Exception as problem:
        raise Broken(candidate.part, f"{type(problem).__name__}: {problem}") from problem


def _is_skipped(scene: Scene, on_replay: str) -> bool:
    return on_replay == "skip" and scene.envelope is not None and scene.envelope.flags.replayed


def _held_back(scene: Scene, candidate: Candidate) -> str | None:
    plan, envelope = candidate.plan, scene.envelope
    cause = envelope.caused_by if envelope is not None else None
    own = envelope is not None and cause is not None and cause.startswith(plan.prefix)
    if own and envelope is not None and not plan.workflow.itself:
        return f"the workflow's own effect: {envelope.type} was caused by {cause}"
    if scene.depth >= MAX_DEPTH:
        return f"a chain of {scene.depth} workflows that caused each other: the limit is {MAX_DEPTH}"
    if len(scene.state.open_runs) >= MOST_OPEN:
        return f"{MOST_OPEN} runs of this key are open: the limit, for each is looked at with every event"
    limit, quiet = plan.workflow.limit, plan.workflow.quiet
    later = _disturbs(scene, candidate, quiet) if quiet is not None and quiet.skip else None
    later = later or _too_many(scene, plan)
    # What is not to disturb, or finds another open, is none that counts; but of several reasons the limit is told first.
    held = _limited(scene, candidate, limit, counts=later is None) if limit is not None else None
    return held or later


def _too_many(scene: Scene, plan: Plan) -> str | None:
    most = plan.workflow.most_open
    if most is None:
        return queued.full(scene, plan) if plan.workflow.queue is not None else None
    names = queued.open_now(scene, plan.workflow.id)
    return f"run: {len(names)} open already, and {most} may be: {names[0]}" if len(names) >= most else None


def _disturbs(scene: Scene, candidate: Candidate, quiet: Quiet) -> str | None:
    try:
        end = quiet_until(quiet, scene.now, scene.env(candidate))
    except NoClock as problem:
        return str(problem)
    return f"quiet hours until {iso(to_us(end))}" if end is not None else None


def _limited(scene: Scene, candidate: Candidate, limit: Limit, *, counts: bool) -> str | None:
    """Count this run against the limit if it `counts`, or say that it is used up. Shadow runs use up a limit of their own."""
    workflow = candidate.plan.workflow.id
    name = candidate.part if limit.per == "trigger" else workflow
    slot = (Kind.FIRES.value, f"{name}#shadow" if candidate.plan.shadow else name)
    stored = scene.decision.puts.get(slot) or scene.state.values.get(slot)
    fires = stored if isinstance(stored, Fires) else NEVER_FIRED
    now, before = scene.item.at, 0
    if limit.every is None:
        counted = fires.at
        before = fires.before if isinstance(fires.before, int) else 0
    else:
        since = now - limit.every // MICROSECOND
        counted = tuple(at for at in fires.at if at > since)
    per = "" if limit.per == "key" else f" of {candidate.trigger.id}"
    if before + len(counted) >= limit.max:
        if limit.every is None:
            return f"limit: {limit.max} run(s){per} for ever, the last at {iso(counted[-1])}"
        free = iso(counted[-limit.max] + limit.every // MICROSECOND)
        return f"limit: {limit.max} run(s){per} within {spoken(limit.every)}; free again at {free}"
    if counts:
        instants = (*counted, now)[-limit.max :]
        if limit.every is None:
            before += len(counted) + 1 - len(instants[-MOST_INSTANTS:])
            instants = instants[-MOST_INSTANTS:]
        scene.decision.puts[slot] = Fires(instants, before=before or UNSET)
    return None


def spoken(duration: timedelta) -> str:
    """Return a duration as a workflow file writes it: 30d, 1h, 90s."""
    seconds = duration // timedelta(seconds=1)
    for unit, length in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds and seconds % length == 0:
            return f"{seconds // length}{unit}"
    return f"{seconds}s"


def _armed(scene: Scene, candidate: Candidate, reason: str, number: int) -> None:
    event = scene.envelope.id if scene.envelope is not None else None
    scene.decision.trace(
        candidate.plan.workflow.id,
        f"{candidate.trigger.id}/{number}/armed",
        Verdict.ARMED,
        Trace(candidate.trigger.id, reason, event),
    )
