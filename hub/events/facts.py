"""From a validated model to a fact the log can take: its key, its partition, its stored bytes."""

import re
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

import msgspec
from pydantic import BaseModel

from hub import ids
from hub.clock import EPOCH, from_us
from hub.events.base import AccountRef, Data
from hub.events.catalogue import CUSTOM, EventType, Kind, event_type
from hub.events.records import Account, Envelope, Flags, encode

EVENT_PREFIX = "evt"
_NO_FLAGS = Flags()
# Behind other fields always, and inside of a text a quotation mark has a backslash before it.
_ADDED = re.compile(
    rb',"(?:symbol_class|amount_base|net_profit_base|notional_base|rate|rate_at|notional_rate|notional_rate_at)":"(?:[^"\\]|\\.)*"'
)
# The words of a numbered key's text, spelled once: an enum's name is a slow property.
_NUMBER_WORDS = {kind: kind.name.lower() for kind in Kind}
_as_moment = lru_cache(maxsize=64)(from_us)  # the events of one request share the moment they came in


@dataclass(frozen=True, slots=True)
class Entity:
    """A thing whose state changes have no number of their own: the log counts its changes to tell them apart."""

    name: str
    state: str


class Fact(msgspec.Struct, frozen=True, gc=False):
    """One event on its way into the log. `key` is final unless `entity` is set: then the log derives it.

    `content` is what the same key must always say; a second telling with other content is a mismatch, not a new fact.
    """

    key: bytes
    partition: int
    account: str
    type_code: int
    event_us: int
    envelope: Envelope
    content: bytes
    entity: Entity | None = None


def numbered_key(
    kind: EventType, server: str, data: object, *, has_own: bool = False
) -> tuple[bytes, str] | None:
    """Return the packed key and its text, or None when the data names no deal, ticket or order.

    A position is MT4's ticket, which closes once; MT5's may close in parts. So a sender's own key, where there is one,
    says more than a position without a deal.
    """
    for field, number_kind in kind.numbers:
        number = getattr(data, field, None)
        if number and not (has_own and number_kind is Kind.TICKET):
            key = ids.numbered(ids.server_number(server), number_kind, number, kind.code)
            return key, f"{server}:{_NUMBER_WORDS[number_kind]}:{number}:{kind.name}"
    return None


def make_fact(
    kind: EventType,
    name: str,
    data: Data,
    *,
    timestamp: datetime,
    received_us: int,
    source: str,
    account: AccountRef | None = None,
    dedupe_key: str | None = None,
    server_time: str | None = None,
    caused_by: str | None = None,
    endpoints: list[str] | None = None,
    entity: Entity | None = None,
    replayed: bool = False,
    degraded: bool = False,
    event_us: int | None = None,
) -> Fact:
    """Return the fact; without a number in the data, an entity or a `dedupe_key`, its content is its identity.

    `event_us` is `timestamp` in microseconds, from whoever has worked it out already.
    """
    who = Account(account.server, account.login, account.group, account.currency) if account else None
    return fact_of(
        kind,
        name,
        data,
        encode_data(data),
        timestamp,
        us_of(timestamp) if event_us is None else event_us,
        received_us,
        source,
        who,
        dedupe_key,
        server_time,
        caused_by,
        endpoints,
        entity,
        Flags(replayed, degraded) if replayed or degraded else _NO_FLAGS,
    )


def fact_of(
    kind: EventType,
    name: str,
    data: object,
    content: bytes,
    timestamp: datetime,
    event_us: int,
    received_us: int,
    source: str,
    account: Account | None,
    dedupe_key: str | None,
    server_time: str | None,
    caused_by: str | None = None,
    endpoints: list[str] | None = None,
    entity: Entity | None = None,
    flags: Flags = _NO_FLAGS,
) -> Fact:
    """Return the fact for data that is encoded already: `content` is its text, `data` has its numbers as attributes."""
    server = account.server if account else source
    known = (
        numbered_key(kind, server, data, has_own=dedupe_key is not None)
        if entity is None and account is not None
        else None
    )
    if known:
        key, text = known
    elif entity is not None:
        key, text = b"", entity.name
    else:
        text = (
            f"{source}:{name}:{dedupe_key}"
            if dedupe_key
            else f"{source}:{name}:{timestamp.isoformat()}:{content.decode()}"
        )
        if account is not None and not dedupe_key:
            text = f"{account.server}:{account.login}:{text}"
        key = ids.hashed(ids.server_number(server), text)
        text = text if dedupe_key else f"{source}:{name}:{key.hex()}"
    # Positions and not names: with so many fields the names cost as much as the rest.
    envelope = Envelope(
        ids.to_id(EVENT_PREFIX, key) if key else "",
        name,
        timestamp,
        _as_moment(received_us),
        source,
        text,
        msgspec.Raw(content),
        server_time,
        account,
        kind.schema,
        caused_by,
        endpoints,
        flags,
    )
    return Fact(
        key,
        ids.partition_of(server, account.login) if account else ids.partition_of_key(server),
        account.key if account else "",
        kind.code,
        event_us,
        envelope,
        content,
        entity,
    )


def with_entity_version(fact: Fact, version: int) -> Fact:
    """Return the fact with the key its entity's count of changes gives it."""
    assert fact.entity is not None
    text = f"{fact.entity.name}:{version}:{ids.short_hash(fact.entity.state)}"
    server = fact.envelope.account.server if fact.envelope.account else fact.envelope.source
    key = ids.hashed(ids.server_number(server), f"{fact.envelope.type}:{text}")
    envelope = msgspec.structs.replace(fact.envelope, id=ids.to_id(EVENT_PREFIX, key), dedupe_key=text)
    return Fact(
        key, fact.partition, fact.account, fact.type_code, fact.event_us, envelope, fact.content, fact.entity
    )


def says_the_same(type_name: str, first: bytes, again: bytes) -> bool:
    """Return whether two tellings of one fact agree in what was told: what the hub adds to it changes with its settings."""
    if first == again:
        return True
    return event_type(type_name) is not CUSTOM and _ADDED.sub(b"", first) == _ADDED.sub(b"", again)


def us_of(moment: datetime) -> int:
    """Return microseconds since the epoch, exactly: `to_us` without a division of timedeltas."""
    since = moment - EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def _inside(value: object) -> object:
    """Return what stands inside of data as a model of its own: a `Change`, with its None for what is not known."""
    if isinstance(value, BaseModel):
        return value.__dict__
    raise TypeError(f"{type(value).__name__} is no part of an event")


_encode_data = msgspec.json.Encoder(enc_hook=_inside).encode


def encode_data(data: Data) -> bytes:
    """Return the data as JSON: absent fields left out, decimals as plain strings, times in UTC."""
    fields: dict[str, Any] = {name: value for name, value in data.__dict__.items() if value is not None}
    extra = data.__pydantic_extra__
    text = _encode_data({**fields, **extra} if extra else fields)
    if b"E-" in text or b"E+" in text:  # Decimal writes 0.00000001 as 1E-8: rare, and spelled out here
        text = data.__pydantic_serializer__.to_json(data, exclude_none=True)
    return text


def stored(envelope: Envelope) -> bytes:
    return encode(envelope)
