"""What a field of a declared event may hold, how it is written in JSON, and how a value told of it is made that."""

import re
from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache
from typing import Annotated, Any, Final

from pydantic import Field, TypeAdapter, ValidationError

from hub import durations
from hub.events.base import Amount, Moment
from hub.events.decimals import DIGITS_AFTER, DIGITS_BEFORE, plain

DEFAULT_LENGTH: Final = 256
LONGEST: Final = 4096


class FieldType(StrEnum):
    STRING = "string"
    INTEGER = "integer"
    DECIMAL = "decimal"
    BOOLEAN = "boolean"
    MOMENT = "moment"
    DATE = "date"
    DURATION = "duration"


SPOKEN: Final[Mapping[FieldType, str]] = {
    FieldType.STRING: "text",
    FieldType.INTEGER: "a whole number",
    FieldType.DECIMAL: "a decimal",
    FieldType.BOOLEAN: "true or false",
    FieldType.MOMENT: "a moment",
    FieldType.DATE: "a date",
    FieldType.DURATION: "a duration",
}
# What people write for a type of ours.
MEANT: Final[Mapping[str, FieldType]] = {
    "text": FieldType.STRING, "str": FieldType.STRING, "int": FieldType.INTEGER, "whole": FieldType.INTEGER,
    "number": FieldType.DECIMAL, "money": FieldType.DECIMAL, "percent": FieldType.DECIMAL, "float": FieldType.DECIMAL,
    "bool": FieldType.BOOLEAN, "flag": FieldType.BOOLEAN, "time": FieldType.MOMENT, "timestamp": FieldType.MOMENT,
    "datetime": FieldType.MOMENT, "day": FieldType.DATE, "span": FieldType.DURATION,
}  # fmt: skip
_SAMPLES: Final[Mapping[FieldType, object]] = {
    FieldType.STRING: "text",
    FieldType.INTEGER: 1,
    FieldType.DECIMAL: "1.25",
    FieldType.BOOLEAN: True,
    FieldType.MOMENT: "2026-06-23T09:00:00Z",
    FieldType.DATE: "2026-06-23",
    FieldType.DURATION: "6h",
}
_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_PRINTABLE: Final = r"^[^\x00-\x1f\x7f]*$"
_INTEGERS: Final = 2**63
_UNITS: Final = tuple(
    (name, timedelta(**{unit: 1}))
    for name, unit in (
        ("d", "days"),
        ("h", "hours"),
        ("m", "minutes"),
        ("s", "seconds"),
        ("ms", "milliseconds"),
    )
)
_decimal: Final = TypeAdapter[Decimal](Amount)
_moment: Final = TypeAdapter[datetime](Moment)


class Misfit(ValueError):
    """A value that is none of its field's type."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def read(kind: FieldType, longest: int, value: object) -> object:
    """Return a value as it is stored. Raises Misfit."""
    if kind is FieldType.STRING:
        return _text(value, longest)
    return _READERS[kind](value)


def sample(kind: FieldType) -> object:
    return _SAMPLES[kind]


@lru_cache(maxsize=256)
def _schema(kind: FieldType, longest: int) -> dict[str, Any]:
    match kind:
        case FieldType.STRING:
            return {"type": "string", "maxLength": longest, "pattern": _PRINTABLE}
        case FieldType.INTEGER:
            whole = Annotated[int, Field(ge=-_INTEGERS, lt=_INTEGERS)]
            return TypeAdapter(whole).json_schema()
        case FieldType.DECIMAL:
            return _decimal.json_schema()
        case FieldType.BOOLEAN:
            return {"type": "boolean"}
        case FieldType.MOMENT:
            return {"type": "string", "format": "date-time"}
        case FieldType.DATE:
            return {"type": "string", "format": "date"}
        case FieldType.DURATION:
            return {"type": "string", "pattern": durations.FORM}


def json_schema(kind: FieldType, longest: int) -> dict[str, Any]:
    return dict(_schema(kind, longest))


def _text(value: object, longest: int) -> str:
    if not isinstance(value, str):
        raise Misfit("should be text")
    if len(value) > longest:
        raise Misfit(f"has {len(value)} characters, {longest} are allowed")
    if _CONTROL.search(value):
        raise Misfit("should be one line, without control characters")
    return value


def _integer(value: object) -> int:
    # What an expression works out is a Decimal, whole or not.
    if (
        isinstance(value, Decimal)
        and value.is_finite()
        and -_INTEGERS <= value < _INTEGERS
        and value == int(value)
    ):
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise Misfit("should be a whole number, without quotes")
    if not -_INTEGERS <= value < _INTEGERS:
        raise Misfit("should be a whole number below 2**63")
    return value


def _number(value: object) -> str:
    """Return the decimal as text: custom events have no field of their own that would spell a small one out."""
    try:
        return plain(_decimal.validate_python(value))
    except ValidationError:
        raise Misfit(
            f'should be a decimal such as "1.25", with at most {DIGITS_BEFORE} digits before the point and '
            f"{DIGITS_AFTER} after it"
        ) from None


def _boolean(value: object) -> bool:
    if not isinstance(value, bool):
        raise Misfit("should be true or false, without quotes")
    return value


def _time(value: object) -> datetime:
    try:
        return _moment.validate_python(value)
    except ValidationError as error:
        reason = error.errors(include_url=False, include_input=False)[0]["msg"]
        raise Misfit(reason.removeprefix("Input ") if reason.startswith("Input ") else reason) from None


def _day(value: object) -> str:
    if isinstance(value, str) and _DAY.fullmatch(value):
        try:
            date.fromisoformat(value)
        except ValueError:
            raise Misfit("is no day of the calendar") from None
        return value
    raise Misfit("should be a date such as 2026-06-23")


def _span(value: object) -> str:
    if isinstance(value, timedelta):
        value = _spelled(value)
    if not isinstance(value, str):
        raise Misfit("should be a duration such as 30s, 5m, 6h or 7d")
    try:
        durations.duration(value)
    except ValueError as error:
        raise Misfit(str(error)) from None
    return value


def _spelled(length: timedelta) -> str:
    """Return a duration as files write it: what is below a millisecond falls away."""
    for name, unit in _UNITS:
        if not length % unit:
            return f"{length // unit}{name}"
    return f"{length // timedelta(milliseconds=1)}ms"


_READERS: Final[Mapping[FieldType, Callable[[object], object]]] = {
    FieldType.INTEGER: _integer,
    FieldType.DECIMAL: _number,
    FieldType.BOOLEAN: _boolean,
    FieldType.MOMENT: _time,
    FieldType.DATE: _day,
    FieldType.DURATION: _span,
}
