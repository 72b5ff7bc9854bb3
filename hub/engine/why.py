"""Why a workflow did or did not act for a key: the decisions that were kept, and how each trigger stands now."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from hub.bus.log import Input, InputKind
from hub.clock import iso
from hub.engine import absence, anchors, schedules
from hub.engine.account_rows import NOBODY
from hub.engine.decision import Decision, decode_trace
from hub.engine.distance import Distance, between, distances
from hub.engine.grant_standing import stands
from hub.engine.holds import HOLDS
from hub.engine.index import Program
from hub.engine.keys import KeyedBy, KeyKind, form_of, partition_of
from hub.engine.levels import ARMED, CROSSED, GONE, NEW, Limits, Seen, beyond, limits, peaks_of, plain
from hub.engine.period_ends import standing as period_stands
from hub.engine.plans import Candidate
from hub.engine.program import Absent, Becomes, Crosses, OnEvent, PeriodEnd
from hub.engine.program_timed import Limit, Manual, Schedule
from hub.engine.reads import matches
from hub.engine.rows import EngineStore, KeyRows, LevelRow
from hub.engine.scene import NO_EVENT, Scene
from hub.engine.state import KeyState
from hub.engine.trailing import level_id, told
from hub.engine.trigger_rows import Fires, Level
from hub.engine.triggers import spoken
from hub.engine.values import Kind
from hub.events.records import decode_data, decode_envelope
from hub.events.watched import decode_rule

MOST_TRACES = 100
DECIDED_WITHIN = (
    600_000_000  # µs: a decision bears the moment of its event, by another key that of the mail about it
)
STANDS = {NEW: "not seen yet", ARMED: "not crossed", CROSSED: "crossed, and not recovered since"}


@dataclass(frozen=True, slots=True)
class Kept:
    """One decision that was worth keeping."""

    at: int
    verdict: str
    trigger: str
    reason: str
    event: str | None
    run: str | None
    intents: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Standing:
    """How one trigger stands: whether it would fire, and the sentence that says why not or how far it is."""

    trigger: str
    holds: bool | None
    reason: str
    remains: tuple[Distance, ...] = ()  # how far it is, where that is a matter of more or less


@dataclass(frozen=True, slots=True)
class Answer:
    workflow: str
    key: str
    kept: tuple[Kept, ...]
    standing: tuple[Standing, ...]

    def lines(self) -> list[str]:
        """Return the answer as sentences, the latest decision first."""
        told = [
            f"{iso(kept.at)} {kept.verdict}: {kept.trigger}: {kept.reason}"
            + "".join(f"\n    asked for {intent}" for intent in kept.intents)
            for kept in self.kept
        ]
        return told + [f"now {standing.trigger}: {standing.reason}" for standing in self.standing]


async def why(
    store: EngineStore,
    program: Program,
    workflow: str,
    key: str,
    *,
    now_us: int,
    event: Input | None = None,
    at: int | None = None,
    sample: Seen | None = None,
    pin: Callable[[Program, KeyState], Awaitable[None]] | None = None,
) -> Answer:
    """Answer for a workflow and a key: for one event of the log, for what was decided up to a time, or for now.

    `pin` has the versions at hand that promises were made by. What was decided is read from the traces. A plain no leaves none: it is explained with the event against the
    state as it is now.
    """
    until = None if at is None else at + 1
    if event is not None and until is None:  # however much was decided since
        until = event.at + DECIDED_WITHIN
    rows = await store.traces(workflow=workflow, key=key, limit=MOST_TRACES, before=until)
    kept = []
    for row in rows:
        trace = decode_trace(row.body)
        if event is None or trace.event == event.ref:
            kept.append(
                Kept(
                    row.at,
                    row.outcome,
                    trace.trigger,
                    trace.reason,
                    trace.event,
                    trace.run,
                    tuple(trace.intents),
                )
            )
    state, levels = await _load(store, key)
    if pin is not None and state.ledgers:
        await pin(program, state)
    heard = state.account is not None or state.by_mail
    other = heard and event is not None and event.key != key
    account = (await _load(store, event.key))[0] if other and event is not None else None
    stands = standing(program, workflow, state, now_us, event, sample, account, levels)
    return Answer(workflow, key, tuple(kept), tuple(stands))


async def _load(store: EngineStore, key: str) -> tuple[KeyState, Sequence[LevelRow]]:
    partition = partition_of(key)
    found = (await store.load([(partition, key)])).get(key, KeyRows((), (), ()))
    return KeyState.from_rows(partition, key, found), found.levels


def standing(
    program: Program,
    workflow: str,
    state: KeyState,
    now_us: int,
    event: Input | None = None,
    sample: Seen | None = None,
    account: KeyState | None = None,
    levels: Sequence[LevelRow] = (),
) -> Sequence[Standing]:
    """Return how each trigger of a workflow stands for a key, in the order of evaluation: the first no is the reason.

    `account` is what is known of the event's, where the key is another; `levels` are the rows of the key, which say how
    far peaks have come since the engine was told of them.
    """
    whole, program = program, program.of(state.kind)
    plan = program.plans.get(workflow)
    if plan is None:
        return [Standing("", False, _why_not_live(whole, workflow, state.kind))]
    item = Input(state.partition, 0, now_us, InputKind.COMMAND, state.key, "why", None, b"")
    scene = Scene(program, state, item, Decision(state.partition, state.key, 0, now_us))
    kind = None
    if event is not None and event.kind == InputKind.EVENT:
        envelope = decode_envelope(event.body)
        scene.event, kind = decode_data(envelope), envelope.type
        if account is not None and account.account is not None:
            scene.account = account.account
            scene.client = scene.state.client or account.client or NOBODY
    grant = plan.workflow.grant
    if grant is not None:
        name = f"grant {grant.id}"
        if not state.values:
            return [Standing(name, False, f"nothing was ever heard of {state.key}")]
        return [Standing(name, holds, reason) for holds, reason in stands(scene, plan, grant)]
    return [_standing(scene, candidate, kind, sample, levels) for candidate in plan.triggers.values()]


def _why_not_live(program: Program, workflow: str, kind: KeyedBy) -> str:
    for other in program.kinds:
        plan = program.of(other).plans.get(workflow) if other != kind else None
        if plan is not None:
            return f"the workflow is kept by {plan.workflow.kept_by}: ask with {form_of(other)}"
    return "the workflow is off" if workflow in program.of(kind).workflows else "no such workflow is live"


def _standing(
    scene: Scene, candidate: Candidate, kind: str | None, sample: Seen | None, levels: Sequence[LevelRow]
) -> Standing:
    name = candidate.trigger.id
    if not scene.state.values:
        return Standing(name, False, f"nothing was ever heard of {scene.state.key}")
    env = scene.env(candidate)
    env["now"] = scene.now
    scope = candidate.gate
    if scope is not None and scope.test(env) is not True:
        return Standing(name, False, f"scope: {scope.explain(env)}", tuple(distances(scope, env)))
    trigger = candidate.trigger
    remains: Sequence[Distance] = ()
    if isinstance(trigger, OnEvent):
        holds, reason = _event_stands(trigger, env, kind)
        if holds is False and trigger.where is not None and kind is not None and matches(trigger.event, kind):
            remains = distances(trigger.where, env)
    elif isinstance(trigger, Becomes):
        truth = trigger.condition.test(env)
        remains = distances(trigger.condition, env)
        holds = truth if isinstance(truth, bool) else None
        reason = trigger.condition.explain(env)
        if (hold := HOLDS.of(scene, candidate.part)) is not None:
            reason += f"; fires at {iso(hold.due)}, if it holds till then"
    elif isinstance(trigger, Absent):
        holds, reason = None, absence.standing(scene, candidate, trigger)
    elif isinstance(trigger, PeriodEnd):
        holds, reason = None, period_stands(scene, candidate, trigger)
    elif isinstance(trigger, Schedule):
        holds, reason = None, schedules.standing(scene, candidate, trigger)
    elif isinstance(trigger, Manual):
        holds, reason = None, "waits for somebody who asks for it"
    else:
        holds, reason = _level_stands(scene, candidate, trigger, sample, levels)
        remains = _to_level(scene, candidate, trigger, sample, levels)
    limit = candidate.plan.workflow.limit
    used = _used(scene, candidate, limit) if limit is not None else ""
    return Standing(name, holds, reason + used, tuple(remains))


def _event_stands(trigger: OnEvent, env: dict[str, Any], kind: str | None) -> tuple[bool | None, str]:
    if kind is None or env["event"] is NO_EVENT:
        return None, f"waits for {trigger.event}"
    if not matches(trigger.event, kind):
        return False, f"waits for {trigger.event}, and this is {kind}"
    if trigger.where is None:
        return True, f"{kind} came in"
    truth = trigger.where.test(env)
    return (truth if isinstance(truth, bool) else None), f"where: {trigger.where.explain(env)}"


def _level_stands(
    scene: Scene, candidate: Candidate, trigger: Crosses, sample: Seen | None, levels: Sequence[LevelRow]
) -> tuple[bool | None, str]:
    name = level_id(candidate.plan.workflow.id, trigger.id, scene.state.key)
    level = scene.state.values.get((Kind.LEVEL, name))
    condition = f"{trigger.watched} {trigger.side} {trigger.limit.text}"
    if not isinstance(level, Level) or level.state == GONE:
        missing = [anchors.standing(scene, each) for each in candidate.binding.anchors]
        because = "; ".join(["no level is watched, because its limit is not known", *missing])
        return None, f"{condition}: {because}"
    at = _limits(level, name, levels)
    if at is None:
        return None, f"{condition}: the limit follows a peak, and no sample has been seen yet"
    holding = _holding(scene, candidate)
    value = sample.of(level.field) if sample is not None else None
    if value is not None:
        holds = beyond(level.side, at.threshold, value, inclusive=at.inclusive)
        sign = ("<" if level.side == "below" else ">") + ("=" if at.inclusive else "")
        stands = f"is {str(holds).lower()} ({value} {sign} {plain(at.threshold)})"
        return holds, f"{condition} {stands}" + (f"; {STANDS[level.state]}{holding}" if holds else "")
    rearm = "" if at.rearm == at.threshold else f", armed again at {plain(at.rearm)}"
    return (
        level.state == CROSSED,
        f"{condition}: {plain(at.threshold)}, {STANDS[level.state]}{rearm}{holding}",
    )


def _limits(level: Level, name: str, levels: Sequence[LevelRow]) -> Limits | None:
    row = next((row for row in levels if row.level_id == name), None)
    if row is not None:
        return limits(row, peaks_of(levels))
    if not level.threshold:
        return None
    inclusive = decode_rule(told(level.rule)).inclusive
    return Limits(Decimal(level.threshold), Decimal(level.rearm), inclusive)


def _holding(scene: Scene, candidate: Candidate) -> str:
    hold = HOLDS.of(scene, candidate.part)
    if hold is None:
        return ""
    if not hold.timer:
        again = "symbol is quoted" if scene.program.kind is KeyKind.SYMBOL else "account is seen"
        return f"; the feed was away: it begins to count when the {again} again"
    return f"; fires at {iso(hold.due)}, if it stays so till then"


def _to_level(
    scene: Scene, candidate: Candidate, trigger: Crosses, sample: Seen | None, levels: Sequence[LevelRow]
) -> tuple[Distance, ...]:
    name = level_id(candidate.plan.workflow.id, trigger.id, scene.state.key)
    level = scene.state.values.get((Kind.LEVEL, name))
    value = sample.of(trigger.field) if sample is not None else None
    if not isinstance(level, Level) or level.state == GONE or value is None:
        return ()
    at = _limits(level, name, levels)
    far = between(trigger.watched, level.side, value, at.threshold) if at is not None else None
    return (far,) if far is not None else ()


def _used(scene: Scene, candidate: Candidate, limit: Limit) -> str:
    name = candidate.part if limit.per == "trigger" else candidate.plan.workflow.id
    fires = scene.state.values.get((Kind.FIRES, f"{name}#shadow" if candidate.plan.shadow else name))
    if not isinstance(fires, Fires) or not fires.at:
        return ""
    every = "for ever" if limit.every is None else f"within {spoken(limit.every)}"
    return f" (limit {limit.max} {every}: last ran {iso(fires.at[-1])})"
