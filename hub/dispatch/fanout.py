"""From the log to the endpoints: one delivery for every event and endpoint that want each other, written once."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol, final

import msgspec
import structlog

from hub.bus.log import Input, InputKind
from hub.clock import Clock
from hub.dispatch.announce import OWN_NEWS
from hub.dispatch.outbox import Delivery, DeliveryState
from hub.dispatch.subscriptions import Subscriptions
from hub.events.records import Wire, decode_envelope, encode

BATCH = 256

log = structlog.get_logger(__name__)


class Inbox(Protocol):
    """Fan-out's place in the log."""

    async def take(self, limit: int) -> list[Input]:
        """Return the next inputs in order per partition, waiting until there are any; empty when told to stop."""

    def backlog(self) -> int: ...


class _About(msgspec.Struct):
    endpoint: str = ""


_about = msgspec.json.Decoder(_About).decode


class New(NamedTuple):
    deliveries: Sequence[Delivery]
    body: bytes


class HandOver(Protocol):
    async def take(self, positions: Mapping[int, int], news: Sequence[New]) -> None:
        """Deliver these, and write them with the positions they leave the log at; wait while too many are unwritten."""


@final
class FanOut:
    """Runs until told to stop.

    A crash repeats what was sent and not yet written down, with the same id.
    """

    def __init__(
        self,
        inbox: Inbox,
        subscriptions: Subscriptions,
        hand_over: HandOver,
        clock: Clock,
        *,
        batch: int = BATCH,
    ) -> None:
        self._inbox = inbox
        self._subscriptions = subscriptions
        self._hand_over = hand_over
        self._clock = clock
        self._batch = batch
        self.fanned_out = 0
        self._steps = 0
        self._in_hand = 0

    def mark(self) -> tuple[object, ...] | None:
        """Return what changes while it gets on; None where there is nothing to hand over."""
        return (self._steps, self._in_hand) if self._in_hand or self._inbox.backlog() else None

    async def run(self, stopping: asyncio.Event) -> None:
        while not stopping.is_set():
            inputs = await self._inbox.take(self._batch)
            if inputs:
                await self.step(inputs)

    async def step(self, inputs: Sequence[Input]) -> None:
        """Hand the deliveries of these inputs over."""
        now_us = self._clock.now_us()
        positions: dict[int, int] = {}
        news: list[New] = []
        for item in inputs:
            positions[item.partition] = item.n
            if item.kind == InputKind.EVENT:
                new = self._new(item, now_us)
                if new is not None:
                    news.append(new)
        self.fanned_out += sum(len(new.deliveries) for new in news)
        self._in_hand = len(inputs)
        await self._hand_over.take(positions, news)
        self._in_hand = 0
        self._steps += 1

    def _new(self, item: Input, now_us: int) -> New | None:
        try:
            event = decode_envelope(item.body)
        except msgspec.DecodeError:
            # One unreadable row must not hold up its partition for ever.
            log.exception("fanout.event_unreadable", partition=item.partition, n=item.n)
            return None
        wanted = self._subscriptions.matching(event.type, event.endpoints)
        # An event that names its endpoints goes to them whatever they ask for.
        if event.endpoints is None and self._subscriptions.picking(wanted):
            wanted = self._subscriptions.picked(wanted, event)
        if event.type in OWN_NEWS:
            about = _about(event.data).endpoint
            wanted = [endpoint for endpoint in wanted if endpoint != about]
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
