"""Schedules of a key: each has one timer, for its next moment, and missed moments count as the file says."""

from hub.clock import MICROSECOND, SECOND_US, from_us, iso
from hub.engine import cron
from hub.engine.decision import Trace, Verdict
from hub.engine.plans import Candidate
from hub.engine.program_timed import Schedule
from hub.engine.rows import TimerKey, TimerRow
from hub.engine.scene import Scene
from hub.engine.state import Cause, Kind, Scheduled, Slot
from hub.engine.timers import TriggerTimer, timer_id
from hub.engine.triggers import spoken

MOST_CAUGHT_UP = 100  # moments of one schedule and key; what lies before them is passed over, and said
GONE = Scheduled("")  # keeps a key known that nobody may speak of again
LATE = 60 * SECOND_US  # schedules are no finer than a minute: what comes within one is on time


def begin_first(scene: Scene) -> None:
    """Begin every schedule with the first look at a key."""
    for candidate in scene.program.schedules:
        if (_of(scene, candidate.part) or GONE).rule == "":
            _time(scene, candidate)


def come(scene: Scene) -> list[tuple[Candidate, Cause, str, str]]:
    """Return whom to fire for moments that have come, with the cause, its name and the reason; each goes on to its next."""
    now = scene.item.at
    found: list[tuple[Candidate, Cause, str, str]] = []
    for part, _ in sorted(scene.state.of_kind(Kind.SCHEDULE), key=lambda each: each[0]):
        known = _of(scene, part)
        if known is None or not known.timer or known.due > now:
            continue
        _cancel(scene, known)
        candidate = _candidate(scene, part)
        if candidate is None:
            scene.decision.puts[_slot(part)] = None
            continue
        try:
            found += _fired(scene, candidate, known)
        except Exception as problem:  # the others' moments come all the same
            _failed(scene, candidate, problem)
        _time(scene, candidate)
    return found


def realign(scene: Scene) -> None:
    """Drop what belongs to no live schedule, and begin what nothing has begun.

    Of a schedule that was edited, a moment that has come already counts; what would have come by the new text does not.
    """
    live = {candidate.part: candidate for candidate in scene.program.schedules}
    for part, value in scene.state.of_kind(Kind.SCHEDULE):
        assert isinstance(value, Scheduled)
        candidate = live.get(part)
        if candidate is None:
            _cancel(scene, value)
            scene.decision.puts[_slot(part)] = GONE if scene.state.by_mail else None
            continue
        assert isinstance(candidate.trigger, Schedule)
        if value.rule != candidate.trigger.rule and (not value.timer or value.due > scene.item.at):
            _cancel(scene, value)
            _time(scene, candidate)
    if scene.state.account is not None or scene.state.by_mail:
        begin_first(scene)


def standing(scene: Scene, candidate: Candidate, trigger: Schedule) -> str:
    """Say when it fires next."""
    known = _of(scene, candidate.part)
    if known is None or not known.timer:
        return f"{trigger.rule}: no moment is waited for"
    return f"fires next at {iso(known.due)} ({trigger.rule})"


def _fired(scene: Scene, candidate: Candidate, known: Scheduled) -> list[tuple[Candidate, Cause, str, str]]:
    trigger, now = candidate.trigger, scene.item.at
    assert isinstance(trigger, Schedule)
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
    return [
        (candidate, Cause(trigger.id, from_us(moment)), iso(moment), _reason(trigger, moment, now))
        for moment in counted
    ]


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


def _reason(trigger: Schedule, moment: int, now: int) -> str:
    late = (now - moment) // SECOND_US
    return f"{iso(moment)} has come ({trigger.rule})" + (f"; late_by {late}s" if late >= 1 else "")


def _time(scene: Scene, candidate: Candidate) -> None:
    """Wait for the next moment after now: none that is past can come again, whatever is edited."""
    trigger, now = candidate.trigger, scene.item.at
    assert isinstance(trigger, Schedule)
    try:
        due = cron.next_after(trigger.cron, trigger.zone, now)
    except Exception as problem:  # as above
        due = None
        _failed(scene, candidate, problem)
    if due is None:
        scene.decision.puts[_slot(candidate.part)] = Scheduled(trigger.rule)
        return
    key, partition = scene.state.key, scene.state.partition
    name = timer_id(key, f"{candidate.part}@", due)
    body = TriggerTimer(candidate.part, due, "schedule").encoded()
    scene.decision.writing().timers.append(TimerRow(partition, due, name, key, "schedule", body))
    scene.decision.puts[_slot(candidate.part)] = Scheduled(trigger.rule, due, name)


def _failed(scene: Scene, candidate: Candidate, problem: Exception) -> None:
    trigger = candidate.trigger.id
    reason = f"its moments cannot be told: {type(problem).__name__}: {problem}"
    trace = Trace(trigger, reason, mode=candidate.plan.workflow.mode.value)
    scene.decision.trace(candidate.plan.workflow.id, f"{trigger}/moments", Verdict.FAILED, trace)


def _candidate(scene: Scene, part: str) -> Candidate | None:
    workflow, _, trigger = part.rpartition("/")
    plan = scene.program.plans.get(workflow)
    found = plan.triggers.get(trigger) if plan is not None else None
    return found if found is not None and isinstance(found.trigger, Schedule) else None


def _of(scene: Scene, part: str) -> Scheduled | None:
    slot = _slot(part)
    found = scene.decision.puts[slot] if slot in scene.decision.puts else scene.state.values.get(slot)
    return found if isinstance(found, Scheduled) else None


def _cancel(scene: Scene, known: Scheduled) -> None:
    if known.timer:
        timer = TimerKey(scene.state.partition, known.due, known.timer)
        scene.decision.writing().cancelled.append(timer)


def _slot(part: str) -> Slot:
    return Kind.SCHEDULE.value, part
