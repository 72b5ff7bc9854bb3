"""Rows of what stands at present: the open positions of an account, and what other keys were told of them."""

from datetime import datetime
from decimal import Decimal

import msgspec


class PositionRow(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """An open position as its events told it. A field nobody has told is None; without lots it is over.

    `deal` opened it, `last` changed it last; of one that was closed in part MT4 names the rest by another ticket.
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


INNER = frozenset({"deal", "last", "in_parts", "v"})  # no expression reads these


class Told(msgspec.Struct, frozen=True, gc=False):
    """What another key was told this account contributes to its aggregates over what stands, by their names."""

    parts: dict[str, str]
    v: int = 1
