"""Windows that begin with the latest event of a type: pure.

What happened at the moment of that event or before it is out. Before the first one everything is in, or nobody knows.
The moment itself is kept among what was taken back, under a ref that no event can have: there it costs one row, and
counts for nothing.
"""

from collections.abc import Sequence
from typing import Any, Final, final

from typing_extensions import override

from hub.engine.counting import Contribution, Counting
from hub.engine.frames import contributions
from hub.engine.program import Since
from hub.engine.series import SEPARATOR, WITHDRAWN, Op, Part
from hub.engine.windows import Change, Holding, Worth

BEGAN: Final = f"{SEPARATOR}began"


@final
class SinceEvent(Counting):
    """The arithmetic of one such aggregate around that of a lifetime, which must keep every contribution."""

    __slots__ = ("_inner", "_missing")

    def __init__(self, window: Since, inner: Counting) -> None:
        self._inner = inner
        self._missing = window.missing

    @override
    def taken(self, value: object) -> Contribution | None:
        return self._inner.taken(value)

    @override
    def value(self, holding: Holding, now: int) -> Worth:
        return None if self._is_missing(holding) else self._inner.value(holding, now)

    @override
    def add(self, holding: Holding, at: int, ref: str, value: Any, now: int) -> Change | None:
        at = min(at, now)  # nothing can have happened after it was told: the other clock is ahead
        start = began(holding)
        if start is not None and at <= start:
            return None
        change = self._inner.add(holding, at, ref, value, now)
        return self._told(holding, change) if change is not None else None

    @override
    def withdraw(self, holding: Holding, at: int, ref: str, now: int) -> Change:
        return self._told(holding, self._inner.withdraw(holding, min(at, now), ref, now))

    @override
    def leave(self, holding: Holding, gone: Sequence[Part], now: int) -> Change:
        return self._told(holding, self._inner.leave(holding, gone, now))

    @override
    def expire(self, holding: Holding, now: int) -> Change:
        return self._told(holding, self._inner.expire(holding, now))

    def begin(self, holding: Holding, at: int, now: int) -> Change | None:
        """Return the change an event of the window's type makes; None where a later one is known."""
        at, start = min(at, now), began(holding)
        if start is not None and at <= start:
            return None
        series = contributions(holding)
        change = self._inner.leave(holding, series.until(at), now)
        ops = [Op(when, ref, None, None) for ref, when in sorted(series.withdrawn.items()) if when <= at]
        return Change(change.value, None, change.total, [*change.ops, *ops, Op(at, BEGAN, WITHDRAWN, None)])

    def _is_missing(self, holding: Holding) -> bool:
        return self._missing and began(holding) is None

    def _told(self, holding: Holding, change: Change) -> Change:
        value = None if self._is_missing(holding) else change.value
        ops = [op for op in change.ops if op.ref != BEGAN]  # which is as old as any, and never forgotten
        return Change(value, None, change.total, ops)


def began(holding: Holding) -> int | None:
    """Return when the latest event of the window's type happened; None before the first."""
    return holding.series.withdrawn.get(BEGAN) if holding.series is not None else None
