"""A promise in another currency than the account's: what is given goes at the rate there is then, and comes back at that.

What was booked stands in both currencies. More is converted at the rate of that moment; less is taken back in proportion,
so that whoever gives back all gives back just what he got, whatever the rates did meanwhile.
"""

from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Final

from msgspec.structs import replace

from hub.clock import iso
from hub.engine.ledger import Foreign, Ledger
from hub.engine.quotes import DIGITS
from hub.engine.rate_board import Pair, ask, rate_for
from hub.engine.scene import Scene
from hub.intents.converted import Converted

_EXACT: Final = Context(prec=60, rounding=ROUND_HALF_EVEN)
_RATE: Final = Context(prec=DIGITS, rounding=ROUND_HALF_EVEN)
ASKED_AGAIN: Final = 60_000_000  # µs after which a rate is asked for once more
_SMALLEST: Final = Decimal(1).scaleb(-8)
# More digits are kept than count: what rounding lost is not to grow until half a cent is taken for less.
_KEPT: Final = Decimal(1).scaleb(-10)


def plain(amount: Decimal) -> str:
    """Return an amount without the zeros that say nothing."""
    return format(amount.normalize(), "f")


def stood(ledger: Ledger, currency: str) -> Foreign:
    """Return what is settled of a promise in a currency; one that was booked in its account's own began at none."""
    return ledger.foreign if ledger.foreign is not None else Foreign(currency)


def is_refused(ledger: Ledger, worth: Decimal) -> bool:
    """Return whether a booking was refused for just this much owed, at whatever rate."""
    return ledger.refused is not None and ledger.refused_worth == worth


def owed_by(scene: Scene, was: Foreign, worth: Decimal, pair: Pair) -> Foreign | None:
    """Return what is owed in both currencies; None where that takes a rate, and this input brings none."""
    worth = worth.quantize(_SMALLEST, context=_EXACT)
    if worth == was.worth:
        return was
    if worth < was.worth:
        left = _EXACT.divide(_EXACT.multiply(was.exact, worth), was.worth)
        return Foreign(was.currency, worth, left.quantize(_KEPT, context=_EXACT), was.rate, was.at)
    quote = rate_for(scene, pair)
    if quote is None:
        return None
    exact = _EXACT.add(was.exact, quote.of(worth - was.worth))
    return Foreign(was.currency, worth, exact.quantize(_KEPT, context=_EXACT), quote.rate, quote.at)


def counted(foreign: Foreign) -> Decimal:
    """Return what a promise came to in the account's currency, to be rounded to the digits of that."""
    return foreign.exact.quantize(_SMALLEST, context=_EXACT)


def conversion(was: Foreign, now: Foreign) -> Converted:
    """Return what is written beside a booking: what it is worth in the promise's currency, and the rate it went by."""
    amount = abs(now.worth - was.worth)
    rate = Decimal(now.rate)
    if now.worth < was.worth and was.worth:  # back at what it was given at, on average
        rate = _RATE.divide(was.exact, was.worth)
    return Converted(plain(amount), now.currency, format(rate, "f"), iso(now.at))


def spoken(was: Foreign, now: Foreign, target: str) -> str:
    """Return how a booking was converted, as a sentence ends with it."""
    made = conversion(was, now)
    when = f"as of {made.at}" if now.worth > was.worth else "what it was given at"
    return f"{made.amount} {made.currency} at {made.rate} {target}, {when}"


def ask_for_rate(scene: Scene, name: str, ledger: Ledger, currency: str | None) -> None:
    """Ask for the rate a booking goes by; till it is known nothing is booked."""
    target = scene.account.currency
    assert currency is not None
    assert target is not None
    if ledger.wanted and scene.item.at - ledger.wanted < ASKED_AGAIN:
        return
    ask(scene, (currency, target))
    scene.decision.put_ledger(name, replace(ledger, wanted=scene.item.at))
