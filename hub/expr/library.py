"""What the functions of the language do, each to plain values; whatever has no answer raises ``Unknowable``."""

import decimal
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

from hub import durations
from hub.clock import every_zone_shows
from hub.expr.arithmetic import (
    CONTEXT,
    Number,
    Unknowable,
    at_least,
    at_most,
    duration,
    kind_of,
    less,
    moment,
    more,
    number,
    text,
)
from hub.expr.glob import MAX_PATTERN, glob
from hub.expr.scope import nearest
from hub.expr.types import spoken

Implementation = Callable[..., object]
MAX_PLACES: Final = 12


def absolute(x: object) -> object:
    return abs(x) if isinstance(x, timedelta) else CONTEXT.abs(number(x))


def smallest(first: object, *others: object) -> object:
    for other in others:
        first = other if less(other, first) else first
    return first


def largest(first: object, *others: object) -> object:
    for other in others:
        first = other if more(other, first) else first
    return first


def _rounded(x: object, digits: object, how: str) -> Decimal:
    value, places = number(x), number(digits)
    if not 0 <= places <= MAX_PLACES or places != int(places):
        raise Unknowable(f"digits must be a whole number from 0 to {MAX_PLACES}")
    exact = CONTEXT.create_decimal(value)
    if not exact.is_finite():
        raise Unknowable("it is not a finite number")
    if isinstance(exponent := exact.as_tuple().exponent, int) and exponent >= -int(places):
        return exact  # it has no more digits than that: padding it could only overflow
    return exact.quantize(Decimal(1).scaleb(-int(places)), rounding=how, context=CONTEXT)


def round_half_up(x: object, digits: object = 0) -> Decimal:
    return _rounded(x, digits, decimal.ROUND_HALF_UP)


def floor(x: object) -> Decimal:
    return _rounded(x, 0, decimal.ROUND_FLOOR)


def ceil(x: object) -> Decimal:
    return _rounded(x, 0, decimal.ROUND_CEILING)


def lower(x: object) -> str:
    return text(x).lower()


def upper(x: object) -> str:
    return text(x).upper()


def starts_with(whole: object, start: object) -> bool:
    return text(whole).startswith(text(start))


def ends_with(whole: object, end: object) -> bool:
    return text(whole).endswith(text(end))


def contains(whole: object, part: object) -> bool:
    return text(part) in text(whole)


def like(whole: object, pattern: object) -> bool:
    try:
        return glob(text(pattern)).matches(text(whole))
    except ValueError as problem:
        raise Unknowable(str(problem)) from None


def length(x: object) -> Decimal:
    if isinstance(x, (str, list, tuple, set, frozenset)):
        return Decimal(len(x))
    raise Unknowable(f"{spoken(kind_of(x))} has no length")


def between(x: object, low: object, high: object) -> bool:
    return at_least(x, low) and at_most(x, high)


def to_number(x: object) -> Number:
    if not isinstance(x, str):
        return number(x)
    # int() and Decimal() take foreign digits and underscores; prices and amounts have neither.
    if len(x) > 40 or not x.isascii() or "_" in x:
        raise Unknowable("the text is not a number")
    try:
        value = CONTEXT.create_decimal(x.strip())
    except decimal.DecimalException:
        raise Unknowable("the text is not a number") from None
    if not value.is_finite():
        raise Unknowable("the text is not a finite number")
    return value


def to_time(x: object) -> datetime:
    if isinstance(x, datetime):
        return x
    if len(written := text(x)) > 40:
        raise Unknowable("the text is not a time")
    try:
        value = datetime.fromisoformat(written)
    except ValueError:
        raise Unknowable("the text is not a time such as 2026-03-31T21:00:00Z") from None
    if value.tzinfo is None:
        raise Unknowable("the time has no zone: end it in Z or +02:00")
    if not every_zone_shows(value):
        raise Unknowable("the time lies beyond the calendar")
    return value


def to_duration(x: object) -> timedelta:
    if isinstance(x, timedelta):
        return x
    try:
        return durations.duration(text(x))
    except ValueError as problem:
        raise Unknowable(str(problem)) from None


@lru_cache(maxsize=1024)
def _zone(name: str) -> ZoneInfo | None:
    # Zones come from clients as well as from authors; what was refused once is remembered as refused.
    try:
        return ZoneInfo(name) if 0 < len(name) <= 64 and name.isascii() else None
    except (ValueError, OSError, KeyError):
        return None


def _local(when: object, tz: object) -> datetime:
    zone = _zone(text(tz))
    if zone is None:
        raise Unknowable("the time zone is not known")
    value = moment(when)
    if value.tzinfo is None:
        raise Unknowable("a time without a zone")
    return value.astimezone(zone)


def day_of(when: object, tz: object) -> str:
    return _local(when, tz).date().isoformat()


def month_of(when: object, tz: object) -> str:
    return day_of(when, tz)[:7]


WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def weekday_of(when: object, tz: object) -> str:
    return WEEKDAYS[_local(when, tz).weekday()]


def hour_of(when: object, tz: object) -> Decimal:
    return Decimal(_local(when, tz).hour)


def span(seconds: int) -> Implementation:
    def so_many(n: object) -> timedelta:
        return duration(CONTEXT.multiply(number(n), seconds * 1_000_000))

    return so_many


def wrong_zone(value: object) -> str:
    if _zone(str(value)) is not None:
        return ""
    return f'unknown time zone "{str(value)[:64]}"{nearest(str(value), available_timezones())}'


def wrong_pattern(value: object) -> str:
    return "" if len(str(value)) <= MAX_PATTERN else f"a pattern has at most {MAX_PATTERN} characters"


def wrong_places(value: object) -> str:
    fine = isinstance(value, Decimal) and 0 <= value <= MAX_PLACES and value == int(value)
    return "" if fine else f"digits must be a whole number from 0 to {MAX_PLACES}"


def wrong_number(value: object) -> str:
    return _complaint(to_number, value)


def wrong_duration(value: object) -> str:
    return _complaint(to_duration, value)


def wrong_time(value: object) -> str:
    return _complaint(to_time, value)


def _complaint(run: Implementation, value: object) -> str:
    try:
        run(value)
    except Unknowable as problem:
        return problem.reason
    return ""
