"""`for:` of a condition or a level: it has to hold so long, over restarts, before its trigger fires."""

from datetime import timedelta
from decimal import Decimal

import msgspec

from hub.bus.log import InputKind
from hub.clock import MICROSECOND, from_us, iso
from hub.engine.decision import Trace, Verdict
from hub.engine.plans import Candidate
from hub.engine.program import Becomes, Crosses
from hub.engine.rows import TimerKey, TimerRow
from hub.engine.scene import Scene
from hub.engine.state import Cause, Edge, Hold, Kind, Slot
from hub.engine.timers import TriggerTimer, timer_id

SECOND = timedelta(seconds=1)
LOST, BACK = (
    "feed.lost",
    "feed.back",
)  # what the watcher tells of an account whose samples it can no longer vouch for


def begin_hold(scene: Scene, candidate: Candidate, hold: timedelta, number: int, reason: str) -> None:
    """Have the condition hold from now on, with a timer that ends it."""
    _begin(scene, candidate.part, Hold(0, 0, "", number, reason), hold // MICROSECOND)


def begin_held_level(
    scene: Scene,
    candidate: Candidate,
    hold: timedelta,
    number: int,
    reason: str,
    *,
    value: Decimal | None,
    limit: Decimal | None,
) -> None:
    """Have a level stay passed from now on; what it was passed with is what its trigger will tell."""
    span = hold // MICROSECOND
    _begin(scene, candidate.part, Hold(0, 0, "", number, reason, value=value, limit=limit, span=span), span)


def doubt_held(scene: Scene) -> None:
    """Stop the levels that are passed for a while: nobody sees now whether they stay so."""
    for part, candidate, hold in _held(scene):
        if hold.timer:
            _end(scene, part, hold)
            doubted = msgspec.structs.replace(hold, due=0, timer="", unproven=True)
            scene.decision.puts[_slot(part)] = doubted
            reason = f"{hold.reason}; the feed was away, and `for` begins anew when it is back"
            scene.decision.trace(
                candidate.plan.workflow.id,
                f"{candidate.trigger.id}/{hold.number}/unproven",
                Verdict.HELD_BACK,
                Trace(candidate.trigger.id, reason),
            )


def begin_anew(scene: Scene) -> None:
    """Begin to count again for the levels that stopped, which are still passed as far as anybody knows."""
    for part, _, hold in _held(scene):
        if hold.unproven is True and isinstance(hold.span, int):
            _begin(scene, part, msgspec.structs.replace(hold, unproven=msgspec.UNSET), hold.span)


def _held(scene: Scene) -> list[tuple[str, Candidate, Hold]]:
    found: list[tuple[str, Candidate, Hold]] = []
    for part, _ in sorted(scene.state.of_kind(Kind.HOLD), key=lambda each: each[0]):
        candidate, hold = _candidate(scene, part), pending(scene, part)
        held = candidate is not None and isinstance(candidate.trigger, Crosses) and candidate.trigger.is_held
        if candidate is not None and hold is not None and held:
            found.append((part, candidate, hold))
    return found


def _begin(scene: Scene, part: str, hold: Hold, span: int) -> None:
    now, key = scene.item.at, scene.state.key
    due = now + span
    name = timer_id(key, f"{part}#{hold.number}", due)
    scene.decision.puts[_slot(part)] = msgspec.structs.replace(hold, since=now, due=due, timer=name)
    body = TriggerTimer(part, due, "hold").encoded()
    scene.decision.writing().timers.append(TimerRow(scene.state.partition, due, name, key, "hold", body))


def pending(scene: Scene, part: str) -> Hold | None:
    """Return the hold of a trigger that has not come to its end."""
    slot = _slot(part)
    found = scene.decision.puts[slot] if slot in scene.decision.puts else scene.state.values.get(slot)
    return found if isinstance(found, Hold) else None


def let_go(scene: Scene, part: str) -> Hold | None:
    """End a hold before its time, if there is one."""
    hold = pending(scene, part)
    if hold is not None:
        _end(scene, part, hold)
    return hold


def held_long_enough(scene: Scene) -> list[tuple[Candidate, Cause, str, str]]:
    """End the holds that are over by now; return whom to fire for them: the cause, its number and the reason."""
    now = scene.item.at
    if scene.item.kind == InputKind.COMMAND and scene.item.ref == LOST:  # nobody saw whether they held
        doubt_held(scene)
    due = [
        (hold.due, part)
        for part, _ in scene.state.of_kind(Kind.HOLD)
        if (hold := pending(scene, part)) is not None and hold.timer and hold.due <= now
    ]
    found: list[tuple[Candidate, Cause, str, str]] = []
    for _, part in sorted(due):
        hold = let_go(scene, part)
        candidate = _candidate(scene, part)
        if hold is None or candidate is None or not isinstance(candidate.trigger, Becomes | Crosses):
            continue  # its workflow is live no more
        late = from_us(now) - from_us(hold.due)
        is_far = scene.state.by_mail and isinstance(candidate.trigger, Crosses) and candidate.trigger.is_held
        if is_far and late >= SECOND and isinstance(hold.span, int):
            # Word that a position was lost from sight comes by its account, and may be behind a timer that waited for us.
            _begin(scene, part, hold, hold.span)
            continue
        reason = f"{hold.reason}, and has been since {iso(hold.since)}"
        if late >= SECOND:
            reason += f"; late_by {late // SECOND}s"
        value = hold.value if isinstance(hold.value, Decimal) else None
        limit = hold.limit if isinstance(hold.limit, Decimal) else None
        cause = Cause(candidate.trigger.id, scene.now, value, limit)
        found.append((candidate, cause, str(hold.number), reason))
    return found


def realign_holds(scene: Scene) -> None:
    """Let go what belongs to no live trigger, or to a condition that does not hold as it is written now."""
    live = {candidate.part: candidate for candidate in scene.program.becomes}
    for part, _ in scene.state.of_kind(Kind.HOLD):
        level = _candidate(scene, part)
        if level is not None and isinstance(level.trigger, Crosses) and level.trigger.hold is not None:
            continue  # it is let go with its level
        candidate = live.get(part)
        edge = scene.decision.puts.get(candidate.edge) if candidate is not None else None
        if candidate is None or (isinstance(edge, Edge) and edge.value is not True):
            let_go(scene, part)


def _end(scene: Scene, part: str, hold: Hold) -> None:
    scene.decision.puts[_slot(part)] = None
    if hold.timer:
        scene.decision.writing().cancelled.append(TimerKey(scene.state.partition, hold.due, hold.timer))


def _candidate(scene: Scene, part: str) -> Candidate | None:
    workflow, _, trigger = part.rpartition("/")
    plan = scene.program.plans.get(workflow)
    return plan.triggers.get(trigger) if plan is not None else None


def _slot(part: str) -> Slot:
    return Kind.HOLD.value, part
