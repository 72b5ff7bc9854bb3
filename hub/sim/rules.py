"""What the broker refuses: each check raises ``Refused`` or lets the request through."""

from decimal import Decimal

from hub.sim.market import Market, Symbol
from hub.sim.model import Account, Command, Reason, Refused
from hub.sim.money import cents, margin, standing

BY_CLIENT = frozenset({Reason.CLIENT, Reason.EXPERT})
LARGEST_AMOUNT = Decimal(1_000_000_000)


def check_order(account: Account, spec: Symbol, lots: Decimal, reason: Reason) -> None:
    check_may_trade(account, reason)
    if not spec.lot_min <= lots <= spec.lot_max or lots % spec.lot_step:
        raise Refused("Invalid volume", "INVALID_VOLUME")


def check_may_trade(account: Account, reason: Reason) -> None:
    """Clients of a disabled account are stopped; the dealer and the server itself are not."""
    if reason in BY_CLIENT and not account.may_trade:
        raise Refused("Trade is disabled", "TRADE_DISABLED")


def check_price(price: Decimal) -> None:
    if price <= 0:
        raise Refused("Invalid price", "INVALID_PRICE")


def check_stops(command: Command, price: Decimal, sl: Decimal, tp: Decimal) -> None:
    """Refuse a price that is none, and stops on the wrong side of it."""
    check_price(price)
    below, above = (sl, tp) if command.side is Command.BUY else (tp, sl)
    if below < 0 or above < 0 or (below and below >= price) or (above and above <= price):
        raise Refused("Invalid stops", "INVALID_STOPS")


def check_margin(market: Market, account: Account, spec: Symbol, lots: Decimal, price: Decimal) -> None:
    if margin(spec, lots, price, account.leverage) > standing(market, account).free_margin:
        raise Refused("Not enough money", "NO_MONEY")


def check_cash(market: Market, account: Account, command: Command, amount: Decimal) -> Decimal:
    """Return the amount in cents; taking out more than there is, or more than is free, is refused."""
    if not command.is_cash:
        raise Refused("Invalid command: use balance or credit", "INVALID")
    if not amount.is_finite() or not amount or abs(amount) > LARGEST_AMOUNT or amount != cents(amount):
        raise Refused("Invalid amount", "INVALID_AMOUNT")
    if amount < 0:
        held = account.credit if command is Command.CREDIT else account.balance
        if -amount > held or -amount > standing(market, account).free_margin:
            raise Refused("Not enough money", "NO_MONEY")
    return cents(amount)
