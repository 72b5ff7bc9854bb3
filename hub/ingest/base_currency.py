"""Money in the hub's base currency, beside what the account calls it, with the rate and its moment in the event.

The fields are added behind what was told, and what was told alone is a fact's identity: the same deal told again at
another rate is still the same deal, and the first rate stands.
"""

from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Final, final

import msgspec

from hub.clock import from_us
from hub.events.base import Data
from hub.events.cash import PaymentMoved
from hub.events.catalogue import BY_NAME
from hub.events.decimals import DIGITS_BEFORE, plain
from hub.events.facts import Fact
from hub.events.records import Envelope
from hub.ingest.contracts import Contracts
from hub.ingest.rates import Rates

DIGITS: Final = 8
_SMALLEST: Final = Decimal(1).scaleb(-DIGITS)
_EXACT: Final = Context(prec=60, rounding=ROUND_HALF_UP)
_ONE: Final = Decimal(1)


class _Money(msgspec.Struct):
    """What there is to convert in any of the types."""

    amount: Decimal | None = None
    net_profit: Decimal | None = None
    currency: str | None = None
    amount_base: str | None = None
    net_profit_base: str | None = None
    rate: str | None = None
    symbol: str | None = None
    lots: Decimal | None = None
    close_price: Decimal | None = None
    notional_base: str | None = None
    notional_rate: str | None = None


_decode = msgspec.json.Decoder(_Money).decode
_moment = msgspec.json.Encoder().encode  # as every other moment in an event is written


def _field(model: type[Data]) -> str | None:
    return next((name for name in ("amount", "net_profit") if f"{name}_base" in model.model_fields), None)


CONVERTED: Final = {
    name: field for name, kind in BY_NAME.items() if (field := _field(kind.model)) is not None
}
_TRADE: Final = "trade.closed"
_PAYMENTS: Final = frozenset(name for name, kind in BY_NAME.items() if kind.model is PaymentMoved)


@final
class BaseCurrency:
    def __init__(self, currency: str, rates: Rates, contracts: Contracts | None = None) -> None:
        self.currency = currency
        self.rates = self._rates = rates
        self._contracts = contracts or Contracts()

    def converted(self, fact: Fact) -> Fact:
        """Return the fact with its money in the base currency, too; as it is where no rate is known."""
        field = CONVERTED.get(fact.envelope.type)
        if field is None or not self._may_convert(fact.envelope):
            return fact
        money = _decode(fact.content)
        extra = self._money(fact, money, field)
        if self._contracts and fact.envelope.type == _TRADE:
            extra += self._notional(fact, money)
        if not extra:
            return fact
        data = msgspec.Raw(fact.content[:-1] + extra.encode() + b"}")
        return msgspec.structs.replace(fact, envelope=msgspec.structs.replace(fact.envelope, data=data))

    def _may_convert(self, envelope: Envelope) -> bool:
        """Return whether a currency is said anywhere, without reading what the event is about."""
        account = envelope.account
        return bool(
            (account is not None and account.currency is not None)
            or envelope.type in _PAYMENTS
            or (self._contracts and envelope.type == _TRADE)
        )

    def _money(self, fact: Fact, money: _Money, field: str) -> str:
        amount = money.amount if field == "amount" else money.net_profit
        told = money.amount_base if field == "amount" else money.net_profit_base
        currency = money.currency if fact.envelope.type in _PAYMENTS else None
        if currency is None and fact.envelope.account is not None:
            currency = fact.envelope.account.currency
        if amount is None or currency is None or told is not None or money.rate is not None:
            return ""
        return self._worth(amount, currency, fact, f"{field}_base", "rate")

    def _notional(self, fact: Fact, money: _Money) -> str:
        contract = self._contracts.of(money.symbol) if money.symbol is not None else None
        price = money.close_price if contract is not None and contract.priced else _ONE
        known = contract is not None and money.lots is not None and price is not None
        if not known or money.notional_base is not None or money.notional_rate is not None:
            return ""
        assert contract is not None
        assert money.lots is not None
        assert price is not None
        traded = _rounded(_EXACT.multiply(_EXACT.multiply(money.lots, contract.size), price))
        return self._worth(traded, contract.currency, fact, "notional_base", "notional_rate")

    def _worth(self, amount: Decimal, currency: str, fact: Fact, field: str, rate_field: str) -> str:
        """Return the fields that say what an amount is worth; nothing where that is not known."""
        if currency == self.currency:
            rate, at, worth = _ONE, fact.envelope.timestamp, amount
        else:
            known = self._rates.of(currency, fact.event_us)
            if known is None:
                return ""
            rate, at = known.rate, fact.envelope.timestamp if known.is_fixed else from_us(known.at)
            worth = _rounded(_EXACT.multiply(amount, rate))
        if worth.adjusted() >= DIGITS_BEFORE:  # more than an event can say
            return ""
        return f',"{field}":"{plain(worth)}","{rate_field}":"{plain(rate)}","{rate_field}_at":{_moment(at).decode()}'


def _rounded(worth: Decimal) -> Decimal:
    """Return an amount with eight digits after the point at most, half away from zero."""
    rounded = worth.quantize(_SMALLEST, context=_EXACT)
    return rounded.normalize(_EXACT) if rounded else Decimal(0)
