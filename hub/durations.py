"""Durations as files write them: 30s, 5m, 6h, 7d, 2w."""

import re
from datetime import timedelta
from typing import Final

LONGEST: Final = timedelta(days=3660)
FORM: Final = r"^[1-9][0-9]{0,8}(ms|s|m|h|d|w)$"

_FORM: Final = re.compile(FORM.strip("^$"))
_TOO_SHORT_OR_LONG: Final = re.compile(r"[0-9]{1,4000}(ms|s|m|h|d|w)")
_UNITS: Final = {
    "ms": timedelta(milliseconds=1),
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}


def duration(text: str) -> timedelta:
    """Return the duration; a ``ValueError`` says how to write it."""
    found = _FORM.fullmatch(text)
    if not found and _TOO_SHORT_OR_LONG.fullmatch(text):
        raise ValueError(f"a duration is at least 1 of its unit and at most {LONGEST.days}d")
    if not found:
        raise ValueError("a duration is a whole number and a unit, such as 30s, 5m, 6h, 7d or 2w")
    unit = found.group(1)
    # Counted before multiplying: a timedelta cannot hold every number a file can.
    length = int(text.removesuffix(unit))
    if length > LONGEST // _UNITS[unit]:
        raise ValueError(f"a duration is at most {LONGEST.days}d")
    return length * _UNITS[unit]


def span(value: object) -> object:
    """Read a duration where pydantic would ask for an ISO one; what is no text is left to pydantic."""
    return duration(value) if isinstance(value, str) else value
