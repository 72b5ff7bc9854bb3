"""The filters of human text: bounded, exact, and nothing a template could grow with."""

from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from types import MappingProxyType
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec
from jinja2 import Undefined
from jinja2.exceptions import FilterArgumentError, UndefinedError

LONGEST: Final = 65_536
MAX_PLACES: Final = 10


class Encoded(str):
    """A value as JSON, which a JSON text takes as it is."""

    __slots__ = ()


def plain(value: object) -> str:
    """Return a value as a person reads it: no exponent, times in UTC to the second, true and false in words."""
    match value:
        case bool():
            return "true" if value else "false"
        case float():
            return format(Decimal(repr(value)), "f")
        case Decimal():
            return format(value, "f")
        case datetime():
            return value.isoformat(sep=" ", timespec="seconds")
        case _:
            return str(value)


def _default(value: object, fallback: object = "") -> object:
    return fallback if value is None or isinstance(value, Undefined) else value


def _upper(value: object) -> str:
    return plain(value).upper()


def _lower(value: object) -> str:
    return plain(value).lower()


def _capitalize(value: object) -> str:
    return plain(value).capitalize()


def _trim(value: object) -> str:
    return plain(value).strip()


def _truncate(value: object, length: int = 255) -> str:
    text, room = plain(value), max(1, length)
    return text if len(text) <= room else text[: room - 1] + "…"


def _length(value: Any) -> int:
    if isinstance(value, str | list | tuple | Mapping):
        return len(value)
    raise FilterArgumentError("length needs text or a list")


def _join(value: Any, separator: str = ", ") -> str:
    if not isinstance(value, list | tuple) or len(value) * (len(separator) + 1) > LONGEST:
        raise FilterArgumentError("join needs a list of bounded length")
    return separator.join(plain(item) for item in value)


def _rounded(value: Any, places: int) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise FilterArgumentError("a number is needed here")
    if not 0 <= places <= MAX_PLACES:
        raise FilterArgumentError(f"between 0 and {MAX_PLACES} digits after the point")
    try:
        exact = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
        return exact.quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_UP)
    except InvalidOperation as error:
        raise FilterArgumentError("the number is too large to round") from error


def _round(value: Any, places: int = 0) -> Decimal:
    return _rounded(value, places)


def _money(value: Any, places: int = 2) -> str:
    return format(_rounded(value, places), ",f")


def _abs(value: object) -> Decimal | int:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise FilterArgumentError("a number is needed here")
    return value if value >= 0 else -value


def _local(value: object, zone: str) -> datetime:
    if not isinstance(value, datetime):
        raise FilterArgumentError("a time is needed here")
    try:
        return value.astimezone(ZoneInfo(zone))
    except (OSError, ValueError, KeyError, OverflowError) as error:
        raise FilterArgumentError(f"no such time zone: {zone[:64]}") from error


def _date(value: object, zone: str = "UTC") -> str:
    return _local(value, zone).date().isoformat()


def _time(value: object, zone: str = "UTC") -> str:
    return _local(value, zone).time().isoformat(timespec="minutes")


def _json(value: object) -> Encoded:
    if isinstance(value, Undefined):
        raise UndefinedError(value._undefined_name)  # noqa: SLF001 (there is no other way to its name)
    try:
        text = msgspec.json.encode(value).decode()
    except (TypeError, ValueError) as error:
        raise FilterArgumentError("this cannot be written as JSON") from error
    if len(text) > LONGEST:
        raise FilterArgumentError(f"as JSON this has more than {LONGEST} characters")
    return Encoded(text)


FILTERS: Final[Mapping[str, Callable[..., object]]] = MappingProxyType(
    {
        "abs": _abs,
        "capitalize": _capitalize,
        "d": _default,
        "date": _date,
        "default": _default,
        "join": _join,
        "json": _json,
        "length": _length,
        "lower": _lower,
        "money": _money,
        "round": _round,
        "time": _time,
        "trim": _trim,
        "truncate": _truncate,
        "upper": _upper,
    }
)
