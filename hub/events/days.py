"""Days by somebody's clock: from one local time of day to the next, also where that is 23 or 25 hours."""

from datetime import date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from hub.clock import from_us, to_us

_DAY = timedelta(days=1)


@lru_cache(maxsize=4096)
def start_of(day: date, zone: str, daily_at: str) -> int:
    """Return when a day begins, in µs: the first time where the clock shows it twice, the jump where it skips it."""
    return to_us(datetime.combine(day, time.fromisoformat(daily_at), tzinfo=ZoneInfo(zone)))


def day_of(at: int, zone: str, daily_at: str) -> date:
    """Return the day a moment lies in, by the date on which that day begins."""
    day = from_us(at).astimezone(ZoneInfo(zone)).date()
    # The local date is the day, or one off: a day may begin at 17:00, and clocks change around midnight.
    while at < start_of(day, zone, daily_at):
        day -= _DAY
    while at >= start_of(day + _DAY, zone, daily_at):
        day += _DAY
    return day


def began(at: int, zone: str, daily_at: str) -> int:
    """Return when the day a moment lies in began."""
    return start_of(day_of(at, zone, daily_at), zone, daily_at)


def ends(at: int, zone: str, daily_at: str) -> int:
    """Return when the day a moment lies in ends: its own moment belongs to the next."""
    return start_of(day_of(at, zone, daily_at) + _DAY, zone, daily_at)
