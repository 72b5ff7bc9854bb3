"""Symbols and their prices: a seeded random walk with news jumps."""

import random
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from hub.sim.model import Refused

RECENT_TICKS = 16
DAY_SECONDS = 86_400
NEWS_PER_SECOND = 1 / 300
NEWS_SIZE = 25.0
FURTHEST = 1.6

SymbolClass = Literal["fx", "metals", "indices", "crypto", "energies"]


@dataclass(frozen=True, slots=True)
class Symbol:
    """One side of every pair is the account currency, so converting needs no second quote.

    ``daily_move`` is the usual move of a day, in percent; swaps are account currency per lot and night.
    """

    name: str
    symbol_class: SymbolClass
    digits: int
    contract_size: Decimal
    start: Decimal
    spread_points: int
    daily_move: float
    base: str
    quote: str = "USD"
    swap_long: Decimal = Decimal("-3.2")
    swap_short: Decimal = Decimal("0.8")
    lot_min: Decimal = Decimal("0.01")
    lot_max: Decimal = Decimal(100)
    lot_step: Decimal = Decimal("0.01")

    @property
    def point(self) -> Decimal:
        return Decimal(1).scaleb(-self.digits)

    @property
    def spread(self) -> Decimal:
        return self.point * self.spread_points


def _fx(name: str, start: str, spread: int, move: float, digits: int = 5) -> Symbol:
    return Symbol(name, "fx", digits, Decimal(100_000), Decimal(start), spread, move, name[:3], name[3:])


SYMBOLS = (
    _fx("EURUSD", "1.08500", 12, 0.5),
    _fx("GBPUSD", "1.27000", 15, 0.6),
    _fx("AUDUSD", "0.66000", 14, 0.6),
    _fx("USDJPY", "151.000", 14, 0.6, digits=3),
    _fx("USDCHF", "0.89000", 15, 0.5),
    _fx("USDCAD", "1.36000", 16, 0.4),
    Symbol("XAUUSD", "metals", 2, Decimal(100), Decimal("2350.00"), 25, 1.0, "XAU"),
    Symbol("XAGUSD", "metals", 3, Decimal(5_000), Decimal("28.500"), 25, 1.8, "XAG"),
    Symbol("US500", "indices", 2, Decimal(10), Decimal("5300.00"), 60, 1.0, "USD"),
    Symbol("USOIL", "energies", 2, Decimal(1_000), Decimal("78.50"), 4, 2.0, "USD"),
    Symbol("BTCUSD", "crypto", 2, Decimal(1), Decimal("64000.00"), 2_500, 3.0, "BTC"),
    Symbol("ETHUSD", "crypto", 2, Decimal(10), Decimal("3400.00"), 200, 4.0, "ETH"),
)


@dataclass(frozen=True, slots=True)
class Quote:
    symbol: str
    bid: Decimal
    ask: Decimal
    at: int


class Market:
    def __init__(
        self, seed: int, at: int, *, symbols: Iterable[Symbol] = SYMBOLS, liveliness: float = 10.0
    ) -> None:
        self.symbols = {symbol.name: symbol for symbol in symbols}
        self._random = random.Random(f"market:{seed}")  # noqa: S311 - repeatable on purpose, guards nothing
        self._liveliness = liveliness
        self._recent: dict[str, deque[Quote]] = {name: deque(maxlen=RECENT_TICKS) for name in self.symbols}
        for symbol in self.symbols.values():
            self.move(symbol.name, symbol.start, at)

    def symbol(self, name: str) -> Symbol:
        try:
            return self.symbols[name]
        except KeyError:
            raise Refused(f"Cannot find symbol '{name}'", "INVALID_SYMBOL") from None

    def quote(self, name: str) -> Quote:
        return self._recent[self.symbol(name).name][-1]

    def recent(self, name: str) -> tuple[Quote, ...]:
        return tuple(self._recent[self.symbol(name).name])

    def move(self, name: str, bid: Decimal, at: int, ask: Decimal | None = None) -> Quote:
        symbol = self.symbol(name)
        bid = bid.quantize(symbol.point)
        ask = bid + symbol.spread if ask is None else ask.quantize(symbol.point)
        if not 0 < bid <= ask:
            raise Refused(f"Invalid price for '{name}'", "INVALID_PRICE")
        quote = Quote(name, bid, ask, at)
        self._recent[name].append(quote)
        return quote

    def drift(self, seconds: float, at: int) -> list[Quote]:
        """Let the given time pass for every symbol; return the prices that are new."""
        moved = []
        for name, symbol in self.symbols.items():
            before = self.quote(name).bid
            after = self._walk(symbol, before, seconds)
            if after != before:
                moved.append(self.move(name, after, at))
        return moved

    def _walk(self, symbol: Symbol, bid: Decimal, seconds: float) -> Decimal:
        size = symbol.daily_move / 100 * (seconds / DAY_SECONDS) ** 0.5 * self._liveliness
        change = self._random.gauss(0.0, size)
        if self._random.random() < NEWS_PER_SECOND * seconds:
            change += self._random.gauss(0.0, size) * NEWS_SIZE
        # A weak pull home, and walls, keep a simulation of many days among believable prices.
        away = float(bid / symbol.start) - 1
        change -= away * min(seconds / DAY_SECONDS, 1.0)
        lowest, highest = symbol.start / Decimal(str(FURTHEST)), symbol.start * Decimal(str(FURTHEST))
        moved = bid * (1 + Decimal(repr(change)))
        return min(max(moved, lowest), highest).quantize(symbol.point)
