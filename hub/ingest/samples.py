"""Equity samples: what an account is worth at one moment, as a source told it."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol


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


class SampleSink(Protocol):
    async def samples(self, batch: Sequence[Sample]) -> object:
        """Take samples in the order they were made; return once what follows from them is on disk."""
