"""What one unit of a currency is worth in another: asked for by whoever books, and answered in an input of his own.

So the rate stands in the log beside the decision it led to, and the same log leads to the same booking.
"""

from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Final

import msgspec

from hub.clock import iso

TOLD: Final = "rates.told"  # to the board: the rates there are now
WANTED: Final = "rate.wanted"  # to the board, by a key
KNOWN: Final = "rate.known"  # to that key, by the board
LONGEST_WAIT: Final = 7 * 86_400_000_000  # µs a booking waits for a rate
DIGITS: Final = 12
_RATE: Final = Context(prec=DIGITS, rounding=ROUND_HALF_EVEN)
_EXACT: Final = Context(prec=60, rounding=ROUND_HALF_EVEN)
_ONE: Final = Decimal(1)
_FIXED: Final = -1


class Board(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """What one unit of each currency is worth in the base currency, and since when (µs); a fixed one since ever, -1.

    One that is older than `longest` (µs) is none.
    """

    base: str
    longest: int
    rates: dict[str, tuple[int, str]]
    v: int = 1

    def quote(self, source: str, target: str, now: int) -> "Quote":
        """Return what one unit of `source` is worth in `target`, or why nobody can tell."""
        if not self.base:
            return Quote(source, target, problem="no rates are known yet")
        one, other = self._worth(source, now), self._worth(target, now)
        if isinstance(one, str):
            return Quote(source, target, problem=one)
        if isinstance(other, str):
            return Quote(source, target, problem=other)
        dated = [at for at, _ in (one, other) if at != _FIXED]
        rate = _RATE.divide(one[1], other[1])
        return Quote(source, target, rate=format(rate, "f"), at=min(dated, default=now))

    def _worth(self, currency: str, now: int) -> tuple[int, Decimal] | str:
        if currency == self.base:
            return _FIXED, _ONE
        found = self.rates.get(currency)
        if found is None:
            return f"no rate of {currency} is known"
        at, rate = found
        if at > now:
            return f"the rate of {currency} holds from {iso(at)} on, and there is none before"
        if at != _FIXED and now - at > self.longest:
            return f"the rate of {currency} is of {iso(at)}, which is too old"
        return at, Decimal(rate)


NO_RATES: Final = Board("", 0, {})


class Quote(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A rate and its moment, or what speaks against it: the body of `rate.known`."""

    source: str
    target: str
    rate: str = ""
    at: int = 0
    problem: str = ""

    @property
    def pair(self) -> tuple[str, str]:
        return self.source, self.target

    def of(self, amount: Decimal) -> Decimal:
        """Return what an amount is worth, not rounded yet."""
        return _EXACT.multiply(amount, Decimal(self.rate))

    @property
    def spoken(self) -> str:
        return f"1 {self.source} is {self.rate} {self.target}, as of {iso(self.at)}"


class Wanted(msgspec.Struct, frozen=True, gc=False):
    """Who asks for which rate: the body of `rate.wanted`, and what the board remembers of those it has none for."""

    key: str
    source: str
    target: str
    v: int = 1


encode: Final = msgspec.json.Encoder(decimal_format="string").encode
decode_board: Final = msgspec.json.Decoder(Board).decode
decode_wanted: Final = msgspec.json.Decoder(Wanted).decode
decode_quote: Final = msgspec.json.Decoder(Quote).decode
