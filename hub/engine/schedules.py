"""Schedules of a key: each has one timer, for its next moment, and missed moments count as the file says."""

from hub.clock import MICROSECOND, SECOND_US, from_us, iso
from hub.engine import cron
from hub.engine.decision import Trace, Verdict
from hub.engine.plans import Candidate
from hub.engine.program_timed import Schedule
from hub.engine.run_rows import Cause
from hub.engine.scene import Scene
from hub.engine.timed_rows import InTime, TimedRows, cancel_timer, late_by
from hub.engine.trigger_rows import Scheduled
from hub.engine.triggers import spoken
from hub.engine.values import Kind

SCHEDULES = TimedRows(Kind.SCHEDULE, Scheduled, (Schedule,), "schedule")
MOST_CAUGHT_UP = 100  # moments of one schedule and key; what lies before them is passed over, and said
GONE = Scheduled("")  # keeps a key known that nobody may speak of again
LATE = 60 * SECOND_US  # schedules are no finer than a minute: what comes within one is on time


def begin_first(scene: Scene) -> None:
    """Begin every schedule with the first look at a key."""
    for candidate in scene.program.schedules:
        assert isinstance(candidate.trigger, Schedule)
        if (SCHEDULES.of(scene, candidate.part) or GONE).rule == "":
            _time(scene, candidate, candidate.trigger)


def come(scene: Scene) -> list[InTime]:
    """Return whom to fire for moments that have come, each numbered by its moment; each schedule goes on to its next."""
    found: list[InTime] = []
    for part, known in SCHEDULES.over(scene):
        cancel_timer(scene, known)
        owner = SCHEDULES.trigger(scene, part)
        if owner is None:
            SCHEDULES.put(scene, part, None)
            continue
        candidate, trigger = owner
        try:
            found += _fired(scene, candidate, trigger, known)
        except Exception as problem:  # the others' moments come all the same
            _failed(scene, candidate, problem)
        _time(scene, candidate, trigger)
    return found


def realign(scene: Scene) -> None:
    """Drop what belongs to no live schedule, and begin what nothing has begun.

    Of a schedule that was edited, a moment that has come already counts; what would have come by the new text does not.
    """
    for part, known in SCHEDULES.all(scene):
        owner = SCHEDULES.trigger(scene, part)
        if owner is None:
            cancel_timer(scene, known)
            SCHEDULES.put(scene, part, GONE if scene.state.by_mail else None)
            continue
        candidate, trigger = owner
        if known.rule != trigger.rule and (not known.timer or known.due > scene.item.at):
            cancel_timer(scene, known)
            _time(scene, candidate, trigger)
    if scene.state.account is not None or scene.state.by_mail:
        begin_first(scene)


def standing(scene: Scene, candidate: Candidate, trigger: Schedule) -> str:
    """Say when it fires next."""
    known = SCHEDULES.of(scene, candidate.part)
    if known is None or not known.timer:
        return f"{trigger.rule}: no moment is waited for"
    return f"fires next at {iso(known.due)} ({trigger.rule})"


def _fired(scene: Scene, candidate: Candidate, trigger: Schedule, known: Scheduled) -> list[InTime]:
    now = scene.item.at
    moments: tuple[int, ...] = (known.due,)
    if known.rule == trigger.rule:
        # One more than may count, to know whether there were more.
        most = MOST_CAUGHT_UP if trigger.catch_up == "all" else 1
        moments = cron.latest(trigger.cron, trigger.zone, known.due, now, most + 1)
    counted = tuple(moment for moment in moments if _counts(trigger, now - moment))
    counted = counted[-1:] if trigger.catch_up == "last" else counted[-MOST_CAUGHT_UP:]
    first = counted[0] if counted else None
    if first is None or first > known.due:
        _say_missed(scene, candidate, trigger, known.due, counted)
    return [_told(candidate, trigger, moment, now) for moment in counted]


def _counts(trigger: Schedule, late: int) -> bool:
    if late < LATE:
        return True
    if trigger.catch_up == "none":
        return False
    return trigger.within is None or late <= trigger.within // MICROSECOND


def _say_missed(
    scene: Scene, candidate: Candidate, trigger: Schedule, since: int, counted: tuple[int, ...]
) -> None:
    within = f", within {spoken(trigger.within)}" if trigger.within is not None else ""
    until = f" before {iso(counted[0])}" if counted else ""
    why = f"catch_up: {trigger.catch_up}{within}"
    if trigger.catch_up == "all" and len(counted) == MOST_CAUGHT_UP:
        why += f", and {MOST_CAUGHT_UP} are made up for at most"
    trace = Trace(
        trigger.id,
        f"missed since {iso(since)}{until}, and not made up for: {why}",
        mode=candidate.plan.workflow.mode.value,
    )
    scene.decision.trace(
        candidate.plan.workflow.id, f"{trigger.id}/{iso(since)}/missed", Verdict.HELD_BACK, trace
    )


def _told(candidate: Candidate, trigger: Schedule, moment: int, now: int) -> InTime:
    reason = f"{iso(moment)} has come ({trigger.rule}){late_by(now - moment)}"
    return InTime(candidate, Cause(trigger.id, from_us(moment)), iso(moment), reason)


def _time(scene: Scene, candidate: Candidate, trigger: Schedule) -> None:
    """Wait for the next moment after now: none that is past can come again, whatever is edited."""
    part = candidate.part
    try:
        due = cron.next_after(trigger.cron, trigger.zone, scene.item.at)
    except Exception as problem:  # as above
        due = None
        _failed(scene, candidate, problem)
    if due is None:
        SCHEDULES.put(scene, part, Scheduled(trigger.rule))
        return
    timer = SCHEDULES.set_timer(scene, part, "@", due)
    SCHEDULES.put(scene, part, Scheduled(trigger.rule, due, timer))


def _failed(scene: Scene, candidate: Candidate, problem: Exception) -> None:
    trigger = candidate.trigger.id
    reason = f"its moments cannot be told: {type(problem).__name__}: {problem}"
    trace = Trace(trigger, reason, mode=candidate.plan.workflow.mode.value)
    scene.decision.trace(candidate.plan.workflow.id, f"{trigger}/moments", Verdict.FAILED, trace)
