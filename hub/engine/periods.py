"""Calendar and tumbling periods as half-open spans of UTC microseconds; a calendar's run between local boundaries."""

from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from functools import lru_cache, partial
from zoneinfo import ZoneInfo

from hub.clock import MICROSECOND, from_us, to_us
from hub.engine.program import Calendar, Tumbling

Span = tuple[int, int]
DAY = timedelta(days=1)


class Periods:
    """Answers for one window; remembers the last spans because neighbouring questions have one answer."""

    __slots__ = ("_find", "_last", "current")

    def __init__(self, window: Calendar | Tumbling) -> None:
        self._find = _by_calendar(window) if isinstance(window, Calendar) else _by_length(window)
        self._last: list[Span] = []
        self.current: Span = (0, 0)  # the answer given last, for whoever looks before he asks

    def span(self, at: int) -> Span:
        """Return [start, end) of the period a moment lies in."""
        start, end = self.current
        if start <= at < end:
            return self.current
        for known in self._last:
            if known[0] <= at < known[1]:
                self.current = known
                return known
        found = self._find(at)
        self._last = [found, *self._last[:2]]
        self.current = found
        return found

    def before(self, span: Span) -> Span:
        return self.span(span[0] - 1)


@lru_cache(maxsize=256)
def periods(window: Calendar | Tumbling) -> Periods:
    return Periods(window)


def _by_length(window: Tumbling) -> Callable[[int], Span]:
    length = window.duration // MICROSECOND

    def find(at: int) -> Span:
        start = at // length * length
        return start, start + length

    return find


def _by_calendar(calendar: Calendar) -> Callable[[int], Span]:
    return partial(_span, calendar.period, ZoneInfo(calendar.zone), time.fromisoformat(calendar.daily_at))


def _span(period: str, zone: ZoneInfo, at: time, moment: int) -> Span:
    day = from_us(moment).astimezone(zone).date()
    # The local date is the business day, or one off: a boundary may be at 17:00, and clocks change around midnight.
    while moment < _boundary(day, at, zone):
        day -= DAY
    while moment >= _boundary(day + DAY, at, zone):
        day += DAY
    first, following = _first_day(period, day), _following(period, day)
    return _boundary(first, at, zone), _boundary(following, at, zone)


def _boundary(day: date, at: time, zone: ZoneInfo) -> int:
    """Return when a local wall-clock time happens: the first time where it happens twice.

    A time the clocks jump over counts from before the jump, so midnight there is the jump itself.
    """
    return to_us(datetime.combine(day, at, tzinfo=zone))


def _first_day(period: str, day: date) -> date:
    match period:
        case "day":
            return day
        case "week":
            return day - timedelta(days=day.weekday())
        case "month":
            return day.replace(day=1)
        case "quarter":
            return day.replace(month=(day.month - 1) // 3 * 3 + 1, day=1)
        case _:
            return day.replace(month=1, day=1)


def _following(period: str, day: date) -> date:
    first = _first_day(period, day)
    match period:
        case "day":
            return first + DAY
        case "week":
            return first + 7 * DAY
        case "month":
            return _first_day(period, first + 31 * DAY)
        case "quarter":
            return _first_day(period, first + 93 * DAY)
        case _:
            return first.replace(year=first.year + 1)
