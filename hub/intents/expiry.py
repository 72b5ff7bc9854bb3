"""Until when a message is worth sending: a time, or how long after it was asked for."""

from datetime import datetime, timedelta
from typing import Annotated, Final

from pydantic import AfterValidator, BeforeValidator

from hub.clock import MICROSECOND, to_us
from hub.durations import duration

_LONGEST: Final = 64


def _spelled(value: object) -> object:
    """Take what an expression may give: a time, or a duration."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, timedelta):
        return f"{max(value // timedelta(milliseconds=1), 1)}ms"
    return value


def _readable(text: str) -> str:
    if len(text) > _LONGEST:
        raise ValueError("a time or a duration is shorter")
    expires_at(text, 0)
    return text


Expiry = Annotated[
    str | datetime | timedelta, BeforeValidator(_spelled), AfterValidator(lambda value: _readable(str(value)))
]


def expires_at(text: str | None, asked_us: int) -> int | None:
    """Return the moment in µs; a ValueError says how to write it."""
    if text is None:
        return None
    if text[4:5] != "-":
        return asked_us + duration(text) // MICROSECOND
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("a time says its zone: end it with Z or +02:00")
    return to_us(moment)
