"""Reading what a gateway sent: JSON without binary floats, fields whatever their casing, and errors that name the field."""

from collections.abc import Mapping
from decimal import Decimal, localcontext
from typing import Any

import msgspec

from hub.errors import RecordMalformed

LARGEST_FRAME = 4 * 1024 * 1024
LONGEST_TEXT = 256
_LARGEST_EXPONENT = 15
_PLACES = Decimal("1E-10")
_decode = msgspec.json.Decoder(float_hook=Decimal).decode


def decode(frame: str | bytes, what: str) -> Any:
    """Return the JSON value; numbers with a point become exact decimals."""
    try:
        return _decode(frame)
    except (msgspec.MsgspecError, RecursionError, ValueError, ArithmeticError) as error:
        raise RecordMalformed(f"{what}: not readable as JSON ({error})") from error


def clean_decimal(value: Decimal) -> Decimal:
    """Return the value to ten places without padding: gateways print binary floats, and 1.10 and 1.1 are one amount."""
    if not value.is_finite() or value.adjusted() > _LARGEST_EXPONENT:
        raise ValueError("a number the hub can hold")
    with localcontext(prec=40):
        short = value.quantize(_PLACES).normalize()
        exponent = short.as_tuple().exponent
        whole = isinstance(exponent, int) and exponent > 0
        return short.quantize(Decimal(1)) if whole else short + 0  # `+ 0` makes -0 plain 0


def clean_text(text: str) -> str:
    """Return the text without control characters, cut to what an event may hold."""
    if text.isprintable() and len(text) <= LONGEST_TEXT:
        return text
    return "".join(" " if c < " " or c == "\x7f" else c for c in text[:LONGEST_TEXT])


class Fields:
    """One JSON object of a source. Names are lower case here, because builds of one gateway differ in casing."""

    def __init__(self, raw: object, what: str) -> None:
        if not isinstance(raw, Mapping):
            raise RecordMalformed(f"{what}: expected an object, got {type(raw).__name__}")
        self._raw: dict[str, Any] = {str(name).lower(): value for name, value in raw.items()}
        self._what = what

    def has(self, name: str) -> bool:
        return self._raw.get(name) is not None

    def value(self, name: str) -> Any:
        return self._raw.get(name)

    def integer(self, name: str, default: int | None = None) -> int:
        value = self._found(name, default)
        if isinstance(value, str) and value.isascii() and value.lstrip("-").isdecimal() and len(value) <= 20:
            value = int(value)
        if isinstance(value, Decimal) and value.is_finite() and value.adjusted() < 20 and value == int(value):
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not -(2**63) <= value < 2**64:
            raise self._wrong(name, "a whole number", value)
        return value

    def decimal(self, name: str, default: Decimal | None = None) -> Decimal:
        value = self._found(name, default)
        if isinstance(value, bool) or not isinstance(value, int | Decimal | str):
            raise self._wrong(name, "a number", value)
        try:
            return clean_decimal(Decimal(value))
        except (ArithmeticError, ValueError) as error:
            raise self._wrong(name, "a number", value) from error

    def text(self, name: str, default: str | None = None) -> str:
        value = self._found(name, default)
        if not isinstance(value, str):
            raise self._wrong(name, "text", value)
        return clean_text(value)

    def flag(self, name: str, default: bool | None = None) -> bool:
        value = self._found(name, default)
        if isinstance(value, int) and value in {0, 1}:
            return bool(value)
        raise self._wrong(name, "true or false", value)

    def child(self, name: str) -> "Fields | None":
        value = self._raw.get(name)
        return None if value is None else Fields(value, f"{self._what}.{name}")

    def _found(self, name: str, default: Any) -> Any:
        value = self._raw.get(name)
        if value is not None:
            return value
        if default is None:
            raise RecordMalformed(f"{self._what}: field {name!r} is missing")
        return default

    def _wrong(self, name: str, expected: str, value: object) -> RecordMalformed:
        return RecordMalformed(f"{self._what}: field {name!r} should be {expected}, got {str(value)[:64]!r}")


def rows(raw: object, what: str, most: int) -> list[object]:
    """Return a list of at most `most` items."""
    if raw is None:
        return []
    if not isinstance(raw, list):
        raise RecordMalformed(f"{what}: expected a list, got {type(raw).__name__}")
    if len(raw) > most:
        raise RecordMalformed(f"{what}: {len(raw)} rows, more than the {most} the hub reads at once")
    return raw
