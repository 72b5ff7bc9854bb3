"""Events inside the hub: stored bytes, and slotted records decoded from them.

pydantic validates once, where a fact comes in. From then on an event is the bytes that were stored; whoever needs
fields decodes them into a msgspec record generated from the same pydantic models, in half a microsecond.
"""

import types
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec

from hub.events.base import Data
from hub.events.catalogue import BY_CODE, CUSTOM, EventType, event_type


class Account(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    server: str
    login: int
    group: str | None = None
    currency: str | None = None

    @property
    def key(self) -> str:
        return f"{self.server}:{self.login}"


class Flags(msgspec.Struct, frozen=True, gc=False):
    replayed: bool = False
    degraded: bool = False


class Envelope(msgspec.Struct, frozen=True, gc=False):
    """An event as it is stored: everything but its `sequence`, which the log gives; `data` stays encoded."""

    id: str
    type: str
    timestamp: datetime
    received_at: datetime
    source: str
    dedupe_key: str
    data: msgspec.Raw
    server_time: str | None = None
    account: Account | None = None
    schema: int = 1
    caused_by: str | None = None
    endpoints: list[str] | None = None
    flags: Flags = Flags()


class Wire(msgspec.Struct, frozen=True, gc=False):
    """An event as a receiver gets it (Standard Webhooks): id, type, timestamp, account, sequence, data."""

    id: str
    type: str
    timestamp: datetime
    account: Account | None
    sequence: int | None
    data: msgspec.Raw


class CustomRecord:
    """Data of a ``custom.*`` event: any JSON object; a field that is not there is None."""

    __slots__ = ("_fields", "id", "timestamp", "type")

    def __init__(self, fields: dict[str, Any]) -> None:
        self._fields = fields
        self.id = ""
        self.type = ""
        self.timestamp: datetime | None = None

    def __getattr__(self, name: str) -> Any:
        return self._fields.get(name)

    def asdict(self) -> dict[str, Any]:
        return {**self._fields, "id": self.id, "type": self.type, "timestamp": self.timestamp}


def _record_type(annotation: Any) -> Any:
    """Return the msgspec type for a pydantic annotation: constraints were checked at the edge and fall away here."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _record_type(get_args(annotation)[0])
    if origin is Literal:
        return str
    if annotation is type(None):
        return None
    if origin in {Union, types.UnionType}:
        members = {_record_type(member) for member in get_args(annotation)}
        plain = members - {None}
        return Any if len(plain) > 1 else plain.pop() | None
    if origin in {dict, list}:
        return origin
    if isinstance(annotation, type) and annotation in {str, int, bool, Decimal, datetime}:
        return annotation
    return Any


def _record_for(model: type[Data]) -> type[msgspec.Struct]:
    fields: list[Any] = []
    for name, field in model.model_fields.items():
        kind = _record_type(field.annotation)
        if field.is_required():
            fields.append((name, kind))
        elif isinstance(field.default, dict):
            fields.append((name, kind, msgspec.field(default_factory=dict)))
        else:
            fields.append(
                (name, kind | None if field.default is None and kind is not Any else kind, field.default)
            )
    # The envelope's own fields stand beside the data, because `event.id` and `event.lots` read alike in a workflow.
    fields += [("id", str, ""), ("type", str, ""), ("timestamp", datetime | None, None)]
    return msgspec.defstruct(model.__name__ + "Record", fields, kw_only=True)


RECORDS: dict[type[Data], type[msgspec.Struct]] = {
    kind.model: _record_for(kind.model) for kind in BY_CODE.values() if kind is not CUSTOM
}
_DECODERS = {
    kind.name: msgspec.json.Decoder(RECORDS[kind.model]) for kind in BY_CODE.values() if kind is not CUSTOM
}
_decode_custom = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal).decode
decode_envelope = msgspec.json.Decoder(Envelope).decode
encode = msgspec.json.Encoder().encode


def decode_data(envelope: Envelope) -> Any:
    """Return the record of an event's data, with `id`, `type` and `timestamp` of its envelope beside the fields."""
    decoder = _DECODERS.get(envelope.type)
    record: Any = decoder.decode(envelope.data) if decoder else CustomRecord(_decode_custom(envelope.data))
    record.id = envelope.id
    record.type = envelope.type
    record.timestamp = envelope.timestamp
    return record


def record_type(event_type: str) -> type[msgspec.Struct] | None:
    """Return the record of a type of the catalogue; None for one whose data is whatever was posted."""
    decoder = _DECODERS.get(event_type)
    found: type[msgspec.Struct] | None = decoder.type if decoder is not None else None
    return found


def fields_of(record: Any) -> dict[str, Any]:
    """Return a record as a mapping, for where its fields are looked up by name."""
    if isinstance(record, CustomRecord):
        return record.asdict()
    return msgspec.structs.asdict(record)


def wire(body: bytes, sequence: int | None) -> bytes:
    """Return what a receiver gets for a stored event."""
    event = decode_envelope(body)
    return encode(Wire(event.id, event.type, event.timestamp, event.account, sequence, event.data))


def type_of(envelope: Envelope) -> EventType:
    found = event_type(envelope.type)
    assert found is not None, envelope.type
    return found
