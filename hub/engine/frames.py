"""Which span of time a window shows at a moment, and how far back anybody can still look."""

from bisect import bisect_left
from collections.abc import Collection
from datetime import timedelta
from itertools import takewhile
from typing import Final

from hub.engine.periods import Periods, Span, periods
from hub.engine.program import Calendar, SinceEnd, Sliding, Tumbling, Window
from hub.engine.series import WITHDRAWN, Moment, Op, Part, Series
from hub.engine.windows import LIFETIME, MAX_CONTRIBUTIONS, PRUNED_AT_ONCE, Holding, taken_back

_NOTHING: Final = Series()  # never written to


class Frame:
    """A window as half-open spans of microseconds, whatever its kind."""

    __slots__ = ("_duration", "_periods", "slides")

    def __init__(self, window: Window) -> None:
        self._duration = window.duration // timedelta(microseconds=1) if isinstance(window, Sliding) else 0
        calendar = window.calendar if isinstance(window, SinceEnd) else window
        self._periods: Periods | None = (
            periods(calendar) if isinstance(calendar, Calendar | Tumbling) else None
        )
        self.slides = isinstance(window, Sliding)

    def span(self, at: int) -> Span:
        """Return [start, end) of what the window shows at a moment; of a period, of what lies in the same one."""
        if self.slides:
            return at - self._duration + 1, at + 1
        return LIFETIME if self._periods is None else self._periods.span(at)

    def oldest(self, now: int, since: int) -> int:
        """Return the start of what is kept: of a sliding window itself, of periods the one before the present one.

        Or of the one that holds `since`: somebody still looks at what happened from there on.
        """
        if self.slides or self._periods is None:
            return self.span(now)[0]
        oldest = self._periods.before(self._periods.span(now))[0]
        return oldest if since >= oldest else self._periods.span(since)[0]

    def happened(self, at: int, now: int) -> int:
        """Return when a contribution counts: under a sliding window nothing happens after it was told."""
        return min(at, now) if self.slides else at

    def expiry(self, at: int, now: int) -> int | None:
        """Return when what happened at `at`, and shows now, shows no more."""
        if self.slides:
            return at + self._duration
        return self.span(now)[1] if self._periods is not None else None


def contributions(holding: Holding) -> Series:
    return (
        holding.series if holding.series is not None else _NOTHING
    )  # an empty one may hold what was withdrawn


def stale(series: Series, oldest: int) -> list[Part]:
    """Return contributions that nobody can look at any more: a limited number, the next input takes the rest."""
    return series.until(oldest - 1)[:PRUNED_AT_ONCE] if series.oldest is not None else []


def remember_withdrawn(series: Series, at: int, ref: str, oldest: int) -> list[Op]:
    """Return what remembers a contribution taken back before it came, and forgets such that no longer matter."""
    known = taken_back(series)
    old = list(takewhile(lambda one: one[0] < oldest, known))
    surplus = len(known) - len(old) + 1 - MAX_CONTRIBUTIONS
    if surplus > 0:
        old = list(known[: len(old) + surplus])
    forgotten = [Op(when, other, None, None) for when, other in old]
    if ref in series.withdrawn and (series.withdrawn[ref], ref) not in old:
        return forgotten  # taken back again it stays remembered as it is
    return [*forgotten, Op(at, ref, WITHDRAWN, None)]


def stands_in(series: Series, word: str, span: Span, without: Collection[Moment]) -> bool:
    """Return whether a word is told within a span, by another contribution than those."""
    places = series.words.get(word, ())
    index = bisect_left(places, (span[1], "")) - 1
    while index >= 0 and places[index][0] >= span[0]:
        if places[index] not in without:
            return True
        index -= 1
    return False


def removed(parts: Collection[Part]) -> list[Op]:
    return [Op(part.at, part.ref, None, None) for part in parts]
