"""MT5 orders, deals and account figures as mt5rest writes them: camelCase, lots beside raw volumes, server-clock text."""

from decimal import Decimal
from typing import Final

from hub.clock import SECOND_US
from hub.sim.broker import Broker
from hub.sim.market import Quote, Symbol
from hub.sim.model import ZERO, Account, Command, Deal, Entry, FactKind, Reason, Trade
from hub.sim.money import Standing, closing_price, profit_now
from hub.sim.mt5_shapes import (
    AccountDetails,
    AccountSummary,
    DealInternal,
    Order,
    ProfitData,
    ProfitRow,
    QuoteRecord,
    SymbolGroup,
    SymbolInfo,
    SymbolParams,
    Update,
    UpdateData,
)

VOLUME_PER_LOT: Final = 100_000_000
ORDER_TYPES: Final = {
    command: "".join(word.title() for word in command.value.split("_")) for command in Command
}
DEAL_TYPES: Final = {
    Command.BUY: "DealBuy",
    Command.SELL: "DealSell",
    Command.BALANCE: "Balance",
    Command.CREDIT: "Credit",
}
PLACED_TYPES: Final = {
    Reason.CLIENT: "Manually",
    Reason.EXPERT: "ByExpert",
    Reason.DEALER: "ByDealer",
    Reason.STOP_LOSS: "OnSL",
    Reason.TAKE_PROFIT: "OnTP",
    Reason.STOP_OUT: "OnStopOut",
    Reason.EXPIRED: "Default",
}
UPDATES: Final = {
    FactKind.OPENED: "MarketOpen",
    FactKind.FILLED: "MarketOpen",
    FactKind.CLOSED: "MarketClose",
    FactKind.PARTLY_CLOSED: "PartialClose",
    FactKind.MODIFIED: "MarketModify",
    FactKind.PLACED: "PendingOpen",
    FactKind.PENDING_MODIFIED: "PendingModify",
    FactKind.CANCELLED: "PendingClose",
    FactKind.EXPIRED: "Expired",
    FactKind.CASH: "Balance",
}


def volume(lots: Decimal) -> int:
    return int(lots * VOLUME_PER_LOT)


def deal_record(broker: Broker, login: int, deal: Deal) -> DealInternal:
    spec = broker.market.symbols.get(deal.symbol)
    server_seconds = broker.zone.seconds(deal.at)
    return DealInternal(
        ticket_number=deal.number,
        id="",
        login=login,
        history_time=server_seconds,
        order_ticket=deal.order,
        open_time=server_seconds,
        symbol=deal.symbol,
        type=DEAL_TYPES[deal.command],
        direction="In" if deal.entry is Entry.IN else "Out",
        open_price=deal.price,
        price=deal.price,
        stop_loss=ZERO,
        take_profit=ZERO,
        volume=volume(deal.lots),
        profit=deal.profit,
        commission=deal.commission,
        fee=ZERO,
        swap=deal.swap,
        expert_id=deal.magic,
        position_ticket=deal.position,
        comment=deal.comment,
        contract_size=spec.contract_size if spec else ZERO,
        digits=spec.digits if spec else 0,
        money_digits=2,
        open_time_ms=server_seconds * 1000 + deal.at % SECOND_US // 1000,
        placed_type=PLACED_TYPES[deal.reason],
        open_time_as_date_time=broker.zone.text(deal.at),
        lots=deal.lots,
    )


def order_record(broker: Broker, trade: Trade, *, rest: Trade | None = None, hollow: bool = False) -> Order:
    """Return a position, pending order, closed part or cash row; a partial close shows the lots that remain.

    A hollow row keeps its figures in the nested deal only, as some builds of the gateway do.
    """
    zone = broker.zone
    spec = broker.market.symbols.get(trade.symbol)
    is_open = not trade.close_at
    close_price, profit = trade.close_price, trade.profit
    if is_open:
        close_price = closing_price(trade.command, broker.market.quote(trade.symbol))
        profit = profit_now(broker.market, trade) if trade.command.is_market else ZERO
    dealt_in = None if trade.dealt_in is None else deal_record(broker, trade.login, trade.dealt_in)
    dealt_out = None if trade.dealt_out is None else deal_record(broker, trade.login, trade.dealt_out)
    closed_lots = trade.lots if dealt_out else ZERO
    lots = ZERO if trade.command.is_cash else trade.lots if rest is None else rest.lots
    hollow = hollow and not is_open and (dealt_out or dealt_in) is not None
    return Order(
        ticket=trade.ticket,
        symbol=trade.symbol,
        order_type=ORDER_TYPES[trade.command],
        deal_type=DEAL_TYPES.get(trade.command, DEAL_TYPES[trade.command.side]),
        state=_state(trade),
        placed_type=PLACED_TYPES[trade.close_reason or trade.reason],
        lots=ZERO if hollow else lots,
        volume=0 if hollow else volume(lots),
        close_lots=closed_lots,
        close_volume=volume(closed_lots),
        open_price=trade.open_price,
        close_price=close_price,
        stop_loss=trade.sl,
        take_profit=trade.tp,
        profit=ZERO if hollow else profit,
        swap=trade.swap,
        commission=trade.commission,
        fee=ZERO,
        comment=trade.comment,
        close_comment="" if trade.dealt_out is None else trade.dealt_out.comment,
        open_time=zone.text(trade.open_at),
        close_time=zone.text(trade.close_at),
        open_timestamp_utc=trade.open_at // 1000,
        close_timestamp_utc=trade.close_at // 1000,
        expert_id=trade.magic,
        contract_size=spec.contract_size if spec else ZERO,
        digits=spec.digits if spec else 2,
        request_id=0,
        expiration_type="Specified" if trade.expires_at else "GTC",
        expiration_time=zone.text(trade.expires_at),
        fill_policy="ImmediateOrCancel",
        deal_internal_in=dealt_in,
        deal_internal_out=dealt_out,
        partial_close_deals=[dealt_out] if rest is not None and dealt_out else [],
    )


