"""Events leave through Kafka for a data lake: each once its place is known, in order per account, and again from there."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiokafka
import orjson
import pytest
from conformance.backends import PostgresBackend, SqliteBackend
from kafka_kit import a_topic
from processes.program import eventually
from processes.services import Kafka

from hub.bus.follower import Follower
from hub.bus.kafka.settings import KafkaSettings
from hub.bus.log import Places
from hub.clock import SystemClock
from hub.dispatch.channels.kafka_stream import KafkaStream
from hub.dispatch.channels.kafka_stream_settings import KafkaStreamSettings
from hub.store.postgres.places import PostgresPlaces
from hub.testing import a_deposit, a_trade_closed, an_account, an_input

Backend = SqliteBackend | PostgresBackend


@pytest.fixture
async def topic(kafka_server: Kafka) -> str:
    return await a_topic(kafka_server, "lake")


@pytest.fixture
def settings(kafka_server: Kafka, topic: str) -> KafkaStreamSettings:
    return KafkaStreamSettings(
        kafka=KafkaSettings(servers=kafka_server.bootstrap), topic=topic, types=("trade.*",)
    )


def places_of(backend: Backend) -> Places:
    if isinstance(backend, SqliteBackend):
        return backend.store.places
    return PostgresPlaces(backend.store.database, lambda _partitions: ())


@asynccontextmanager
async def streaming(backend: Any, settings: KafkaStreamSettings) -> AsyncIterator[KafkaStream]:
    places = places_of(backend)
    inbox = Follower(backend.log, await places.reached("stream"))
    backend.store.log.listen(inbox.offer)
    stream = KafkaStream(settings, inbox, places, SystemClock())
    stopping = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(stream.run(stopping))
        yield stream
        stopping.set()
        inbox.wake()


async def read(settings: KafkaStreamSettings, count: int) -> list[tuple[int, str, dict[str, Any]]]:
    """Return what lies in the topic as (partition, key, event), and that it is so much and no more."""
    consumer = aiokafka.AIOKafkaConsumer(
        settings.topic, bootstrap_servers=list(settings.kafka.servers), auto_offset_reset="earliest"
    )
    await consumer.start()
    found: list[tuple[int, str, dict[str, Any]]] = []
    try:
        deadline = asyncio.get_running_loop().time() + 20
        while len(found) < count and asyncio.get_running_loop().time() < deadline:
            for records in (await consumer.getmany(timeout_ms=300)).values():
                found += [(r.partition, r.key.decode(), orjson.loads(r.value)) for r in records]
        for records in (await consumer.getmany(timeout_ms=300)).values():
            found += [(r.partition, r.key.decode(), orjson.loads(r.value)) for r in records]
    finally:
        await consumer.stop()
    return found


async def test_every_event_of_the_wanted_types_lies_in_the_topic_once_and_in_order(
    store: Backend, settings: KafkaStreamSettings
) -> None:
    facts = [a_trade_closed(an_account(login=7_000 + n % 5)) for n in range(50)]
    await store.log.append([*facts[:20], a_deposit(an_account())])
    async with streaming(store, settings) as stream:
        await store.log.append(facts[20:], inputs=[an_input()])
        await eventually(lambda: stream.sent == 50, within=20, what="all were acknowledged")

    found = await read(settings, 50)
    assert sorted(event["id"] for _, _, event in found) == sorted(fact.envelope.id for fact in facts)
    assert len({event["id"] for _, _, event in found}) == len(found) == 50
    by_account: dict[str, list[int]] = {}
    partitions: dict[str, set[int]] = {}
    for partition, key, event in found:
        by_account.setdefault(key, []).append(event["sequence"])
        partitions.setdefault(key, set()).add(partition)
        assert key == f"{event['account']['server']}:{event['account']['login']}"
    assert len(by_account) == 5
    assert all(numbers == sorted(numbers) for numbers in by_account.values())
    assert all(len(where) == 1 for where in partitions.values())


async def test_after_a_restart_it_goes_on_from_its_place(
    store: Backend, settings: KafkaStreamSettings
) -> None:
    first, second = [a_trade_closed() for _ in range(3)], [a_trade_closed() for _ in range(4)]
    await store.log.append(first)
    async with streaming(store, settings) as stream:
        await eventually(lambda: stream.sent == 3, within=20, what="the first were acknowledged")
    await store.log.append(second)
    async with streaming(store, settings) as stream:
        await eventually(lambda: stream.sent == 4, within=20, what="the others were acknowledged")

    found = await read(settings, 7)
    assert sorted(event["id"] for _, _, event in found) == sorted(f.envelope.id for f in [*first, *second])
    assert sum(await places_of(store).reached("stream")) == 7


async def test_while_kafka_is_away_nothing_is_passed_over(store: Backend, topic: str) -> None:
    nowhere = KafkaStreamSettings(kafka=KafkaSettings(servers="127.0.0.1:1"), topic=topic)
    await store.log.append([a_trade_closed()])
    async with streaming(store, nowhere) as stream:
        await eventually(lambda: stream._line.failures > 0, within=20, what="it was tried")

    assert stream.sent == 0
    assert sum(await places_of(store).reached("stream")) == 0
