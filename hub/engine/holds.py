"""`for:` of a condition: it has to hold so long, over restarts, before its trigger fires."""

from datetime import timedelta

from hub.clock import MICROSECOND, from_us, iso
from hub.engine.index import Candidate
from hub.engine.program import Becomes
from hub.engine.rows import TimerKey, TimerRow
from hub.engine.scene import Scene
from hub.engine.state import Cause, Edge, Hold, Kind, Slot
from hub.engine.timers import TriggerTimer, timer_id

SECOND = timedelta(seconds=1)


def begin_hold(scene: Scene, candidate: Candidate, hold: timedelta, number: int, reason: str) -> None:
    """Have the condition hold from now on, with a timer that ends it."""
    now, key = scene.item.at, scene.state.key
    due = now + hold // MICROSECOND
    name = timer_id(key, f"{candidate.part}#{number}", due)
    scene.decision.puts[_slot(candidate.part)] = Hold(now, due, name, number, reason)
    body = TriggerTimer(candidate.part, due, "hold").encoded()
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
    due = [
        (hold.due, part)
        for part, _ in scene.state.of_kind(Kind.HOLD)
        if (hold := pending(scene, part)) is not None and hold.due <= now
    ]
    found: list[tuple[Candidate, Cause, str, str]] = []
    for _, part in sorted(due):
        hold = let_go(scene, part)
        workflow, _, trigger = part.rpartition("/")
        plan = scene.program.plans.get(workflow)
        candidate = plan.triggers.get(trigger) if plan is not None else None
        if hold is None or candidate is None or not isinstance(candidate.trigger, Becomes):
            continue  # its workflow is live no more
        late = from_us(now) - from_us(hold.due)
        reason = f"{hold.reason}, and has been since {iso(hold.since)}"
        if late >= SECOND:
            reason += f"; late_by {late // SECOND}s"
        found.append((candidate, Cause(trigger, scene.now), str(hold.number), reason))
    return found


def realign_holds(scene: Scene) -> None:
    """Let go what belongs to no live trigger, or to a condition that does not hold as it is written now."""
    live = {candidate.part: candidate for candidate in scene.program.becomes}
    for part, _ in scene.state.of_kind(Kind.HOLD):
        candidate = live.get(part)
        edge = scene.decision.puts.get(candidate.edge) if candidate is not None else None
        if candidate is None or (isinstance(edge, Edge) and edge.value is not True):
            let_go(scene, part)


def _end(scene: Scene, part: str, hold: Hold) -> None:
    scene.decision.puts[_slot(part)] = None
    scene.decision.writing().cancelled.append(TimerKey(scene.state.partition, hold.due, hold.timer))


def _slot(part: str) -> Slot:
    return Kind.HOLD.value, part
