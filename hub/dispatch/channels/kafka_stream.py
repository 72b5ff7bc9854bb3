"""Normalized events on a Kafka topic, for a data lake: every event once its place in the log is known, in order per account.

At least once: after a crash the last batch may come again, with the same ids. The record's key is the account, its value
what a webhook's body would be.
"""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Protocol, final

import msgspec
import structlog

from hub.bus.kafka.producer import Line
from hub.bus.log import Input, InputKind, Places
from hub.clock import Clock
from hub.dispatch.channels.kafka_stream_settings import KafkaStreamSettings
from hub.dispatch.patterns import matches
from hub.errors import StoreUnavailable
from hub.events.records import Wire, decode_envelope, encode

CONSUMER = "stream"
BATCH = 256
TRY_AGAIN = timedelta(seconds=1)

log = structlog.get_logger(__name__)


class Inbox(Protocol):
    async def take(self, limit: int) -> list[Input]:
        """Return the next inputs in order per partition, waiting until there are any; empty when told to stop."""


@final
class KafkaStream:
    """`sent` counts records Kafka acknowledged."""

    def __init__(self, settings: KafkaStreamSettings, inbox: Inbox, places: Places, clock: Clock) -> None:
        self._settings = settings
        self._inbox = inbox
        self._places = places
        self._clock = clock
        self._line = Line(settings.kafka, safe=True)
        self._partitions = 0
        self.sent = 0

    async def run(self, stopping: asyncio.Event) -> None:
        try:
            while not stopping.is_set():
                inputs = await self._inbox.take(BATCH)
                while inputs and not stopping.is_set() and not await self._send(inputs):
                    await self._clock.sleep(TRY_AGAIN)
        finally:
            await self._line.close()

    async def _send(self, inputs: Sequence[Input]) -> bool:
        """Send what of these is an event, and say how far we are; False when it has to be tried again."""
        try:
            self._partitions = self._partitions or await self._line.partitions(self._settings.topic)
            tellings = [telling for item in inputs if (telling := self._telling(item)) is not None]
            if tellings:
                await self._line.tell(self._settings.topic, tellings)
            self.sent += len(tellings)
            await self._places.reach(CONSUMER, {item.partition: item.n for item in inputs})
        except StoreUnavailable as problem:
            # It stands in the log, and nothing behind it is sent before it.
            log.warning("stream.waits", topic=self._settings.topic, reason=str(problem))
            return False
        return True

    def _telling(self, item: Input) -> tuple[int, bytes, bytes] | None:
        if item.kind != InputKind.EVENT:
            return None
        try:
            event = decode_envelope(item.body)
        except msgspec.DecodeError:
            log.exception("stream.event_unreadable", partition=item.partition, n=item.n)
            return None
        if not any(matches(pattern, event.type) for pattern in self._settings.types):
            return None
        body = encode(Wire(event.id, event.type, event.timestamp, event.account, item.sequence, event.data))
        # An account stays in one partition of theirs, as it does in ours.
        return item.partition % self._partitions, body, item.key.encode()
