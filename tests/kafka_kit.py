"""What the tests of the Kafka inbox share: topics of their own, readers that run, and a look at what is in a topic."""

import asyncio
import functools
import uuid
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from processes.services import Kafka, in_a_thread

from hub.bus import told
from hub.bus.kafka.client import consumer, leave, place, producer
from hub.bus.kafka.inbox import KafkaInbox, Taken
from hub.bus.kafka.producer import KafkaLog
from hub.bus.kafka.settings import KafkaSettings
from hub.bus.kafka.topics import ensure
from hub.bus.log import Mark
from hub.clock import SystemClock
from hub.events.facts import Fact
from hub.ids import PARTITIONS

ALL = range(PARTITIONS)


def at(bootstrap: str, **changes: Any) -> KafkaSettings:
    """Return the settings for a prefix nobody else has."""
    return KafkaSettings(servers=bootstrap, prefix=f"t-{uuid.uuid4().hex[:12]}", replication=1, **changes)


@functools.cache
def shared_topics(bootstrap: str) -> KafkaSettings:
    """Make topics once for all tests that only ever look behind where they began."""
    settings = at(bootstrap)
    in_a_thread(lambda: ensure(settings))
    return settings


async def a_topic(server: Kafka, beginning: str) -> str:
    """Make a topic of somebody else's, with three partitions."""
    name = f"{beginning}-{uuid.uuid4().hex[:10]}"
    admin = AIOKafkaAdminClient(bootstrap_servers=server.bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(name, 3, 1)])
    finally:
        await admin.close()
    return name


class Remembered:
    """Marks in memory; `written` keeps every call."""

    def __init__(self) -> None:
        self.written: list[Sequence[Mark]] = []

    async def write(self, marks: Sequence[Mark]) -> None:
        self.written.append(marks)

    async def marks(self, source: str) -> Mapping[str, bytes]:
        return {
            mark.name: mark.value
            for marks in self.written
            for mark in marks
            if mark.source == source and mark.value is not None
        }


@asynccontextmanager
async def a_log(
    settings: KafkaSettings, marks: Remembered | None = None, *, answer_seconds: float = 10.0
) -> AsyncIterator[KafkaLog]:
    log = KafkaLog(settings, marks or Remembered(), answer_seconds=answer_seconds)
    try:
        yield log
    finally:
        await log.close()


@asynccontextmanager
async def running(service: Any) -> AsyncIterator[Any]:
    """Run a service beside the test, and see it end when it is asked to."""
    stopping = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(service.run(stopping))
        try:
            yield service
        finally:
            stopping.set()


@asynccontextmanager
async def an_inbox(
    settings: KafkaSettings, starts: Mapping[int, Mapping[str, int]]
) -> AsyncIterator[KafkaInbox]:
    async with running(KafkaInbox(settings, SystemClock())) as inbox:
        inbox.assign(starts)
        yield inbox


async def ends(settings: KafkaSettings, partitions: Collection[int] = ALL) -> dict[int, dict[str, int]]:
    """Return where the lanes end now: what a test tells comes after it."""
    reader = consumer(settings.connecting())
    await reader.start()
    try:
        places = [place(topic, p) for topic in (settings.live, settings.bulk) for p in partitions]
        reader.assign(places)
        found = await reader.end_offsets(places)
    finally:
        await leave(reader)
    return {
        p: {topic: found[place(topic, p)] for topic in (settings.live, settings.bulk)} for p in partitions
    }


async def put(settings: KafkaSettings, topic: str, records: Iterable[tuple[int, bytes]]) -> None:
    """Write whatever bytes into a topic, as somebody else might."""
    writer = producer(settings.connecting(), safe=False)
    await writer.start()
    for partition, value in records:
        await (await writer.send(topic, value, partition=partition))
    await writer.stop()


async def told_facts(
    settings: KafkaSettings, starts: Mapping[int, Mapping[str, int]], topic: str
) -> list[Fact]:
    """Return the facts in a topic from `starts` to its end, with a reader that has nothing to do with the hub's."""
    stops = await ends(settings, starts.keys())
    reader = consumer(settings.connecting())
    await reader.start()
    facts: list[Fact] = []
    try:
        places = [place(topic, p) for p in starts if starts[p][topic] < stops[p][topic]]
        reader.assign(places)
        for where in places:
            reader.seek(where, starts[where.partition][topic])
        missing = sum(stops[p][topic] - starts[p][topic] for p in starts)
        async with asyncio.timeout(20):
            while len(facts) < missing:
                for where, records in (await reader.getmany(timeout_ms=100, max_records=1000)).items():
                    facts += [told.decode(record.value or b"", where.partition) for record in records]
    finally:
        await leave(reader)
    return facts


async def taken_until(
    inbox: KafkaInbox, count: int, *, limit: int = 1000, live_backlog: int = 0, within: float = 20.0
) -> list[Taken]:
    """Take until so many facts came."""
    parts: list[Taken] = []
    async with asyncio.timeout(within):
        while sum(len(part.facts) for part in parts) < count:
            parts.append(await inbox.take(limit, live_backlog=live_backlog))
    return parts


def facts_of(parts: Iterable[Taken]) -> list[Fact]:
    return [fact for part in parts for fact in part.facts]


def by_partition(facts: Iterable[Fact]) -> dict[int, list[Fact]]:
    grouped: dict[int, list[Fact]] = {}
    for fact in facts:
        grouped.setdefault(fact.partition, []).append(fact)
    return grouped
