"""Reading bodies of inputs that come from outside the process: typed JSON of a bounded size."""

from collections.abc import Callable
from typing import TypeVar

import msgspec

from hub.errors import RecordMalformed

T = TypeVar("T")


def bounded(model: type[T], what: str, most: int) -> Callable[[bytes], T]:
    """Return what reads a body as `model`; it raises RecordMalformed for more than `most` bytes, and for what is none."""
    read = msgspec.json.Decoder(model).decode

    def decode(body: bytes) -> T:
        if len(body) > most:
            raise RecordMalformed(f"{what} of {len(body)} bytes: at most {most} are read")
        try:
            return read(body)
        except msgspec.DecodeError as problem:
            raise RecordMalformed(f"not {what}: {problem}") from problem

    return decode
