"""What positions are worth: profit, margin, and where an account stands. Pure."""

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

from hub.sim.market import Market, Quote, Symbol
from hub.sim.model import ZERO, Account, Command, Platform, Trade

CENT = Decimal("0.01")


def cents(amount: Decimal) -> Decimal:
    return amount.quantize(CENT, ROUND_HALF_UP)


def opening_price(command: Command, quote: Quote) -> Decimal:
    return quote.ask if command.side is Command.BUY else quote.bid


def closing_price(command: Command, quote: Quote) -> Decimal:
    return quote.bid if command.side is Command.BUY else quote.ask


def profit(symbol: Symbol, command: Command, lots: Decimal, opened: Decimal, closed: Decimal) -> Decimal:
    """Return the price profit in account currency."""
    move = closed - opened if command.side is Command.BUY else opened - closed
    amount = move * lots * symbol.contract_size
    return cents(amount if symbol.quote == "USD" else amount / closed)


def margin(symbol: Symbol, lots: Decimal, price: Decimal, leverage: int) -> Decimal:
    """Return lots x contract x price / leverage, in account currency; a pair quoted in another currency costs its base."""
    notional = lots * symbol.contract_size * (price if symbol.quote == "USD" else 1)
    return cents(notional / leverage)


def share(amount: Decimal, part: Decimal, whole: Decimal) -> Decimal:
    return cents(amount * part / whole)


@dataclass(frozen=True, slots=True)
class Standing:
    balance: Decimal
    credit: Decimal
    floating: Decimal
    margin: Decimal

    @property
    def equity(self) -> Decimal:
        return self.balance + self.credit + self.floating

    @property
    def free_margin(self) -> Decimal:
        return self.equity - self.margin

    @property
    def margin_level(self) -> Decimal:
        """Return percent; 0 stands for *no positions*, as on the wire."""
        return cents(self.equity / self.margin * 100) if self.margin else ZERO


def profit_now(market: Market, trade: Trade) -> Decimal:
    quote = market.quote(trade.symbol)
    symbol = market.symbol(trade.symbol)
    return profit(symbol, trade.command, trade.lots, trade.open_price, closing_price(trade.command, quote))


def floating(market: Market, platform: Platform, trade: Trade) -> Decimal:
    """Return what closing now would add to the balance, less the commission a close itself costs.

    MT4 books the commission when the trade closes, so it floats until then; MT5 booked it with the In deal.
    """
    owed = trade.commission if platform is Platform.MT4 else ZERO
    return profit_now(market, trade) + trade.swap + owed


def margin_of(market: Market, account: Account, trade: Trade) -> Decimal:
    return margin(market.symbol(trade.symbol), trade.lots, trade.open_price, account.leverage)


def standing(market: Market, account: Account) -> Standing:
    positions = account.positions.values()
    return Standing(
        balance=account.balance,
        credit=account.credit,
        floating=sum((floating(market, account.platform, trade) for trade in positions), ZERO),
        margin=sum((margin_of(market, account, trade) for trade in positions), ZERO),
    )
