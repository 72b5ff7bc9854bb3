"""What one process of the hub leaves for a partition's owner: a fact, or an input that is none.

One byte says which, the rest is the fact as processes tell each other facts, or the input's fields as msgpack.
"""

from typing import Final

import msgspec

from hub.bus.log import InputKind, NewInput
from hub.bus.told import decode as decode_told
from hub.bus.told import encode as encode_told
from hub.errors import RecordMalformed
from hub.events.facts import Fact
from hub.ids import PARTITIONS

_FACT: Final = b"F"
_INPUT: Final = b"I"


class _Left(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """An input without its partition, which is that of its row."""

    kind: InputKind
    key: str
    ref: str
    body: bytes
    unique: str | None


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Left).decode


def encode_fact(fact: Fact) -> bytes:
    return _FACT + encode_told(fact)


def encode_input(item: NewInput) -> bytes:
    return _INPUT + _encode(_Left(item.kind, item.key, item.ref, item.body, item.unique))


def decode(body: bytes, partition: int) -> Fact | NewInput:
    """Return what was left in a partition; raises RecordMalformed, whatever the bytes are."""
    if not 0 <= partition < PARTITIONS:
        raise RecordMalformed(f"there is no partition {partition}, only {PARTITIONS} from 0 on")
    match body[:1]:
        case b"F":
            return decode_told(body[1:], partition)
        case b"I":
            try:
                left = _decode(memoryview(body)[1:])
            except (ValueError, RecursionError, OverflowError) as error:  # msgspec's errors are ValueErrors
                raise RecordMalformed(
                    f"an input left for partition {partition} cannot be read: {error}"
                ) from error
            return NewInput(partition, left.kind, left.key, left.ref, left.body, left.unique)
        case other:
            raise RecordMalformed(
                f"what was left for partition {partition} is of kind {other!r}: upgrade every process of the hub"
            )
