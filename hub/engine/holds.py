"""`for:` of a condition or a level: it has to hold so long, over restarts, before its trigger fires."""

from datetime import timedelta
from decimal import Decimal

from msgspec import UNSET
from msgspec.structs import replace

from hub.bus.log import InputKind
from hub.clock import MICROSECOND, SECOND_US, iso
from hub.engine.decision import Trace, Verdict
from hub.engine.keys import KeyKind
from hub.engine.plans import Candidate
from hub.engine.program import Becomes, Crosses
from hub.engine.run_rows import Cause
from hub.engine.scene import Scene
from hub.engine.timed_rows import InTime, TimedRows, cancel_timer, late_by
from hub.engine.trigger_rows import Edge, Hold
from hub.engine.values import Kind

HOLDS: TimedRows[Hold, Becomes | Crosses] = TimedRows(Kind.HOLD, Hold, (Becomes, Crosses), "hold")
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
    for part, candidate, hold in _held_levels(scene):
        if hold.timer:
            cancel_timer(scene, hold)
            HOLDS.put(scene, part, replace(hold, due=0, timer="", unproven=True))
            reason = f"{hold.reason}; the feed was away, and `for` begins anew when it is back"
            scene.decision.trace(
                candidate.plan.workflow.id,
                f"{candidate.trigger.id}/{hold.number}/unproven",
                Verdict.HELD_BACK,
                Trace(candidate.trigger.id, reason),
            )


def begin_anew(scene: Scene) -> None:
    """Begin to count again for the levels that stopped, which are still passed as far as anybody knows."""
    for part, _, hold in _held_levels(scene):
        if hold.unproven is True and isinstance(hold.span, int):
            _begin(scene, part, replace(hold, unproven=UNSET), hold.span)


def let_go(scene: Scene, part: str) -> Hold | None:
    """End a hold before its time, if there is one."""
    hold = HOLDS.of(scene, part)
    if hold is not None:
        HOLDS.put(scene, part, None)
        cancel_timer(scene, hold)
    return hold


def held_long_enough(scene: Scene) -> list[InTime]:
    """End the holds that are over by now, in order of time; return whom to fire for them."""
    if scene.item.kind == InputKind.COMMAND and scene.item.ref == LOST:  # nobody saw whether they held
        doubt_held(scene)
    found: list[InTime] = []
    for part, hold in sorted(HOLDS.over(scene), key=lambda each: (each[1].due, each[0])):
        let_go(scene, part)
        owner = HOLDS.trigger(scene, part)
        if owner is None:
            continue  # its workflow is live no more
        candidate, trigger = owner
        late = scene.item.at - hold.due
        is_far = scene.state.kind is KeyKind.POSITION and isinstance(trigger, Crosses) and trigger.is_held
        if is_far and late >= SECOND_US and isinstance(hold.span, int):
            # Word that a position was lost from sight comes by its account, and may be behind a timer that waited for us.
            _begin(scene, part, hold, hold.span)
            continue
        reason = f"{hold.reason}, and has been since {iso(hold.since)}{late_by(late)}"
        value = hold.value if isinstance(hold.value, Decimal) else None
        limit = hold.limit if isinstance(hold.limit, Decimal) else None
        cause = Cause(trigger.id, scene.now, value, limit, since=hold.since)
        found.append(InTime(candidate, cause, str(hold.number), reason))
    return found


def realign_holds(scene: Scene) -> None:
    """Let go what belongs to no live trigger, or to a condition that does not hold as it is written now."""
    for part, _ in HOLDS.all(scene):
        owner = HOLDS.trigger(scene, part)
        if owner is None or not _may_hold_on(scene, *owner):
            let_go(scene, part)


def _may_hold_on(scene: Scene, candidate: Candidate, trigger: Becomes | Crosses) -> bool:
    if isinstance(trigger, Crosses):
        return trigger.hold is not None  # it is let go with its level
    edge = scene.decision.puts.get(candidate.edge)
    return not isinstance(edge, Edge) or edge.value is True


def _held_levels(scene: Scene) -> list[tuple[str, Candidate, Hold]]:
    found: list[tuple[str, Candidate, Hold]] = []
    for part, hold in HOLDS.all(scene):
        owner = HOLDS.trigger(scene, part)
        if owner is not None and isinstance(owner[1], Crosses) and owner[1].is_held:
            found.append((part, owner[0], hold))
    return found


def _begin(scene: Scene, part: str, hold: Hold, span: int) -> None:
    now = scene.item.at
    timer = HOLDS.set_timer(scene, part, f"#{hold.number}", now + span)
    HOLDS.put(scene, part, replace(hold, since=now, due=now + span, timer=timer))
