"""From the owner of a partition to those who own endpoints: who is owed an event is written, and they hear of it."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import final

import structlog
from typing_extensions import override

from hub.clock import Clock
from hub.dispatch.fanout import HandOver, New
from hub.dispatch.outbox import Deliveries
from hub.errors import StoreUnavailable

STORE_PAUSE = timedelta(seconds=1)

log = structlog.get_logger(__name__)


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
