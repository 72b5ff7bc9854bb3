"""Samples: what an account is worth at one moment, and each of its open positions; quotes: what a symbol costs."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final, Protocol

import msgspec

from hub.events.watched import symbol_key
from hub.ids import partition_of, partition_of_key

MOST_POSITIONS: Final = 500  # of one sample; an account with more has them told in several
Wanted = Callable[[], bool]  # whether anybody watches positions: for most hubs nobody does


def always() -> bool:
    return True


@dataclass(frozen=True, slots=True)
class PositionSample:
    """`profit` is the position's own, without swap and commission; None is what the source does not tell."""

    position: int
    profit: Decimal | None
    price: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """`margin_level` is in percent and None while there is no margin; `at` is µs; `degraded`: not to be judged by.

    `gap`: this is no sample, but says that the account's samples cannot be vouched for until the next one.
    """

    server: str
    login: int
    equity: Decimal
    balance: Decimal | None
    credit: Decimal | None
    margin: Decimal | None
    free_margin: Decimal | None
    margin_level: Decimal | None
    floating: Decimal | None
    at: int
    degraded: bool = False
    gap: bool = False
    positions: tuple[PositionSample, ...] = ()

    @property
    def partition(self) -> int:
        """Return where the account lives."""
        return partition_of(self.server, self.login)


class Quote(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """What a symbol is bought and sold for at one moment; `at` is µs, `degraded`: not to be judged by.

    `gap`: this is no quote, but says that the symbol's cannot be vouched for until the next one.
    An array on its way between processes, where a sample is an object: they share a line, and are told apart so.
    """

    server: str
    symbol: str
    bid: Decimal
    ask: Decimal
    at: int
    degraded: bool = False
    gap: bool = False

    @property
    def partition(self) -> int:
        """Return where those live who watch it."""
        return partition_of_key(symbol_key(self.server, self.symbol))


class SampleSink(Protocol):
    async def samples(self, batch: Sequence[Sample]) -> object:
        """Take samples in the order they were made; return once what follows from them is on disk."""


class QuoteSink(Protocol):
    async def quotes(self, batch: Sequence[Quote]) -> object:
        """Take quotes in the order they were made; return once what follows from them is on disk."""


class Sink(SampleSink, QuoteSink, Protocol):
    """Who takes both."""


def in_parts(samples: Iterable[Sample]) -> Iterator[Sample]:
    """Yield samples with no more positions each than one may have."""
    for sample in samples:
        positions = sample.positions
        yield (
            replace(sample, positions=positions[:MOST_POSITIONS])
            if len(positions) > MOST_POSITIONS
            else sample
        )
        for first in range(MOST_POSITIONS, len(positions), MOST_POSITIONS):
            yield replace(sample, positions=positions[first : first + MOST_POSITIONS])
