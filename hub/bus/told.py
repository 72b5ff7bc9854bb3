"""A fact as one process of the hub tells it to another: compact, bounded, and read with suspicion.

One byte of version, then msgpack. The stored envelope is the payload; what follows from it is not repeated.
"""

from typing import Final, NoReturn

import msgspec

from hub import ids
from hub.errors import RecordMalformed
from hub.events.catalogue import event_type
from hub.events.facts import EVENT_PREFIX, Entity, Fact, stored, us_of
from hub.events.records import Envelope, decode_envelope

MOST_BYTES: Final = 2 * 1024 * 1024
_VERSION: Final = b"\x01"
_KEY_BYTES: Final = 16


class _Told(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """`entity` is its name and its state."""

    key: bytes
    entity: tuple[str, str] | None
    envelope: bytes


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Told).decode


def encode(fact: Fact) -> bytes:
    """Return the fact as bytes; raises RecordMalformed when it is too large for anybody to take."""
    entity = (fact.entity.name, fact.entity.state) if fact.entity else None
    data = _VERSION + _encode(_Told(fact.key, entity, stored(fact.envelope)))
    if len(data) > MOST_BYTES:
        _refuse(f"it has {len(data)} bytes, and a fact has at most {MOST_BYTES}: tell it in parts")
    return data


def decode(data: bytes, partition: int) -> Fact:
    """Return the fact that was told in a partition; raises RecordMalformed, whatever the bytes are."""
    if len(data) > MOST_BYTES:
        _refuse(f"it has {len(data)} bytes, and a fact has at most {MOST_BYTES}")
    if data[:1] != _VERSION:
        _refuse(
            f"its version is {data[:1].hex() or 'missing'}, and this hub reads {_VERSION.hex()}: "
            "upgrade every process of the hub"
        )
    try:
        told = _decode(memoryview(data)[1:])
        return _checked(told, decode_envelope(told.envelope), partition)
    except (ValueError, RecursionError, OverflowError) as error:  # msgspec's errors are ValueErrors
        raise RecordMalformed(f"a fact cannot be taken: {error}") from error


def _checked(told: _Told, envelope: Envelope, partition: int) -> Fact:
    kind = event_type(envelope.type)
    if kind is None:
        _refuse("this hub knows no event of its type: upgrade every process of the hub")
    if envelope.timestamp.tzinfo is None or envelope.received_at.tzinfo is None:
        _refuse("its moments name no time zone")
    account = envelope.account
    # Account and entity become text in rows, which can hold everything but this.
    if "\0" in (account.server if account else "") or "\0" in (
        told.entity[0] + told.entity[1] if told.entity else ""
    ):
        _refuse("the name of its account or entity holds a NUL")
    home = (
        ids.partition_of(account.server, account.login) if account else ids.partition_of_key(envelope.source)
    )
    if home != partition:
        _refuse(f"it belongs into partition {home} and not {partition}")
    if told.entity is not None:
        if told.key or envelope.id:
            _refuse("an entity's change gets its key from the log, and this one has its own")
    elif len(told.key) != _KEY_BYTES or ids.to_id(EVENT_PREFIX, told.key) != envelope.id:
        _refuse("its id is not that of its key")
    return Fact(
        key=told.key,
        partition=partition,
        account=account.key if account else "",
        type_code=kind.code,
        event_us=us_of(envelope.timestamp),
        envelope=envelope,
        content=bytes(envelope.data),
        entity=Entity(*told.entity) if told.entity else None,
    )


def _refuse(reason: str) -> NoReturn:
    raise RecordMalformed(f"a fact cannot be taken: {reason}")
