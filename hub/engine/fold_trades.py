"""What nearly every trade changes in its account, at once: to gather the changes in between costs as much as the rest.

Each answers what the rule of its type in `fold` does, or None for a trade that is out of the ordinary.
"""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from msgspec.structs import replace

from hub.engine.account_rows import AccountRow

ZERO = Decimal(0)
TRADED = ("open_positions", "open_lots", "last_trade_at")
PAID = ("open_positions", "open_lots", "balance", "last_trade_at")

Folded = tuple[AccountRow, tuple[str, ...]]
AtOnce = Callable[[AccountRow, Any, Any], Folded | None]


def _opened(row: AccountRow, who: Any, data: Any) -> Folded | None:
    moment, last = data.timestamp, row.last_trade_at
    if data.commission or data.fee or (last is not None and moment <= last) or _is_elsewhere(row, who):
        return None
    positions, lots = (row.open_positions or 0) + 1, (row.open_lots or ZERO) + data.lots
    return replace(row, open_positions=positions, open_lots=lots, last_trade_at=moment), TRADED


def _closed(row: AccountRow, who: Any, data: Any) -> Folded | None:
    moment, last = data.timestamp, row.last_trade_at
    if (
        data.partial
        or data.remaining_lots
        or (last is not None and moment <= last)
        or _is_elsewhere(row, who)
    ):
        return None
    positions, lots, balance = row.open_positions, row.open_lots, row.balance
    positions = positions - 1 if positions and positions > 0 else 0
    lots = lots - data.lots if lots and lots > data.lots else ZERO
    if balance is None:
        return replace(row, open_positions=positions, open_lots=lots, last_trade_at=moment), TRADED
    if data.net_profit is None:
        return None
    balance += data.net_profit
    return replace(row, open_positions=positions, open_lots=lots, balance=balance, last_trade_at=moment), PAID


def _is_elsewhere(row: AccountRow, who: Any) -> bool:
    """Return whether an event may name another group or currency of the account than we know."""
    return who is not None and (who.group != row.group or who.currency != row.currency)


AT_ONCE: Mapping[str, AtOnce] = {"trade.opened": _opened, "trade.closed": _closed}