def _state(trade: Trade) -> str:
    if not trade.command.is_pending:
        return "Filled"
    if not trade.close_at:
        return "Placed"
    return "Expired" if trade.close_reason is Reason.EXPIRED else "Cancelled"


def opened_orders(broker: Broker, account: Account) -> list[Order]:
    return [order_record(broker, trade) for trade in (*account.positions.values(), *account.pending.values())]


def profit_rows(broker: Broker, account: Account) -> list[ProfitRow]:
    return [
        ProfitRow(
            ticket=trade.ticket,
            symbol=trade.symbol,
            lots=trade.lots,
            open_price=trade.open_price,
            stop_loss=trade.sl,
            profit=profit_now(broker.market, trade),
            commission=trade.commission,
            swap=trade.swap,
            comment=trade.comment,
        )
        for trade in account.positions.values()
    ]


def profit_data(broker: Broker, account: Account, stands: Standing, *, glitch: bool = False) -> ProfitData:
    """Return a frame of account figures; a glitch says equity 0, as a terminal that is still loading does."""
    return ProfitData(
        balance=stands.balance,
        credit=stands.credit,
        equity=ZERO if glitch else stands.equity,
        margin=ZERO if glitch else stands.margin,
        free_margin=ZERO if glitch else stands.free_margin,
        profit=ZERO if glitch else stands.floating,
        margin_level=ZERO if glitch else stands.margin_level,
        user=account.login,
        orders=[] if glitch else profit_rows(broker, account),
    )


def update_data(
    broker: Broker, account: Account, stands: Standing, kind: str, trade: Trade, rest: Trade | None
) -> UpdateData:
    return UpdateData(
        balance=stands.balance,
        equity=stands.equity,
        margin=stands.margin,
        free_margin=stands.free_margin,
        profit=stands.floating,
        credit=stands.credit,
        margin_level=stands.margin_level,
        user=account.login,
        opened_orders=opened_orders(broker, account),
        update=Update(type=kind, order=order_record(broker, trade, rest=rest)),
    )


def summary(account: Account, stands: Standing, *, is_investor: bool) -> AccountSummary:
    return AccountSummary(
        balance=stands.balance,
        credit=stands.credit,
        profit=stands.floating,
        equity=stands.equity,
        margin=stands.margin,
        free_margin=stands.free_margin,
        margin_level=stands.margin_level,
        leverage=account.leverage,
        currency=account.currency,
        method="Hedging",
        type=account_type(account),
        is_investor=is_investor,
    )


def account_type(account: Account) -> str:
    return "Demo" if account.group.startswith("demo") else "Real"


def details(account: Account) -> AccountDetails:
    return AccountDetails(
        login=account.login,
        type=account_type(account),
        user_name=account.name,
        country=account.country,
        city=account.city,
        phone=account.phone,
        email=account.email,
        balance=account.balance,
        credit=account.credit,
        leverage=account.leverage,
        trade_flags=0,
    )


def quote_record(broker: Broker, quote: Quote) -> QuoteRecord:
    return QuoteRecord(
        symbol=quote.symbol,
        bid=quote.bid,
        ask=quote.ask,
        time=broker.zone.text(quote.at),
        last=ZERO,
        volume=0,
    )


def symbol_params(spec: Symbol) -> SymbolParams:
    return SymbolParams(
        symbol=spec.name,
        symbol_info=SymbolInfo(
            currency=spec.name,
            description=f"{spec.base} in {spec.quote} ({spec.symbol_class})",
            digits=spec.digits,
            points=spec.point,
            contract_size=spec.contract_size,
            spread=spec.spread_points,
            profit_currency=spec.quote,
            margin_currency=spec.base,
        ),
        symbol_group=SymbolGroup(
            min_lots=spec.lot_min,
            max_lots=spec.lot_max,
            lots_step=spec.lot_step,
            swap_long=spec.swap_long,
            swap_short=spec.swap_short,
        ),
    )
