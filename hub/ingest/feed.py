"""What every source is brought to before events are derived: one shape for trades, orders and cash, one for accounts.

Times are `server_us` (see server_clock). A row says how a thing stands now; what happened is the difference to before.
"""

from decimal import Decimal
from enum import StrEnum
from typing import Literal

import msgspec

from hub.events.base import Side

ZERO = Decimal(0)


class Platform(StrEnum):
    MT4 = "mt4"
    MT5 = "mt5"


class Command(StrEnum):
    BUY = "buy"
    SELL = "sell"
    BUY_LIMIT = "buy_limit"
    SELL_LIMIT = "sell_limit"
    BUY_STOP = "buy_stop"
    SELL_STOP = "sell_stop"
    BUY_STOP_LIMIT = "buy_stop_limit"
    SELL_STOP_LIMIT = "sell_stop_limit"
    BALANCE = "balance"
    CREDIT = "credit"
    BONUS = "bonus"
    CHARGE = "charge"
    CORRECTION = "correction"
    COMMISSION = "commission"
    INTEREST = "interest"
    DIVIDEND = "dividend"
    TAX = "tax"
    AGENT = "agent"
    SO_COMPENSATION = "so_compensation"

    @property
    def is_market(self) -> bool:
        return self in {Command.BUY, Command.SELL}

    @property
    def is_pending(self) -> bool:
        return self.value.endswith(("_limit", "_stop"))

    @property
    def is_cash(self) -> bool:
        return not self.is_market and not self.is_pending

    @property
    def side(self) -> Side:
        return "buy" if self.value.startswith("buy") else "sell"

    @property
    def order_type(self) -> Literal["market", "limit", "stop", "stop_limit"]:
        if self.value.endswith("stop_limit"):
            return "stop_limit"
        if self.value.endswith("limit"):
            return "limit"
        return "stop" if self.value.endswith("stop") else "market"


class TradeRow(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A position, a pending order, a closed part of a position, or a cash operation, as it stands.

    `lots` of a closed row is what was closed; `opened_lots` what its opening was, where the source says. `commission`
    and `fee` of an open row are those of its opening, `opening_commission` the same beside a closed row's own.
    `closed_at` 0 means open. `deal_in` and `deal_out` are MT5's; `ticket` is MT4's ticket, MT5's position or order, or
    the number of a cash operation. `taxes` is MT4's. `parts` are the deals
    that already closed some of an open MT5 position.
    """

    ticket: int
    login: int
    command: Command
    symbol: str = ""
    lots: Decimal = ZERO
    opened_lots: Decimal | None = None
    opened_at: int = 0
    closed_at: int = 0
    expires_at: int = 0
    changed_at: int = 0
    open_price: Decimal = ZERO
    close_price: Decimal = ZERO
    sl: Decimal = ZERO
    tp: Decimal = ZERO
    profit: Decimal = ZERO
    swap: Decimal = ZERO
    commission: Decimal | None = None
    opening_commission: Decimal | None = None
    fee: Decimal | None = None
    taxes: Decimal | None = None
    magic: int = 0
    comment: str = ""
    reason: str = ""
    close_reason: str = ""
    order: int | None = None
    deal_in: int | None = None
    deal_out: int | None = None
    close_by: int | None = None
    parts: tuple[int, ...] = ()

    @property
    def is_open(self) -> bool:
        return self.closed_at == 0 and not self.command.is_cash

    @property
    def final(self) -> tuple[str, int]:
        """Name the fact a closed row is: it never happens again."""
        if self.deal_out is not None:
            return "deal", self.deal_out
        return ("cash" if self.command.is_cash else "ticket"), self.ticket


class AccountRow(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An account as a source shows it; None is what the source does not show."""

    login: int
    group: str | None = None
    type: str | None = None
    currency: str | None = None
    leverage: int | None = None
    name: str | None = None
    email: str | None = None
    country: str | None = None
    enabled: bool | None = None
    trading_enabled: bool | None = None
    balance: Decimal | None = None
    credit: Decimal | None = None
    registered_at: int = 0
