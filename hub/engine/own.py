"""What a key that is a position, a symbol or a group knows of itself: one row, told by the events it hears of. Pure."""

from collections.abc import Mapping
from typing import Any, Final

from msgspec import DecodeError
from msgspec.structs import replace

from hub.engine.account_rows import AccountRow
from hub.engine.fold import fold_thing
from hub.engine.held import INNER, GroupRow, PositionRow, SymbolRow, ThingRow
from hub.engine.keys import KeyedBy, KeyKind
from hub.engine.values import Kind, Slot
from hub.errors import RecordMalformed
from hub.events.records import Envelope
from hub.events.watched import POSITION_CROSSED, SYMBOL_CROSSED, SYMBOL_QUOTED, decode_first_quote

Own = PositionRow | ThingRow
# The root such a key is read by is what its kind is called.
SLOTS: Final[Mapping[KeyedBy, Slot]] = {
    KeyKind.POSITION: (Kind.POSITION.value, ""),
    KeyKind.SYMBOL: (Kind.SYMBOL.value, ""),
    KeyKind.GROUP: (Kind.GROUP.value, ""),
}
# What such a key hears of whatever its workflows read.
TOLD_BY: Final[Mapping[KeyedBy, frozenset[str]]] = {
    KeyKind.POSITION: frozenset({POSITION_CROSSED}),
    KeyKind.SYMBOL: frozenset({"symbol.updated", SYMBOL_CROSSED}),
    KeyKind.GROUP: frozenset({"group.updated"}),
}
_CHANGED: Final = frozenset({"symbol.updated", "group.updated"})


def told_of(kind: KeyedBy, key: str, known: object, event: Envelope, data: Any, account: AccountRow) -> Own:
    """Return what is known of a symbol or a group after an event it heard of."""
    name = key.partition("=")[2].partition(":")[2]
    if kind is KeyKind.SYMBOL:
        row: Any = known if isinstance(known, SymbolRow) else SymbolRow(name=name)
        said = {"class": getattr(data, "symbol_class", None)}
    else:
        row = known if isinstance(known, GroupRow) else GroupRow(name=name)
        said = {"currency": account.currency}
    changes = {field: value for field, value in said.items() if isinstance(value, str)}
    if event.type in _CHANGED:
        changes |= fold_thing(data.changed)
    changes = {field: value for field, value in changes.items() if field in row.__struct_fields__}
    found: Own = replace(row, **changes) if changes else row
    return found


def quoted(key: str, known: object, body: bytes) -> ThingRow:
    """Return what is known of a symbol once somebody quotes it."""
    try:
        told = decode_first_quote(body)
    except DecodeError as problem:
        raise RecordMalformed(f"{SYMBOL_QUOTED}: {problem}") from problem
    name = key.partition("=")[2].partition(":")[2]
    row: Any = known if isinstance(known, SymbolRow) else SymbolRow(name=name)
    changes = {"class": told.symbol_class} if told.symbol_class is not None else {}
    found: ThingRow = replace(row, **changes)
    return found


def with_quote(row: object, event: Any) -> object:
    """Return a symbol with the bid, the ask and the spread a crossing was seen with."""
    if isinstance(row, SymbolRow) and getattr(event, "type", None) == SYMBOL_CROSSED:
        return replace(row, bid=event.bid, ask=event.ask, spread=event.ask - event.bid)
    return row


def changed(kind: KeyedBy, before: object, now: Own | None) -> tuple[str, ...]:
    """Return the fields that differ, as conditions name them."""
    if now is None or now == before:
        return ()
    names = (name for name in now.__struct_fields__ if name not in INNER)
    return tuple(f"{kind}.{name}" for name in names if getattr(now, name) != getattr(before, name, None))
