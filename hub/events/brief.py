"""Stored events decoded as far as somebody reads them: most conditions look at two fields of twenty."""

from collections.abc import Callable
from datetime import datetime
from functools import lru_cache
from typing import Any

import msgspec

from hub.events.records import Flags, record_type


class Whose(msgspec.Struct, frozen=True, gc=False):
    """What an event tells of its account, for whoever knows which one it is."""

    group: str | None = None
    currency: str | None = None


Brief = Any  # timestamp, account (a `Whose` or None), flags and the record of the data; made for each type


@lru_cache(maxsize=1024)
def brief_decoder(event_type: str, fields: frozenset[str]) -> Callable[[bytes], Brief] | None:
    """Return how to decode an event with no more of its data than these fields; None for a type without known ones.

    A field that nobody reads costs about as much to decode as one that is read. The record's `timestamp` is left to
    whoever decodes, and it has neither `id` nor `type`.
    """
    whole = record_type(event_type)
    if whole is None:
        return None
    told = [field for field in msgspec.structs.fields(whole) if field.name in fields - {"id", "type"}]
    kept: list[Any] = [_field(field) for field in told if field.name != "timestamp"]
    kept.append(("timestamp", datetime | None, None))
    record = msgspec.defstruct(f"Brief{event_type}", kept, kw_only=True, gc=False)
    envelope: list[Any] = [
        ("timestamp", datetime),
        ("data", record),
        ("account", Whose | None, None),
        ("flags", Flags, Flags()),
    ]
    return msgspec.json.Decoder(msgspec.defstruct(f"BriefEnvelope{event_type}", envelope, gc=False)).decode


def _field(field: msgspec.structs.FieldInfo) -> tuple[Any, ...]:
    if field.default_factory is not msgspec.NODEFAULT:
        return field.name, field.type, msgspec.field(default_factory=field.default_factory)
    return (field.name, field.type, *(() if field.default is msgspec.NODEFAULT else (field.default,)))


# A stored event begins with its id, whose length is always the same, and its type. So what stands here is the same for
# many events of one type, and for none of another; to look for where a name ends costs three times as much.
_BEFORE = b'","type":"'
_ID_ENDS = len('{"id":"') + len("evt_") + 26  # 16 bytes in base32
LONGEST = 30  # of a type's name
NEAR_TYPE = slice(_ID_ENDS, _ID_ENDS + len(_BEFORE) + LONGEST + 1)


def tells_type(near: bytes) -> bool:
    """Return whether what stands near the type of a stored event names it whole."""
    return near.startswith(_BEFORE) and near.find(b'"', len(_BEFORE)) > 0


def named_type(body: bytes) -> str:
    """Return the type of a stored event without decoding it."""
    return body.partition(b'"type":"')[2].partition(b'"')[0].decode()


# How an event ends, as it is stored, that no workflow led to; others that none led to may end otherwise.
OF_ITSELF = b'"caused_by":null,"endpoints":null,"flags":{"replayed":false,"degraded":false}}'
