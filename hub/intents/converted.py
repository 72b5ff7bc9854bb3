"""Which amount an intent's amount was made of, and by which rate: it stands among the parameters, beside the conditions."""

from typing import Final

import msgspec

CONVERTED: Final = "$converted"  # no parameter can be called that


class Converted(msgspec.Struct, frozen=True):
    """`amount` in `currency` was booked at `rate`, which was that of the moment `at`."""

    amount: str
    currency: str
    rate: str
    at: str


_encode = msgspec.json.Encoder().encode
_parts = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def with_conversion(params: bytes, converted: Converted) -> bytes:
    """Return parameters that say what they were converted from; a backend never sees it."""
    return _encode({**_parts(params), CONVERTED: converted})
