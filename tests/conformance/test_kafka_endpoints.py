"""Endpoints that are Kafka topics: records with the request's headers, an account in one partition, and retries as for any."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import aiokafka
import orjson
import pytest
from kafka_kit import a_topic
from processes.program import eventually
from processes.services import Kafka
from standardwebhooks.webhooks import Webhook

from hub.bus.kafka.settings import KafkaSettings
from hub.bus.log import Input, InputKind
from hub.clock import SystemClock
from hub.dispatch.announce import Announcement
from hub.dispatch.channels.kafka_endpoints import KafkaDestination
from hub.dispatch.dispatcher import Dispatcher
from hub.dispatch.endpoint_check import kafka_url
from hub.dispatch.fanout import FanOut
from hub.dispatch.memory import MemoryDeliveries, MemoryEndpoints
from hub.dispatch.options import EndpointOptions
from hub.dispatch.outbox import DeliveryState, Endpoint
from hub.dispatch.safe_http import Transport
from hub.dispatch.signing import generate_secret
from hub.events.facts import Fact
from hub.events.records import encode
from hub.testing import a_trade_closed, an_account

SECRET = generate_secret()


@pytest.fixture
async def topic(kafka_server: Kafka) -> str:
    return await a_topic(kafka_server, "crm")


def an_endpoint(topic: str, **options: Any) -> Endpoint:
    asks = EndpointOptions(kind="kafka", topic=topic, **options)
    return Endpoint(
        "ep_1", kafka_url(topic), ("trade.*",), SECRET, "enabled", "", 0, (0.1, 0.1), options=asks
    )


class Nobody(Transport):
    async def send(self, url: Any, headers: Any, body: bytes) -> Any:  # type: ignore[override]
        raise AssertionError("nothing goes over HTTP here")


@asynccontextmanager
async def delivering(
    endpoint: Endpoint, servers: str
) -> AsyncIterator[tuple[FanOut, MemoryDeliveries, list[Announcement]]]:
    clock, deliveries, announced = SystemClock(), MemoryDeliveries(), list[Announcement]()
    endpoints = MemoryEndpoints(deliveries)
    await endpoints.create(endpoint)
    destination = KafkaDestination(KafkaSettings(servers=servers), clock)

    async def announce(what: Announcement) -> None:
        announced.append(what)

    dispatcher = Dispatcher(
        endpoints, deliveries, Nobody(), clock, announce, random=Random(1), kafka=destination
    )
    stopping = asyncio.Event()
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(dispatcher.run(stopping))
            await dispatcher.refresh()
            yield FanOut(None, dispatcher.subscriptions, dispatcher, clock), deliveries, announced  # type: ignore[arg-type]
            stopping.set()
    finally:
        await destination.close()


def inputs(deliveries: MemoryDeliveries, facts: list[Fact]) -> list[Input]:
    found = []
    for n, fact in enumerate(facts, 1):
        account = fact.envelope.account
        assert account is not None
        found.append(Input(0, n, 0, InputKind.EVENT, account.key, "", n, encode(fact.envelope)))
    deliveries.inputs.update({(item.partition, item.n): item for item in found})
    return found


def states(deliveries: MemoryDeliveries) -> list[DeliveryState]:
    return [row.state for row in deliveries.rows()]


async def read(servers: str, topic: str, count: int) -> list[Any]:
    consumer = aiokafka.AIOKafkaConsumer(topic, bootstrap_servers=servers, auto_offset_reset="earliest")
    await consumer.start()
    found: list[Any] = []
    try:
        deadline = asyncio.get_running_loop().time() + 20
        while len(found) < count and asyncio.get_running_loop().time() < deadline:
            for records in (await consumer.getmany(timeout_ms=300)).values():
                found += records
    finally:
        await consumer.stop()
    return found


async def test_a_topic_gets_what_its_filter_lets_through_signed_and_by_account(
    kafka_server: Kafka, topic: str
) -> None:
    facts = [a_trade_closed(an_account(login=7_000 + n % 5), lots=str(n % 2 + 1)) for n in range(20)]
    endpoint = an_endpoint(topic, where="data.lots >= 2", headers=(("X-Desk", "7"),))
    async with delivering(endpoint, kafka_server.bootstrap) as (fan_out, deliveries, _):
        await fan_out.step(inputs(deliveries, facts))
        await eventually(
            lambda: states(deliveries) == [DeliveryState.DELIVERED] * 10, within=20, what="all were delivered"
        )

    records = await read(kafka_server.bootstrap, topic, 10)

    assert len({dict(record.headers)["webhook-id"] for record in records}) == len(records) == 10
    where: dict[bytes, set[int]] = {}
    for record in records:
        headers = {name: value.decode() for name, value in record.headers}
        assert Webhook(SECRET).verify(record.value, headers)
        told = orjson.loads(record.value)
        assert headers["x-desk"] == "7"
        assert record.key.decode() == f"{told['account']['server']}:{told['account']['login']}"
        where.setdefault(record.key, set()).add(record.partition)
    assert all(len(partitions) == 1 for partitions in where.values())
    attempts = await deliveries.attempts("ep_1", 0, 2)
    assert [(attempt.status, attempt.response[:12]) for attempt in attempts] == [(200, "acknowledged")]


async def test_while_kafka_is_away_attempts_fail_and_end_with_the_schedule(topic: str) -> None:
    async with delivering(an_endpoint(topic), "127.0.0.1:1") as (fan_out, deliveries, announced):
        await fan_out.step(inputs(deliveries, [a_trade_closed()]))
        await eventually(
            lambda: states(deliveries) == [DeliveryState.EXHAUSTED], within=30, what="it was given up"
        )

    attempts = await deliveries.attempts("ep_1", 0, 1)
    assert [(attempt.outcome, attempt.error) for attempt in attempts] == [("unreachable", "connect")] * 3
    assert [said.type for said in announced] == ["delivery.exhausted"]
