"""JSON as the gateways write it: amounts and prices are numbers, exactly as many digits as they have."""

from decimal import Decimal
from typing import TypeVar

import msgspec

from hub.sim.model import Refused

LARGEST_FRAME = 1 << 20
LARGEST_NUMBER = Decimal(10) ** 12
MOST_DIGITS = 20
MOST_DECIMALS = 17

_encoder = msgspec.json.Encoder(decimal_format="number")

Shape = TypeVar("Shape")


def encode(value: object) -> bytes:
    return _encoder.encode(value)


def is_plausible(number: Decimal) -> bool:
    """Return whether a number can be reckoned with: an endless or enormous one would break decimal arithmetic."""
    if not number.is_finite():
        return False
    _, digits, exponent = number.as_tuple()
    return abs(number) <= LARGEST_NUMBER and len(digits) <= MOST_DIGITS and int(exponent) >= -MOST_DECIMALS


def read(shape: type[Shape], data: bytes | msgspec.Raw) -> Shape:
    """Decode what a client sent; what does not fit is refused with the reason, not with a traceback."""
    try:
        value = msgspec.json.decode(data, type=shape)
    except (msgspec.MsgspecError, RecursionError, ValueError) as error:
        raise Refused(f"Invalid parameters: {error}", "INVALID_PARAMETERS") from error
    for name in getattr(shape, "__struct_fields__", ()):
        field = getattr(value, name)
        if isinstance(field, Decimal) and not is_plausible(field):
            raise Refused(f"Invalid parameters: {name} is out of range", "INVALID_PARAMETERS")
    return value
