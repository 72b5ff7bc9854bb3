"""Rows of what stands at present: open positions, what other keys were told of them, what is known of a symbol or group."""

from datetime import datetime
from decimal import Decimal
from typing import Final

import msgspec


class PositionRow(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """An open position as its events told it. A field nobody has told is None; without lots it is over.

    `deal` opened it, `last` changed it last; of one that was closed in part MT4 names the rest by another ticket.
    `login` is that of its account, where the position is a key of its own.
    """

    id: int
    lots: Decimal
    symbol: str | None = None
    symbol_class: str | None = None
    side: str | None = None
    open_price: Decimal | None = None
    sl: Decimal | None = None
    tp: Decimal | None = None
    opened_at: datetime | None = None
    magic: int | None = None
    comment: str | None = None
    deal: int | None = None
    last: int | None = None
    in_parts: bool = False
    v: int = 1
    login: int | None = None


INNER = frozenset({"deal", "last", "in_parts", "v", "login"})  # no expression reads these


class Told(msgspec.Struct, frozen=True, gc=False):
    """What another key was told this account contributes to its aggregates over what stands, by their names."""

    parts: dict[str, str]
    v: int = 1


class Followed(msgspec.Struct, frozen=True, gc=False):
    """Which triggers the account's open positions were told for; `parts` is a hash of their names."""

    parts: str
    v: int = 1


class ThingRow(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """What events told of a symbol or a group."""

    name: str = ""
    v: int = 1


# Made by a call, because no line of Python may call a field `class`.
SymbolRow: Final = msgspec.defstruct(
    "SymbolRow",
    [
        ("class", str | None, None),
        ("digits", int | None, None),
        ("contract_size", Decimal | None, None),
        # Of the crossing a run began with; no row that is kept has them.
        ("bid", Decimal | None, None),
        ("ask", Decimal | None, None),
        ("spread", Decimal | None, None),
    ],
    bases=(ThingRow,),
    module=__name__,
    frozen=True,
    gc=False,
    omit_defaults=True,
)


class GroupRow(ThingRow, frozen=True, gc=False, omit_defaults=True):
    currency: str | None = None
    margin_call: Decimal | None = None
    stop_out: Decimal | None = None
