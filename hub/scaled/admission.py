"""The ways into a partition: what Kafka holds for it, what other processes of the hub left for it, what is sampled."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Protocol, final

import structlog

from hub.bus.kafka.inbox import KafkaInbox, Taken
from hub.bus.kafka.samples import SampleInbox
from hub.bus.log import Appended
from hub.clock import Clock
from hub.errors import StoreRefused, StoreUnavailable
from hub.events.facts import Fact
from hub.ids import PARTITIONS
from hub.ingest.samples import Quote, Sample, Sink
from hub.store.postgres.log import PostgresLog

MOST = 512
# While many facts come, each transaction begins so long after the one before it: what follows, decisions and deliveries
# alike, comes in batches of the same size, and a transaction costs two processes the same whatever it holds.
PACE = 0.02  # for who owns everything; who owns a third waits three times as long, for batches as large
LONGEST_PACE = 0.1
CROWD = 8  # facts at once; one that comes alone waits for nothing
SECOND = timedelta(seconds=1)
STORE_PAUSE = timedelta(seconds=1)

log = structlog.get_logger(__name__)

Positions = Mapping[tuple[str, int], int]


class Backlog(Protocol):
    def backlog(self) -> int: ...


def consumer(topic: str) -> str:
    """Return the name under which positions in a topic are kept."""
    return f"kafka:{topic}"


@final
class Admission:
    """Stores what Kafka holds, with the position it was read to; told again after a crash it is recognised."""

    def __init__(
        self, inbox: KafkaInbox, log: PostgresLog, engine: Backlog, clock: Clock, *, owned: int = PARTITIONS
    ) -> None:
        self._inbox = inbox
        self._log = log
        self._engine = engine
        self._clock = clock
        self._turns = 0
        self._pace = min(PACE * PARTITIONS / max(owned, 1), LONGEST_PACE)

    def mark(self) -> tuple[object, ...] | None:
        """Return what changes while facts are stored; None where none waits. Bulk waits for live, and is no sign."""
        return (self._turns,) if self._inbox.live_waiting else None

    async def run(self, stopping: asyncio.Event) -> None:
        while not stopping.is_set():
            began = self._clock.monotonic()
            taken = await self._inbox.take(MOST, live_backlog=self._engine.backlog())
            if taken.positions:
                await self._admit(taken, stopping)
                self._turns += 1
            if len(taken.facts) >= CROWD:
                await self._clock.sleep(max(began + self._pace - self._clock.monotonic(), 0) * SECOND)

    async def _admit(self, taken: Taken, stopping: asyncio.Event) -> None:
        positions = {(consumer(topic), partition): n for (topic, partition), n in taken.positions.items()}
        while not stopping.is_set():
            try:
                await self._store(taken.facts, positions)
                return
            except StoreUnavailable as problem:
                # It stays in Kafka and in hand: nothing else is taken before it is stored.
                log.warning("admission.waits_for_the_store", facts=len(taken.facts), reason=str(problem))
                await self._clock.sleep(STORE_PAUSE)

    async def _store(self, facts: Sequence[Fact], positions: Positions) -> None:
        try:
            await self._log.admit(facts, positions)
        except StoreRefused:
            # One of them can never be stored. Each by itself, and the place behind all of them last.
            for fact in facts:
                await self._store_alone(fact)
            await self._log.admit([], positions)

    async def _store_alone(self, fact: Fact) -> list[Appended]:
        try:
            return await self._log.admit([fact], {})
        except StoreRefused:
            log.exception("admission.set_aside", fact=fact.envelope.id, account=fact.account)
            return []


async def take_all_arrivals(log: PostgresLog) -> None:
    """Take all that other processes of the hub have left for these partitions so far."""
    # Until a take was not full: under a steady stream there is always a little more, and whoever begins would never end.
    while await log.take_arrivals(MOST) == MOST:
        pass


@final
class Sampling:
    """Brings samples and quotes to the watcher; one that is lost is followed by the next."""

    def __init__(self, inbox: SampleInbox[Sample | Quote], watcher: Sink) -> None:
        self._inbox = inbox
        self._watcher = watcher

    async def run(self, stopping: asyncio.Event) -> None:
        while not stopping.is_set():
            told = await self._inbox.take(MOST)
            samples = [each for each in told if isinstance(each, Sample)]
            if samples:
                await self._watcher.samples(samples)
            quotes = [each for each in told if isinstance(each, Quote)]
            if quotes:
                await self._watcher.quotes(quotes)
