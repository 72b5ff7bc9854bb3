"""Samples: what an account is worth at one moment, and each of its open positions, as a source told it."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final, Protocol

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


class SampleSink(Protocol):
    async def samples(self, batch: Sequence[Sample]) -> object:
        """Take samples in the order they were made; return once what follows from them is on disk."""


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
