"""Moments of a schedule: when the next one is, and which ones lie in a span.

Where clocks are put forward, a time that does not exist is the first moment that does; where they are put back, a time
that comes twice is its first coming. A schedule that names no hour or no minute, `*` or `*/5`, follows real time instead:
every hour has its moment, the one that is repeated too.
"""

from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from cronsim import CronSim

from hub.clock import SECOND_US, from_us, to_us

FIELDS: Final = 5
_FIRST_SPAN: Final = 120 * SECOND_US


def problem(text: str) -> str | None:
    """Return what is wrong with a schedule somebody wrote, or None."""
    count = len(text.split())
    if count == FIELDS + 1:
        return "a schedule is no finer than a minute: write five fields, without seconds"
    if count != FIELDS:
        return f"a schedule has five fields, minute hour day month weekday, and this has {count}"
    try:
        found = next(CronSim(text, from_us(0)), None)
    except Exception as error:  # whatever the parser trips over, it is no schedule
        said = str(error).removeprefix("Bad ")
        return f"not a schedule: its {said} cannot be read" if said else "not a schedule"
    return None if found is not None else "this moment never comes"


@lru_cache(maxsize=4096)
def next_after(text: str, zone: str, after: int) -> int | None:
    """Return the first moment later than `after`, in µs; None where none comes within 50 years."""
    for moment in CronSim(text, from_us(after).astimezone(ZoneInfo(zone))):
        found = to_us(moment)
        if found > after:  # in the hour that comes twice, the first coming may lie behind
            return found
    return None


@lru_cache(maxsize=1024)
def latest(text: str, zone: str, since: int, until: int, most: int) -> tuple[int, ...]:
    """Return the last moments in [since, until], at most so many, in order; it costs as much as there are of them."""
    span = _FIRST_SPAN
    while True:
        begin = max(since, until - span)
        found = _between(text, zone, begin, until)
        if len(found) >= most or begin == since:
            return tuple(found[-most:])
        span *= 4


def _between(text: str, zone: str, begin: int, until: int) -> list[int]:
    found: list[int] = []
    moment = next_after(text, zone, begin - 1)
    while moment is not None and moment <= until:
        found.append(moment)
        moment = next_after(text, zone, moment)
    return found
