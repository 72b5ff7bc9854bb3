"""How far back a workflow looks: what has to be told before a moment for it to decide there as it would have."""

from datetime import timedelta

from hub.engine.code import code_of
from hub.engine.program import (
    Absent,
    Becomes,
    Calendar,
    Crosses,
    OnEvent,
    PeriodEnd,
    Sliding,
    Tumbling,
    Workflow,
)
from hub.engine.program_steps import Approve, Wait

_PERIODS = {"day": 1, "week": 7, "month": 31, "quarter": 92, "year": 366}
A_DAY = timedelta(days=1)


def memory_of(workflow: Workflow) -> timedelta | None:
    """Return the longest time anything of it looks back, a day at least; None where that is without end."""
    longest = A_DAY
    for aggregate in workflow.aggregates:
        match aggregate.window:
            case Calendar(period=period):
                longest = max(longest, timedelta(days=_PERIODS[period]) + A_DAY)
            case Sliding(duration=duration) | Tumbling(duration=duration):
                longest = max(longest, duration)
            case _:
                return None
    if workflow.limit is not None:
        if workflow.limit.every is None:
            return None
        longest = max(longest, workflow.limit.every)
    for trigger in workflow.triggers:
        match trigger:
            case Becomes(hold=timedelta() as hold):
                longest = max(longest, hold)
            case Absent(within=within):
                longest = max(longest, within)
            case PeriodEnd(calendar=Calendar(period=period), delay=delay):
                longest = max(longest, timedelta(days=_PERIODS[period]) + delay + A_DAY)
            case OnEvent() | Becomes() | Crosses():
                pass
            case _:
                return None  # of another kind: nobody here can say
    if workflow.grant is not None:
        if workflow.grant.calendar is None:
            return None
        whole = timedelta(days=_PERIODS[workflow.grant.calendar.period]) + A_DAY
        longest = max(longest, whole + workflow.grant.delay + workflow.grant.watch)
    for step in code_of(workflow).steps:
        if isinstance(step, Wait):
            longest = max(longest, step.span or A_DAY, step.timeout or A_DAY)
        elif isinstance(step, Approve):
            longest = max(longest, step.within)
    return longest
