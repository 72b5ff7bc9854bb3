"""Trades, positions and orders."""

from typing import Literal

from hub.events.base import Data, Flag, Lots, Moment, Money, Name, Number, Price, Side, Text


class TradeOpened(Data):
    deal: Number | None = None
    position: Number | None = None
    order: Number | None = None
    symbol: Name
    symbol_class: Name | None = None
    side: Side
    lots: Lots
    price: Price
    sl: Price | None = None
    tp: Price | None = None
    reason: Text | None = None
    magic: Number | None = None
    comment: Text | None = None
    commission: Money | None = None
    fee: Money | None = None


class TradeClosed(Data):
    """`side` is the position's; `magic` and `comment` are joined from its opening; net_profit = profit + swap + commission + fee + taxes.

    `net_profit_base` is net_profit in the hub's base currency, at `rate`; `notional_base` what was traded, at `notional_rate`.
    """

    deal: Number | None = None
    position: Number | None = None
    order: Number | None = None
    symbol: Name
    symbol_class: Name | None = None
    side: Side
    lots: Lots
    remaining_lots: Lots | None = None
    partial: Flag = False
    open_price: Price | None = None
    close_price: Price | None = None
    opened_at: Moment | None = None
    closed_at: Moment | None = None
    profit: Money | None = None
    swap: Money | None = None
    commission: Money | None = None
    fee: Money | None = None
    taxes: Money | None = None
    net_profit: Money | None = None
    net_profit_base: Money | None = None
    notional_base: Money | None = None
    reason: Text | None = None
    close_by: Number | None = None
    magic: Number | None = None
    comment: Text | None = None
    rate: Price | None = None
    rate_at: Moment | None = None
    notional_rate: Price | None = None
    notional_rate_at: Moment | None = None


class TradeCancelled(Data):
    """Reverses the deal it names."""

    deal: Number
    position: Number | None = None
    lots: Lots | None = None
    net_profit: Money | None = None


class PositionResized(Data):
    position: Number
    deal: Number
    symbol: Name
    symbol_class: Name | None = None
    lots_before: Lots
    lots_after: Lots


class PositionModified(Data):
    position: Number
    symbol: Name
    symbol_class: Name | None = None
    sl_before: Price | None = None
    sl: Price | None = None
    tp_before: Price | None = None
    tp: Price | None = None


class OrderChanged(Data):
    order: Number
    symbol: Name
    symbol_class: Name | None = None
    side: Side
    order_type: Literal["market", "limit", "stop", "stop_limit", "close_by"] | None = None
    lots: Lots
    price: Price | None = None
    sl: Price | None = None
    tp: Price | None = None
    expires_at: Moment | None = None
    reason: Text | None = None
    retcode: Number | None = None
