"""MT4 records as MT Remote writes them: lower-case names, lots as decimals, server-clock seconds."""

from decimal import Decimal

import msgspec

from hub.sim.broker import Broker
from hub.sim.market import Quote
from hub.sim.model import ZERO, Account, Group, Trade
from hub.sim.money import closing_price, profit_now

# What MT4 itself knows as a source of orders; the rest it writes as one of these.
REASONS = {"client": "client", "expert": "expert", "dealer": "dealer"}


class TradeRecord(msgspec.Struct, frozen=True, kw_only=True):
    order: int
    login: int
    symbol: str
    digits: int
    cmd: str
    reason: str
    volume: Decimal
    open_time: int
    close_time: int
    expiration: int
    open_price: Decimal
    close_price: Decimal
    sl: Decimal
    tp: Decimal
    conv_rates: tuple[Decimal, Decimal]
    commission: Decimal
    commission_agent: Decimal
    storage: Decimal
    profit: Decimal
    taxes: Decimal
    magic: int
    comment: str
    margin_rate: Decimal
    timestamp: int
    api_data: str


class UserRecord(msgspec.Struct, frozen=True, kw_only=True):
    login: int
    group: str
    enable: bool
    enable_change_password: bool
    read_only: bool
    enable_otp: bool
    password_phone: str
    name: str
    country: str
    city: str
    state: str
    zipcode: str
    address: str
    lead_source: str
    phone: str
    email: str
    comment: str
    id: str
    status: str
    leverage: int
    agent_account: int
    taxes: Decimal
    send_reports: bool
    mqid: int
    user_color: int
    api_data: str
    last_date: int
    reg_date: int
    timestamp: int
    last_ip: str
    prev_month_balance: Decimal
    prev_day_balance: Decimal
    prev_month_equity: Decimal
    prev_day_equity: Decimal
    interestrate: Decimal
    balance: Decimal
    credit: Decimal


class SymbolMargin(msgspec.Struct, frozen=True):
    swap_long: Decimal
    swap_short: Decimal
    margin_pct: Decimal


class GroupRecord(msgspec.Struct, frozen=True, kw_only=True):
    group: str
    enable: bool
    company: str
    currency: str
    default_leverage: int
    default_deposit: Decimal
    credit: Decimal
    margin_call: int
    margin_mode: int
    margin_stopout: int
    margin_type: int
    interest_rate: Decimal
    use_swap: bool
    close_fifo: bool
    hedge_prohibited: bool
    securities: dict[str, dict[str, bool]]
    symbols: dict[str, SymbolMargin]


class Tick(msgspec.Struct, frozen=True):
    symbol: str
    time: int
    bid: Decimal
    ask: Decimal


def trade_record(broker: Broker, trade: Trade) -> TradeRecord:
    """Return the record of a trade; while it is open, price and profit are those of this moment."""
    zone = broker.zone
    cash = trade.command.is_cash
    spec = None if cash else broker.market.symbol(trade.symbol)
    is_open = not trade.close_at
    close_price, profit = trade.close_price, trade.profit
    if is_open:
        close_price = closing_price(trade.command, broker.market.quote(trade.symbol))
        profit = profit_now(broker.market, trade) if trade.command.is_market else ZERO
    rate = ZERO if spec is None else _rate(spec.quote, trade.open_price)
    return TradeRecord(
        order=trade.ticket,
        login=trade.login,
        symbol=trade.symbol,
        digits=0 if spec is None else spec.digits,
        cmd=trade.command.value,
        reason=REASONS.get(trade.reason.value, "client"),
        volume=trade.lots,
        open_time=zone.seconds(trade.open_at),
        close_time=zone.seconds(trade.close_at),
        expiration=zone.seconds(trade.expires_at),
        open_price=trade.open_price,
        close_price=close_price,
        sl=trade.sl,
        tp=trade.tp,
        conv_rates=(rate, ZERO if is_open or spec is None else _rate(spec.quote, close_price)),
        commission=trade.commission,
        commission_agent=ZERO,
        storage=trade.swap,
        profit=profit,
        taxes=ZERO,
        magic=trade.magic,
        comment=trade.comment,
        margin_rate=rate,
        timestamp=zone.seconds(trade.changed_at),
        api_data="",
    )


def _rate(quote_currency: str, price: Decimal) -> Decimal:
    """Return what one unit of profit currency is worth in account currency."""
    return Decimal(1) if quote_currency == "USD" else (1 / price).quantize(Decimal("0.00000001"))


def user_record(broker: Broker, account: Account) -> UserRecord:
    zone = broker.zone
    details = account.details

    def text(name: str) -> str:
        return str(details.get(name, ""))

    def number(name: str) -> int:
        return int(details.get(name, 0))

    return UserRecord(
        login=account.login,
        group=account.group,
        enable=account.enable,
        enable_change_password=bool(details.get("enable_change_password", True)),
        read_only=account.read_only,
        enable_otp=bool(details.get("enable_otp", False)),
        password_phone="",
        name=account.name,
        country=account.country,
        city=account.city,
        state=text("state"),
        zipcode=text("zipcode"),
        address=text("address"),
        lead_source=text("lead_source"),
        phone=account.phone,
        email=account.email,
        comment=account.comment,
        id=account.client_id,
        status=account.status,
        leverage=account.leverage,
        agent_account=number("agent_account"),
        taxes=ZERO,
        send_reports=bool(details.get("send_reports", False)),
        mqid=number("mqid"),
        user_color=number("user_color"),
        api_data="",
        last_date=zone.seconds(account.registered_at),
        reg_date=zone.seconds(account.registered_at),
        timestamp=zone.seconds(account.changed_at),
        last_ip="0.0.0.0",  # noqa: S104 - what MT4 writes when nobody has logged in, no binding
        prev_month_balance=ZERO,
        prev_day_balance=account.previous_day_balance,
        prev_month_equity=ZERO,
        prev_day_equity=account.previous_day_equity,
        interestrate=ZERO,
        balance=account.balance,
        credit=account.credit,
    )


def group_record(broker: Broker, group: Group) -> GroupRecord:
    symbols = broker.market.symbols.values()
    return GroupRecord(
        group=group.name,
        enable=group.enable,
        company="Simulated Broker Ltd",
        currency=group.currency,
        default_leverage=group.default_leverage,
        default_deposit=ZERO,
        credit=ZERO,
        margin_call=group.margin_call,
        margin_mode=1,
        margin_stopout=group.margin_stopout,
        margin_type=0,
        interest_rate=ZERO,
        use_swap=True,
        close_fifo=False,
        hedge_prohibited=False,
        securities={
            name: {"show": True, "trade": True} for name in sorted({s.symbol_class for s in symbols})
        },
        symbols={s.name: SymbolMargin(s.swap_long, s.swap_short, Decimal(100)) for s in symbols},
    )


def tick(broker: Broker, quote: Quote) -> Tick:
    return Tick(quote.symbol, broker.zone.seconds(quote.at), quote.bid, quote.ask)
