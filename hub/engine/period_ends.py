"""The trigger `period_end`: which period a key waits for, and whom to fire when it is over, over restarts and edits."""

from hub.clock import MICROSECOND, from_us, iso
from hub.engine.calendars import facts_of, label_of
from hub.engine.decision import Trace, Verdict
from hub.engine.ledger import PeriodEnds
from hub.engine.periods import Span, periods
from hub.engine.plans import Candidate
from hub.engine.program import PeriodEnd
from hub.engine.run_rows import Cause
from hub.engine.scene import Scene
from hub.engine.timed_rows import InTime, TimedRows, cancel_timer, late_by
from hub.engine.values import Kind

PERIODS = TimedRows(Kind.PERIOD, PeriodEnds, (PeriodEnd,), "period_end")
MOST_MISSED = 100  # periods that `catch_up: all` makes up for: the latest
IN_TIME = 60_000_000  # what comes no later was not missed


def begin_first(scene: Scene, candidate: Candidate, trigger: PeriodEnd) -> None:
    """Wait for the end of the present period, from the first look at a key on."""
    if PERIODS.of(scene, candidate.part) is None:
        _await(scene, candidate, trigger, periods(trigger.calendar).span(scene.item.at), "")


def over(scene: Scene) -> list[InTime]:
    """Return whom to fire because a period is over, each numbered by its name; the next is waited for."""
    now = scene.item.at
    found: list[InTime] = []
    for part, known in PERIODS.over(scene):
        owner = _stopped(scene, part, known)
        if owner is None:
            continue
        candidate, trigger = owner
        ended = _ended(trigger, known, now)
        awaited = periods(trigger.calendar).span(max(now - trigger.delay // MICROSECOND, known.start))
        last = label_of(trigger.calendar, ended[-1][0]) if ended else known.last
        _await(scene, candidate, trigger, awaited, last)
        found += _caught_up(scene, candidate, trigger, ended)
    return found


def realign(scene: Scene) -> None:
    """Stop waiting where no live trigger does, go over to edited calendars and delays, begin what nothing has begun."""
    for part, known in PERIODS.all(scene):
        owner = _stopped(scene, part, known)
        if owner is None:
            continue
        candidate, trigger = owner
        spans = periods(trigger.calendar)
        awaited = spans.span(known.start)
        if not known.timer or awaited[0] != known.start:  # it had stopped, or has another calendar now
            awaited = spans.span(scene.item.at)
        if label_of(trigger.calendar, awaited[0]) == known.last:
            awaited = spans.span(awaited[1])  # it has fired for a period of this name
        _await(scene, candidate, trigger, awaited, known.last)
    for candidate in scene.program.period_ends:
        assert isinstance(candidate.trigger, PeriodEnd)
        begin_first(scene, candidate, candidate.trigger)


def standing(scene: Scene, candidate: Candidate, trigger: PeriodEnd) -> str:
    """Say which period is waited for, and when it fires."""
    known = PERIODS.of(scene, candidate.part)
    if known is None or not known.timer:
        return "no period is waited for yet"
    end = periods(trigger.calendar).span(known.start)[1]
    return f"{label_of(trigger.calendar, known.start)} ends at {iso(end)}; fires at {iso(known.due)}"


def _stopped(scene: Scene, part: str, known: PeriodEnds) -> tuple[Candidate, PeriodEnd] | None:
    """Stop waiting, and return who may go on; None where no live trigger does: what it knew is kept."""
    cancel_timer(scene, known)
    owner = PERIODS.trigger(scene, part)
    if owner is None:
        PERIODS.put(scene, part, PeriodEnds(known.start, 0, "", known.last))
    return owner


def _ended(trigger: PeriodEnd, known: PeriodEnds, now: int) -> list[Span]:
    """Return the periods that are over, from the one waited for on: of many the latest."""
    spans, delay = periods(trigger.calendar), trigger.delay // MICROSECOND
    found: list[Span] = []
    span = spans.span(max(now - delay, known.start))
    while len(found) < MOST_MISSED:
        span = spans.before(span)
        if span[0] < known.start:
            break
        found.append(span)
    return found[::-1]


def _caught_up(scene: Scene, candidate: Candidate, trigger: PeriodEnd, ended: list[Span]) -> list[InTime]:
    """Return those of the periods to fire for, as `catch_up` says."""
    now, delay = scene.item.at, trigger.delay // MICROSECOND
    missed = [span for span in ended if now - span[1] - delay >= IN_TIME]
    fires = ended
    if trigger.catch_up == "last":
        fires = ended[-1:]
    elif trigger.catch_up == "none":
        fires = [span for span in ended if span not in missed]
    left_out = [label_of(trigger.calendar, span[0]) for span in ended if span not in fires]
    if left_out:
        named = left_out[0] if len(left_out) == 1 else f"{left_out[0]} to {left_out[-1]}"
        reason = f"{named} ended while the hub was down, and `catch_up: {trigger.catch_up}` leaves it out"
        plan = candidate.plan
        trace = Trace(trigger.id, reason, mode=plan.workflow.mode.value)
        scene.decision.trace(plan.workflow.id, f"{trigger.id}/{named}/missed", Verdict.HELD_BACK, trace)
    return [_told(scene, candidate, trigger, span, now - span[1] - delay) for span in fires]


def _told(scene: Scene, candidate: Candidate, trigger: PeriodEnd, span: Span, late: int) -> InTime:
    period = facts_of(trigger.calendar, *span)
    assert period is not None
    reason = f"{period.label} ended at {iso(span[1])}{late_by(late)}"
    cause = Cause(trigger.id, from_us(scene.item.at), period=period, since=span[1])
    return InTime(candidate, cause, period.label, reason)


def _await(scene: Scene, candidate: Candidate, trigger: PeriodEnd, span: Span, last: str) -> None:
    due = max(span[1] + trigger.delay // MICROSECOND, scene.item.at + 1)
    timer = PERIODS.set_timer(scene, candidate.part, f"|{span[0]}", due)
    PERIODS.put(scene, candidate.part, PeriodEnds(span[0], due, timer, last))
