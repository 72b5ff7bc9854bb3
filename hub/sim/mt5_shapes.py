"""The JSON objects of mt5rest."""

from decimal import Decimal

import msgspec


class Camel(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Field names go out in camelCase."""


class DealInternal(Camel, frozen=True, kw_only=True):
    ticket_number: int
    id: str
    login: int
    history_time: int
    order_ticket: int
    open_time: int
    symbol: str
    type: str
    direction: str
    open_price: Decimal
    price: Decimal
    stop_loss: Decimal
    take_profit: Decimal
    volume: int
    profit: Decimal
    commission: Decimal
    fee: Decimal
    swap: Decimal
    expert_id: int
    position_ticket: int
    comment: str
    contract_size: Decimal
    digits: int
    money_digits: int
    open_time_ms: int
    placed_type: str
    open_time_as_date_time: str
    lots: Decimal


class Order(Camel, frozen=True, kw_only=True):
    ticket: int
    symbol: str
    order_type: str
    deal_type: str
    state: str
    placed_type: str
    lots: Decimal
    volume: int
    close_lots: Decimal
    close_volume: int
    open_price: Decimal
    close_price: Decimal
    stop_loss: Decimal
    take_profit: Decimal
    profit: Decimal
    swap: Decimal
    commission: Decimal
    fee: Decimal
    comment: str
    close_comment: str
    open_time: str
    close_time: str
    open_timestamp_utc: int = msgspec.field(name="openTimestampUTC")
    close_timestamp_utc: int = msgspec.field(name="closeTimestampUTC")
    expert_id: int
    contract_size: Decimal
    digits: int
    request_id: int
    expiration_type: str
    expiration_time: str
    fill_policy: str
    deal_internal_in: DealInternal | None
    deal_internal_out: DealInternal | None
    partial_close_deals: list[DealInternal]


class AccountSummary(Camel, frozen=True, kw_only=True):
    balance: Decimal
    credit: Decimal
    profit: Decimal
    equity: Decimal
    margin: Decimal
    free_margin: Decimal
    margin_level: Decimal
    leverage: int
    currency: str
    method: str
    type: str
    is_investor: bool


class AccountDetails(Camel, frozen=True, kw_only=True):
    login: int
    type: str
    user_name: str
    country: str
    city: str
    phone: str
    email: str
    balance: Decimal
    credit: Decimal
    leverage: int
    trade_flags: int


class ProfitRow(Camel, frozen=True, kw_only=True):
    ticket: int
    symbol: str
    lots: Decimal
    open_price: Decimal
    stop_loss: Decimal
    profit: Decimal
    commission: Decimal
    swap: Decimal
    comment: str


class ProfitData(Camel, frozen=True, kw_only=True):
    balance: Decimal
    credit: Decimal
    equity: Decimal
    margin: Decimal
    free_margin: Decimal
    profit: Decimal
    margin_level: Decimal
    user: int
    orders: list[ProfitRow]


class Update(Camel, frozen=True, kw_only=True):
    type: str
    order: Order


class UpdateData(Camel, frozen=True, kw_only=True):
    balance: Decimal
    equity: Decimal
    margin: Decimal
    free_margin: Decimal
    profit: Decimal
    credit: Decimal
    margin_level: Decimal
    user: int
    opened_orders: list[Order]
    update: Update


class QuoteRecord(Camel, frozen=True, kw_only=True):
    symbol: str
    bid: Decimal
    ask: Decimal
    time: str
    last: Decimal
    volume: int


class Envelope(Camel, frozen=True, kw_only=True):
    type: str
    id: str
    timestamp_utc: int = msgspec.field(name="timestampUTC")
    data: ProfitData | UpdateData | QuoteRecord


class SymbolInfo(Camel, frozen=True, kw_only=True):
    currency: str
    description: str
    digits: int
    points: Decimal
    contract_size: Decimal
    spread: int
    profit_currency: str
    margin_currency: str


class SymbolGroup(Camel, frozen=True, kw_only=True):
    min_lots: Decimal
    max_lots: Decimal
    lots_step: Decimal
    swap_long: Decimal
    swap_short: Decimal


class SymbolParams(Camel, frozen=True, kw_only=True):
    symbol: str
    symbol_info: SymbolInfo
    symbol_group: SymbolGroup
