"""Tells the engine what currencies are worth: when the hub starts, and whenever that has changed since.

What the engine is told stands in the log, so whatever was booked by it is booked by it again when the log is replayed.
"""

import asyncio
from collections.abc import Awaitable, Sequence
from datetime import timedelta
from typing import Final, Protocol, final

import structlog

from hub.bus.log import Appended, NewInput
from hub.clock import MICROSECOND, Clock
from hub.engine.quotes import Board
from hub.engine.rate_board import tell
from hub.errors import HubError
from hub.events.facts import Fact
from hub.ingest.rates import LOOK_EVERY, Rates
from hub.ingest.waiting import run_until

MOST_CURRENCIES: Final = 1000

log = structlog.get_logger(__name__)


class Inputs(Protocol):
    """The log: where this process owns a partition it numbers the input itself, else it leaves it for who does."""

    def append(
        self, facts: Sequence[Fact], *, inputs: Sequence[NewInput] = ()
    ) -> Awaitable[list[Appended]]: ...


@final
class RateTeller:
    def __init__(self, base: str, rates: Rates, longest: timedelta, inputs: Inputs, clock: Clock) -> None:
        self._base = base
        self._rates = rates
        self._longest_us = longest // MICROSECOND
        self._inputs = inputs
        self._clock = clock
        self._told: Board | None = None

    async def run(self, stopping: asyncio.Event) -> None:
        await run_until(stopping, self._keep_telling())

    async def look(self) -> None:
        """Tell what currencies are worth now, unless that is what was told last."""
        found = self._rates.latest(self._clock.now_us())
        if len(found) > MOST_CURRENCIES:
            log.warning(
                "rates.too_many",
                currencies=len(found),
                told=MOST_CURRENCIES,
                advice="leave out what nobody books",
            )
        rates = {
            name: (found[name].at, format(found[name].rate, "f")) for name in sorted(found)[:MOST_CURRENCIES]
        }
        board = Board(self._base, self._longest_us, rates)
        if board == self._told:
            return
        await self._inputs.append((), inputs=(tell(board),))
        self._told = board

    async def _keep_telling(self) -> None:
        while True:
            try:
                await self.look()
            except HubError as problem:  # of the store: it is told when that is back
                log.warning("rates.not_told", reason=str(problem))
            await self._clock.sleep(LOOK_EVERY)
