"""What a watched row says beside its numbers: whether its limit follows a peak, when it counts as passed, and whose it is.

The engine writes it, the watcher acts on it. Both reckon with the functions here, so they agree to the last digit.
"""

from decimal import ROUND_HALF_EVEN, Context, Decimal
from functools import lru_cache
from typing import Final

import msgspec

SMALLEST: Final = Decimal("1E-10")  # what an amount of an event can say
_ONE: Final = Decimal(1)
DAY, WAITING = (
    "day",
    "waiting",
)  # rows of days: `waiting` has rolled over without a sample, and still wants one
TRAIL = "trail"  # a row of the highest or the lowest value so far
POSITION_FIELDS: Final = ("profit", "price")
POSITION: Final = "position="  # how the key of a position begins: position=server:ticket
POSITION_CROSSED: Final = "position.crossed"
SYMBOL_FIELDS: Final = ("bid", "ask", "spread")
SYMBOL: Final = "symbol="  # how the key of a symbol begins: symbol=server:NAME
SYMBOL_CROSSED: Final = "symbol.crossed"
SYMBOL_QUOTED: Final = "symbol.quoted"  # the watcher's word that a symbol has a price
CROSSINGS: Final = frozenset({"equity.crossed", "margin.crossed"})  # of an account's levels
# What reaches a position goes to its account first: samples and what follows from them are told where that lives.
RELAYED: Final = "position.told"
# Of 60 digits nothing is lost where amounts of 26 are multiplied.
_EXACT: Final = Context(prec=60, rounding=ROUND_HALF_EVEN)


class Line(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A limit as a function of the peak it follows: slope · peak + offset, and never below `low` or above `high`."""

    slope: Decimal
    offset: Decimal
    low: Decimal | None = None
    high: Decimal | None = None


class Rule(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """`trail` names the row whose peak `limit` follows, no further than to `lock`; without `rearm` that is the limit.

    `inclusive`: being on the limit counts as past it. `held`: its trigger waits for it to stay so. `sampled`: a day
    that wants to know what the account was worth when it rolled over. `login`: the account of a row about a position.
    """

    trail: str = ""
    limit: Line | None = None
    rearm: Line | None = None
    lock: Decimal | None = None
    inclusive: bool = False
    held: bool = False
    sampled: bool = False
    login: int = 0


_NO_BODY: Final = msgspec.Raw()


def symbol_key(server: str, name: str) -> str:
    return f"{SYMBOL}{server}:{name}"


class Relayed(msgspec.Struct, frozen=True, omit_defaults=True):
    """The body of the command `position.told`: a command of its own for a position of the account it came to."""

    key: str
    ref: str
    body: msgspec.Raw = _NO_BODY


def encode_relayed(key: str, ref: str, body: bytes = b"") -> bytes:
    """Return a command of its own for a position; `body` is JSON, or nothing."""
    return _encode(Relayed(key, ref, msgspec.Raw(body)) if body else Relayed(key, ref))


class FirstQuote(msgspec.Struct, frozen=True, omit_defaults=True):
    """The body of the command `symbol.quoted`: what class the symbol is of, where somebody has said."""

    symbol_class: str | None = None


def encode_first_quote(symbol_class: str | None) -> bytes:
    return _encode(FirstQuote(symbol_class))


decode_relayed = msgspec.json.Decoder(Relayed).decode
decode_first_quote = msgspec.json.Decoder(FirstQuote).decode
PLAIN: Final = Rule()
_encode = msgspec.json.Encoder(decimal_format="string").encode
_decode = msgspec.json.Decoder(Rule).decode


def encode_rule(rule: Rule) -> str:
    """Return a rule as text; nothing for one that says nothing."""
    return "" if rule == PLAIN else _encode(rule).decode()


@lru_cache(maxsize=4096)  # thousands of accounts have the same
def decode_rule(text: str) -> Rule:
    return _decode(text) if text else PLAIN


def farther(side: str, peak: Decimal, value: Decimal) -> bool:
    """Return whether a value is a new peak: of a `max` above the old one, of a `min` below it."""
    return value > peak if side == "max" else value < peak


def locked(side: str, peak: Decimal, lock: Decimal | None) -> Decimal:
    """Return how far a peak counts."""
    if lock is None:
        return peak
    return min(peak, lock) if side == "max" else max(peak, lock)


def limit_at(line: Line, side: str, peak: Decimal, lock: Decimal | None) -> Decimal:
    """Return where a limit is while the peak is there, within the decimals an event can say."""
    counts = locked(side, peak, lock)
    value = _EXACT.add(_EXACT.multiply(line.slope, counts), line.offset)
    if line.low is not None and value < line.low:
        value = line.low
    if line.high is not None and value > line.high:
        value = line.high
    short = value.quantize(SMALLEST, context=_EXACT).normalize(_EXACT)
    # Normalized, 50000 reads 5E+4.
    return short.quantize(_ONE, context=_EXACT) if _is_whole(short) else short


def _is_whole(value: Decimal) -> bool:
    exponent = value.as_tuple().exponent
    return isinstance(exponent, int) and exponent > 0


def is_past(side: str, threshold: Decimal, value: Decimal, *, inclusive: bool) -> bool:
    if value == threshold:
        return inclusive
    return value < threshold if side == "below" else value > threshold


def is_back(side: str, threshold: Decimal, rearm: Decimal, value: Decimal, *, inclusive: bool) -> bool:
    """Return whether a value has recovered; where the limit itself counts as past, it has to leave it."""
    if is_past(side, threshold, value, inclusive=inclusive):
        return False
    return value >= rearm if side == "below" else value <= rearm
