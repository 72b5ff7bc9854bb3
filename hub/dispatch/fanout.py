"""From the log to the endpoints: one delivery for every event and endpoint that want each other, written once."""

import asyncio
from collections.abc import Awaitable, Sequence
from datetime import timedelta
from typing import NamedTuple, Protocol, final

import msgspec
import structlog

from hub.bus.log import Input, InputKind
from hub.clock import Clock
from hub.dispatch.outbox import Deliveries, Delivery, DeliveryState
from hub.dispatch.subscriptions import Subscriptions
from hub.errors import StoreUnavailable
from hub.events.records import Wire, decode_envelope, encode

BATCH = 256
STORE_RETRY = timedelta(seconds=1)

log = structlog.get_logger(__name__)


class Inbox(Protocol):
    """Fan-out's place in the log."""

    async def take(self, limit: int) -> list[Input]:
        """Return the next inputs in order per partition, waiting until there are any; empty when told to stop."""

    def backlog(self) -> int: ...


Taker = object


class Offer(Protocol):
    """Where new deliveries go at once; what is not taken is read from the store later."""

    def offer(self, delivery: Delivery, body: bytes) -> Taker | None:
        """Return who took the delivery, which is still on its way to disk."""

    def written(self, delivery: Delivery, taker: Taker | None) -> None:
        """Hear that a delivery is on disk: from now on it can be read there by whoever did not take it."""


class New(NamedTuple):
    deliveries: Sequence[Delivery]
    body: bytes


@final
class FanOut:
    """Runs until told to stop.

    A crash repeats the last batch: what of it was sent and not yet written down goes out again, with the same id.
    """

    def __init__(
        self,
        inbox: Inbox,
        deliveries: Deliveries,
        subscriptions: Subscriptions,
        hand_over: Offer,
        clock: Clock,
        *,
        batch: int = BATCH,
    ) -> None:
        self._inbox = inbox
        self._deliveries = deliveries
        self._subscriptions = subscriptions
        self._hand_over = hand_over
        self._clock = clock
        self._batch = batch
        self.fanned_out = 0

    async def run(self, stopping: asyncio.Event) -> None:
        while not stopping.is_set():
            inputs = await self._inbox.take(self._batch)
            if inputs:
                await self.step(inputs)

    async def step(self, inputs: Sequence[Input]) -> None:
        """Hand the deliveries of these inputs over, and write them with the positions they leave the log at."""
        now_us = self._clock.now_us()
        positions: dict[int, int] = {}
        news: list[New] = []
        for item in inputs:
            positions[item.partition] = item.n
            if item.kind == InputKind.EVENT:
                new = self._new(item, now_us)
                if new is not None:
                    news.append(new)
        rows = [delivery for new in news for delivery in new.deliveries]
        # The events are on disk; who is owed them may be written while they are on their way. What is settled meanwhile
        # is written after this, because the store writes in the order it is asked.
        writing = self._deliveries.fan_out(positions, rows)
        offer = self._hand_over.offer
        takers = [offer(delivery, new.body) for new in news for delivery in new.deliveries]
        await self._written(writing, positions, rows)
        for delivery, taker in zip(rows, takers, strict=True):
            self._hand_over.written(delivery, taker)
        self.fanned_out += len(rows)

    def _new(self, item: Input, now_us: int) -> New | None:
        try:
            event = decode_envelope(item.body)
        except msgspec.DecodeError:
            # One unreadable row must not hold up its partition for ever.
            log.exception("fanout.event_unreadable", partition=item.partition, n=item.n)
            return None
        wanted = self._subscriptions.matching(event.type, event.endpoints)
        if not wanted:
            return None
        # What `wire` writes, without decoding the event twice.
        body = encode(Wire(event.id, event.type, event.timestamp, event.account, item.sequence, event.data))
        waiting = DeliveryState.WAITING
        return New(
            [
                Delivery(endpoint, item.partition, item.n, event.id, waiting, 0, now_us, now_us)
                for endpoint in wanted
            ],
            body,
        )

    async def _written(
        self, writing: Awaitable[None], positions: dict[int, int], rows: Sequence[Delivery]
    ) -> None:
        while True:
            try:
                await writing
                return
            except StoreUnavailable as problem:
                log.warning("fanout.unwritten", deliveries=len(rows), reason=str(problem))
                await self._clock.sleep(STORE_RETRY)
                writing = self._deliveries.fan_out(positions, rows)
