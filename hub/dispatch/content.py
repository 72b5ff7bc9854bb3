"""What an endpoint's filter and template can name of an event: what its receiver gets, under the names it has there.

Filters read what is stored, templates what was made ready for sending; both are typed by the catalogue's own models.
"""

import types
from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Annotated, Any, Final, Literal, Protocol, Union, get_args, get_origin

import msgspec

from hub.dispatch.patterns import matches
from hub.events.catalogue import BY_NAME, CUSTOM
from hub.events.declared import Declared
from hub.events.records import RECORDS, Account
from hub.expr import Kind, Scope, Type
from hub.expr.declared import declared_fields

_STRING: Final = Type(Kind.STRING)
_NUMBER: Final = Type(Kind.NUMBER)
_ANY: Final = Type(Kind.ANY, optional=True)
_SIMPLE: Final[Mapping[Any, Type]] = {
    str: _STRING,
    int: _NUMBER,
    Decimal: _NUMBER,
    bool: Type(Kind.BOOL),
    datetime: Type(Kind.TIME),
}
_ACCOUNT: Final = Type(
    Kind.OBJECT,
    optional=True,
    mapping=True,
    fields={
        "server": _STRING,
        "login": _NUMBER,
        "group": _STRING.or_missing(),
        "currency": _STRING.or_missing(),
    },
)
ROOTS: Final = ("id", "type", "timestamp", "account", "data")

_DECODERS: Final = {
    name: msgspec.json.Decoder(RECORDS[kind.model]) for name, kind in BY_NAME.items() if kind is not CUSTOM
}
_decode_any: Final = msgspec.json.Decoder(dict[str, Any]).decode
_ENVELOPES_OWN: Final = frozenset({"id", "type", "timestamp"})


class Told(Protocol):
    """An event as it is stored, or as it is sent."""

    @property
    def id(self) -> str: ...
    @property
    def type(self) -> str: ...
    @property
    def timestamp(self) -> datetime: ...
    @property
    def account(self) -> Account | None: ...
    @property
    def data(self) -> msgspec.Raw: ...


def values_of(event: Told) -> dict[str, object]:
    """Return the values behind the names. Raises msgspec.DecodeError for data that is not of its type."""
    decoder = _DECODERS.get(event.type)
    if decoder is None:
        data = _decode_any(event.data)
    else:
        fields = msgspec.structs.asdict(decoder.decode(event.data))
        data = {
            name: value for name, value in fields.items() if value is not None and name not in _ENVELOPES_OWN
        }
    account = event.account
    return {
        "id": event.id,
        "type": event.type,
        "timestamp": event.timestamp,
        "account": None
        if account is None
        else {n: v for n, v in msgspec.structs.asdict(account).items() if v is not None},
        "data": data,
    }


@lru_cache(maxsize=512)
def scope_of(patterns: tuple[str, ...], declared: tuple[Declared, ...] = ()) -> Scope:
    """Return what can be named of the events these patterns let through; `declared` are those of them that are."""
    return Scope(
        {
            "id": _STRING,
            "type": _STRING,
            "timestamp": Type(Kind.TIME),
            "account": _ACCOUNT,
            "data": _data_of(patterns, declared),
        },
        sampled_allowed=True,
    )


def _data_of(patterns: tuple[str, ...], declared: tuple[Declared, ...]) -> Type:
    known = {each.name for each in declared}
    models = {
        kind.model
        for name, kind in BY_NAME.items()
        if kind is not CUSTOM and any(matches(pattern, name) for pattern in patterns)
    }
    # What an integrator invents has the fields he likes: nothing can be said of them before they come.
    free = (pattern for pattern in patterns if pattern not in known)
    if not (models or declared) or any(each == "*" or each.startswith("custom.") for each in free):
        return Type(Kind.OBJECT, mapping=True)
    found: dict[str, list[Type]] = {}
    for model in models:
        for name, field in model.model_fields.items():
            found.setdefault(name, []).append(_type_of(field.annotation).or_missing(not field.is_required()))
    for each in declared:
        for name, type_ in declared_fields(each).items():
            found.setdefault(name, []).append(type_)
    among = len(models) + len(declared)
    fields = {name: _merged(kinds, among=among) for name, kinds in found.items()}
    return Type(Kind.OBJECT, mapping=True, fields=fields)


def _merged(kinds: Iterable[Type], *, among: int) -> Type:
    kinds = list(kinds)
    first = kinds[0].or_missing(False)
    if any(kind.or_missing(False) != first or kind.written != first.written for kind in kinds):
        return _ANY
    return first.or_missing(len(kinds) < among or any(kind.optional for kind in kinds))


def _type_of(annotation: Any) -> Type:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type_of(arguments[0])
    if origin in {Union, types.UnionType}:
        members = [member for member in arguments if member is not type(None)]
        found = _type_of(members[0]) if len(members) == 1 else _ANY
        return found.or_missing(found.optional or len(members) < len(arguments))
    if origin is Literal:
        return _STRING
    if origin is list:
        return Type(Kind.LIST, item=_type_of(arguments[0]))
    return _SIMPLE.get(annotation, _ANY)
