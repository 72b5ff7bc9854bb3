"""What a sample says about an account, after everything that cannot be believed was taken out."""

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Final

from hub.events.watched import POSITION, POSITION_FIELDS, SYMBOL_FIELDS, symbol_key
from hub.ingest.samples import PositionSample, Quote, Sample

FIELDS: Final = ("equity", "floating", "free_margin", "margin_level")
# Where a field stands among a reading's values: those of positions and symbols stand in readings of their own.
PLACES: Final = {
    name: place for fields in (FIELDS, POSITION_FIELDS, SYMBOL_FIELDS) for place, name in enumerate(fields)
}
_HUNDRED = Decimal(100)
_EXACT = Decimal("1E-10")  # events carry ten decimals
_LARGEST = Decimal("1E+16")
_LATEST_US = 7_000_000_000_000_000  # in the year 2191


@dataclass(frozen=True, slots=True)
class Reading:
    """Values by PLACES, of an account, a position or a symbol; None where the sample does not say, or says what cannot be true.

    `funds` is balance and credit together, where the sample says both.
    """

    key: str
    server: str
    login: int
    values: tuple[Decimal | None, Decimal | None, Decimal | None, Decimal | None]
    at: int
    funds: Decimal | None = None
    balance: Decimal | None = None

    def follows_money(self, before: "Reading") -> bool:
        """Return whether money came or went since: then equity moved with the funds, and not with the market.

        A trade that closes changes the funds as well, but what it adds there it takes from the floating profit.
        """
        if self.funds is None or before.funds is None or self.funds == before.funds:
            return False
        now, then = self.values[0], before.values[0]
        if now is None or then is None:
            return False
        moved = now - then
        return abs(moved - (self.funds - before.funds)) < abs(moved)


def reading_of(sample: Sample) -> Reading | None:
    """Return what may be judged by, or None for a glitch: it must never look like a breach."""
    equity, balance, margin = sample.equity, sample.balance, sample.margin
    if sample.degraded or not 0 <= sample.at < _LATEST_US or not _plausible(sample):
        return None
    # Platforms send zeros while they reconnect. An equity of nothing is believed only of an account that has nothing.
    if equity == 0 and (balance is None or balance != 0):
        return None
    floating = sample.floating
    if floating is None and balance is not None and sample.credit is not None:
        floating = equity - balance - sample.credit
    free_margin = sample.free_margin
    if free_margin is None and margin is not None:
        free_margin = equity - margin
    return Reading(
        key=f"{sample.server}:{sample.login}",
        server=sample.server,
        login=sample.login,
        values=(told(equity), told(floating), told(free_margin), told(_margin_level(sample))),
        at=sample.at,
        funds=None if balance is None or sample.credit is None else balance + sample.credit,
        balance=balance,
    )


def position_reading(key: str, account: Reading, sample: PositionSample) -> Reading:
    """Return what a sample that may be judged by says of one of the account's positions."""
    profit, price = sample.profit, sample.price
    values = (
        told(profit) if profit is not None and _is_plausible(profit) else None,
        told(price) if price is not None and _is_plausible(price) and price > 0 else None,
        None,
        None,
    )
    return Reading(key, account.server, account.login, values, account.at)


def quote_reading(quote: Quote) -> Reading | None:
    """Return what may be judged by, or None for a glitch: a price of nothing, or an ask below the bid."""
    bid, ask = quote.bid, quote.ask
    if quote.degraded or not 0 <= quote.at < _LATEST_US or not (_is_plausible(bid) and _is_plausible(ask)):
        return None
    if not 0 < bid <= ask:
        return None
    values = (told(bid), told(ask), told(ask - bid), None)
    return Reading(symbol_key(quote.server, quote.symbol), quote.server, 0, values, quote.at)


def position_key(server: str, ticket: int) -> str:
    return f"{POSITION}{server}:{ticket}"


def _margin_level(sample: Sample) -> Decimal | None:
    """Return the level in percent; without margin there is none, and a zero beside equity is the platform's blank."""
    level, margin = sample.margin_level, sample.margin
    if margin is not None and margin <= 0:
        return None
    if level:
        return level
    if margin is None or (level is not None and sample.equity != 0):
        return None
    return sample.equity * _HUNDRED / margin


def _plausible(sample: Sample) -> bool:
    numbers = (
        sample.equity,
        sample.balance,
        sample.credit,
        sample.margin,
        sample.free_margin,
        sample.margin_level,
        sample.floating,
    )
    return all(number is None or (number.is_finite() and abs(number) < _LARGEST) for number in numbers)


def _is_plausible(number: Decimal) -> bool:
    return number.is_finite() and abs(number) < _LARGEST


def told(value: Decimal | None) -> Decimal | None:
    """Return the value with no more decimals than an event can carry, so that what is compared is what is told."""
    if value is None:
        return None
    exponent = value.as_tuple().exponent
    if isinstance(exponent, int) and exponent >= -10:
        return value
    try:
        return value.quantize(_EXACT)
    except InvalidOperation:
        return None
