"""From the owner of a partition to those who own endpoints: who is owed an event is written, and they hear of it.

Where they are one process it need not be written first: an event is owed for as long as the stored position says that it
was not passed on.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import NamedTuple, final

import structlog
from typing_extensions import override

from hub.clock import Clock
from hub.dispatch.dispatcher import Dispatcher
from hub.dispatch.fanout import HandOver, New
from hub.dispatch.outbox import Deliveries, Delivery, Settled
from hub.errors import LeaseLost, StoreUnavailable
from hub.stages import run_until

STORE_PAUSE = timedelta(seconds=1)

log = structlog.get_logger(__name__)


class Beside(NamedTuple):
    """The dispatcher of this process, and whether it owns an endpoint: for the engine that runs beside it."""

    dispatcher: Dispatcher
    owns: Callable[[str], bool]


@final
class StoreHandOver(HandOver):
    def __init__(self, deliveries: Deliveries, clock: Clock) -> None:
        self._deliveries = deliveries
        self._clock = clock

    @override
    async def take(self, positions: Mapping[int, int], news: Sequence[New]) -> None:
        rows = [delivery for new in news for delivery in new.deliveries]
        while True:
            try:
                await self._deliveries.fan_out(positions, rows)
                return
            except StoreUnavailable as problem:
                log.warning("fanout.unwritten", deliveries=len(rows), reason=str(problem))
                await self._clock.sleep(STORE_PAUSE)


@final
class DirectHandOver(HandOver):
    """Hands deliveries of one shift to the dispatcher beside it; run it as a service that ends after the fan-out.

    Once the shift is over, or a step of it could not be written for want of a lease, nothing of it is written any more:
    a later step would move the position past events that nobody delivered. The partition's next owner reads them again.
    """

    def __init__(self, dispatcher: Dispatcher, deliveries: Deliveries) -> None:
        self._dispatcher = dispatcher
        self._deliveries = deliveries
        self._over = asyncio.Event()

    @override
    async def take(self, positions: Mapping[int, int], news: Sequence[New]) -> None:
        self._insist()
        await self._dispatcher.deliver(positions, news, self._write)

    async def run(self, stopping: asyncio.Event) -> None:
        """Return when everything that was taken is written; raises LeaseLost as soon as something cannot be."""
        try:
            await run_until(stopping, self._watch)
            await self._dispatcher.flush()
        finally:
            self._over.set()

    async def _watch(self) -> None:
        await self._over.wait()
        self._insist()

    async def _write(
        self, positions: Mapping[int, int], deliveries: Sequence[Delivery], attempted: Sequence[Settled]
    ) -> None:
        self._insist()
        try:
            await self._deliveries.fan_out(positions, deliveries, attempted)
        except LeaseLost:
            self._over.set()
            raise

    def _insist(self) -> None:
        if self._over.is_set():
            raise LeaseLost(
                "the shift that read these events is over: who owns their partitions now reads them again"
            )
