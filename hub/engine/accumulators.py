"""Which arithmetic answers for an aggregate's function and window."""

from dataclasses import replace

from hub.engine.counting import Contribution, Counting
from hub.engine.current import Current
from hub.engine.distinct import Distinct
from hub.engine.latest import Latest
from hub.engine.program import Aggregate, Lifetime, Retract, Since
from hub.engine.shares import BestDay
from hub.engine.since import SinceEvent
from hub.engine.windows import Accumulator

__all__ = ["Contribution", "Counting", "counting"]


def counting(aggregate: Aggregate) -> Counting:
    if aggregate.over is not None:
        return Current(aggregate)
    if isinstance(aggregate.window, Since):
        # Each contribution is kept for itself, under any ref: what happened before the next such event has to go.
        keeping = aggregate.retract or Retract("", "")
        return SinceEvent(aggregate.window, counting(replace(aggregate, window=Lifetime(), retract=keeping)))
    match aggregate.function:
        case "best_day_share":
            return BestDay(aggregate)
        case "last":
            return Latest(aggregate)
        case "distinct" | "distinct_days":
            return Distinct(aggregate)
        case "sum" | "count" | "min" | "max" | "avg":
            return Accumulator(aggregate)
