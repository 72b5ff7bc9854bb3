"""What a broker's books are made of: accounts, trades, deals, groups, and the facts that change them.

One ``Trade`` record serves positions, pending orders, closed trades and cash rows, on both platforms, because that is
how MT4 itself keeps them and how the MT5 gateways present them. Moments are microseconds since the epoch, in UTC.
"""

from collections import deque
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum

from hub.errors import HubError

ZERO = Decimal(0)
HISTORY_ROWS = 20_000


class Refused(HubError):
    """The broker said no; ``code`` is the gateway's word for it."""

    def __init__(self, message: str, code: str = "INVALID") -> None:
        super().__init__(message)
        self.message = message
        self.code = code


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
    BALANCE = "balance"
    CREDIT = "credit"

    @property
    def is_market(self) -> bool:
        return self in {Command.BUY, Command.SELL}

    @property
    def is_cash(self) -> bool:
        return self in {Command.BALANCE, Command.CREDIT}

    @property
    def is_pending(self) -> bool:
        return not self.is_market and not self.is_cash

    @property
    def side(self) -> "Command":
        """Return the side a position has, or would have once a pending order fills."""
        return Command.BUY if self.value.startswith("buy") else Command.SELL


class Reason(StrEnum):
    """Who or what made an order, or ended it."""

    CLIENT = "client"
    EXPERT = "expert"
    DEALER = "dealer"
    STOP_LOSS = "sl"
    TAKE_PROFIT = "tp"
    STOP_OUT = "so"
    EXPIRED = "expired"


class Entry(StrEnum):
    IN = "in"
    OUT = "out"


@dataclass(frozen=True, slots=True)
class Deal:
    """An MT5 deal. An Out deal carries neither the magic number nor the comment of the position it closes."""

    number: int
    order: int
    position: int
    at: int
    entry: Entry
    command: Command
    symbol: str
    lots: Decimal
    price: Decimal
    profit: Decimal
    commission: Decimal
    swap: Decimal
    magic: int
    comment: str
    reason: Reason


@dataclass(frozen=True, slots=True)
class Trade:
    ticket: int
    login: int
    command: Command
    symbol: str
    lots: Decimal
    open_at: int
    open_price: Decimal
    changed_at: int
    sl: Decimal = ZERO
    tp: Decimal = ZERO
    close_at: int = 0
    close_price: Decimal = ZERO
    profit: Decimal = ZERO
    commission: Decimal = ZERO
    swap: Decimal = ZERO
    magic: int = 0
    comment: str = ""
    reason: Reason = Reason.CLIENT
    close_reason: Reason | None = None
    expires_at: int = 0
    dealt_in: Deal | None = None
    dealt_out: Deal | None = None

    @property
    def net(self) -> Decimal:
        return self.profit + self.commission + self.swap


@dataclass(frozen=True, slots=True)
class Group:
    """Margin call and stop-out are percent of margin."""

    name: str
    currency: str = "USD"
    default_leverage: int = 100
    margin_call: int = 100
    margin_stopout: int = 50
    enable: bool = True
    commission_per_lot: Decimal = Decimal(6)


def _history() -> deque[Trade]:
    return deque(maxlen=HISTORY_ROWS)


@dataclass(slots=True)
class Account:
    login: int
    platform: Platform
    group: str
    name: str
    password: str
    email: str = ""
    phone: str = ""
    country: str = ""
    city: str = ""
    comment: str = ""
    status: str = ""
    client_id: str = ""
    leverage: int = 100
    currency: str = "USD"
    enable: bool = True
    read_only: bool = False
    password_investor: str = ""
    details: dict[str, str | int | bool] = field(default_factory=dict)
    registered_at: int = 0
    changed_at: int = 0
    balance: Decimal = ZERO
    credit: Decimal = ZERO
    previous_day_balance: Decimal = ZERO
    previous_day_equity: Decimal = ZERO
    positions: dict[int, Trade] = field(default_factory=dict)
    pending: dict[int, Trade] = field(default_factory=dict)
    history: deque[Trade] = field(default_factory=_history)

    @property
    def may_trade(self) -> bool:
        return self.enable and not self.read_only


class FactKind(StrEnum):
    OPENED = "opened"
    CLOSED = "closed"
    PARTLY_CLOSED = "partly_closed"
    MODIFIED = "modified"
    PLACED = "placed"
    PENDING_MODIFIED = "pending_modified"
    FILLED = "filled"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    CASH = "cash"
    USER = "user"
    GROUP = "group"


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that happened, as it stood at that moment; ``rest`` is what a partial close left open."""

    number: int
    kind: FactKind
    at: int
    platform: Platform
    login: int = 0
    trade: Trade | None = None
    rest: Trade | None = None
    group: str = ""
