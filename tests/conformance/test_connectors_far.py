"""A connector whose log is stored by others later: after a restart it waits for them, and so tells nothing anew."""

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from conformance.backends import PostgresBackend
from conformance.test_connectors import MT4, MT5, level4, level5, mt4, mt5, simulator
from connector_kit import running, until
from kafka_kit import an_inbox, at, ends
from processes.services import Kafka

from hub.bus.kafka.ends import topic_ends
from hub.bus.kafka.inbox import KafkaInbox
from hub.bus.kafka.producer import KafkaLog
from hub.bus.kafka.settings import KafkaSettings
from hub.bus.kafka.topics import ensure
from hub.clock import SystemClock
from hub.events.records import decode_envelope
from hub.ingest.source import Connector, Settled, at_once
from hub.scaled.stored import StoredByOwners
from hub.scaled.telling import FarLog
from hub.sim import Simulator
from hub.store.postgres.marks import PostgresMarks
from hub.store.postgres.positions import read_positions

Begin = Callable[[Simulator, FarLog, Settled], Connector]


@pytest.fixture
async def topics(kafka_server: Kafka) -> KafkaSettings:
    settings = at(kafka_server.bootstrap)
    await ensure(settings)
    return settings


class Town:
    """One database and one Kafka; processes that tell come and go, and an owner stores when the test says so."""

    def __init__(self, postgres: PostgresBackend, topics: KafkaSettings, inbox: KafkaInbox) -> None:
        self.postgres = postgres
        self.topics = topics
        self.inbox = inbox
        self.looks = 0

    @asynccontextmanager
    async def process(self) -> AsyncIterator[tuple[FarLog, KafkaLog]]:
        """Begin a process that tells: it remembers nothing of what another one told."""
        database = self.postgres.store.database
        kafka = KafkaLog(self.topics, PostgresMarks(database, lambda _sources: ()))
        try:
            yield FarLog(kafka, self.postgres.store.log), kafka
        finally:
            await kafka.close()

    def waiting(self) -> Settled:
        return StoredByOwners(
            lambda: topic_ends(self.topics, (self.topics.live,)), self._positions, SystemClock()
        ).wait

    async def _positions(self) -> dict[tuple[str, int], int]:
        self.looks += 1
        live = self.topics.live
        reached = await self.postgres.store.database.read(
            lambda connection: read_positions(connection, f"kafka:{live}")
        )
        return {(live, partition): n for partition, n in enumerate(reached)}

    async def store_everything(self) -> None:
        left = await topic_ends(self.topics, (self.topics.live,))
        reached = await self._positions()
        while any(reached[where] < end for where, end in left.items()):
            taken = await self.inbox.take(500, live_backlog=0)
            positions = {(f"kafka:{topic}", p): n for (topic, p), n in taken.positions.items()}
            await self.postgres.store.log.admit(taken.facts, positions)
            reached = await self._positions()

    async def told(self) -> Counter[str]:
        rows = await self.postgres.store.log.scan(0, 10_000)
        return Counter(decode_envelope(row.body).type for row in rows)


@pytest.fixture
async def town(postgres: PostgresBackend, topics: KafkaSettings) -> AsyncIterator[Town]:
    async with an_inbox(topics, await ends(topics)) as inbox:
        yield Town(postgres, topics, inbox)


async def _close_and_leave(
    town: Town, begin: Begin, login: int, level: Callable[..., Awaitable[None]], sim: Simulator
) -> None:
    """Let a process tell the end of a trade whose beginning it never saw, and end before anybody stored it."""
    trade = sim.broker.open(login, "EURUSD", "buy", "0.20")
    async with town.process() as (log, kafka):
        connector = begin(sim, log, at_once)
        async with running(connector):
            await level(connector)
            before = kafka.acknowledged
            sim.broker.close(login, trade.ticket)
            await until(lambda: kafka.acknowledged > before, "the end of the trade to be told")
            # The next mark is written after the one that goes with the end.
            sim.broker.deposit(login, "5")
            await until(lambda: kafka.acknowledged > before + 1, "the deposit to be told")


def _mt4(sim: Simulator, log: FarLog, settled: Settled) -> Connector:
    return mt4(sim, log, settled=settled)


def _mt5(sim: Simulator, log: FarLog, settled: Settled) -> Connector:
    return mt5(sim, log, logins=(MT5,), settled=settled)


async def _level5(connector: Connector) -> None:
    await level5(connector, 1)  # type: ignore[arg-type]  # it is an MT5 one


PLATFORMS = pytest.mark.parametrize(
    ("begin", "login", "level"), [(_mt4, MT4, level4), (_mt5, MT5, _level5)], ids=["mt4", "mt5"]
)


@PLATFORMS
async def test_a_connector_that_returns_waits_for_the_owners_and_tells_no_beginning_anew(
    town: Town, begin: Begin, login: int, level: Callable[..., Awaitable[None]]
) -> None:
    async with simulator() as sim:
        await _close_and_leave(town, begin, login, level, sim)
        async with town.process() as (log, kafka):
            connector = begin(sim, log, town.waiting())
            town.looks = 0
            async with running(connector):
                await until(lambda: town.looks >= 4, "it to look for what is stored")
                assert kafka.acknowledged == 0, "it told something before it could know what was told"

                await town.store_everything()
                await level(connector)
        await town.store_everything()
        told = await town.told()
    assert (told["trade.closed"], told["balance.deposited"]) == (1, 1)
    assert told["trade.opened"] == 0, "its beginning was never told, so that is not news"


@PLATFORMS
async def test_without_waiting_a_beginning_is_told_that_nobody_saw(
    town: Town, begin: Begin, login: int, level: Callable[..., Awaitable[None]]
) -> None:
    async with simulator() as sim:
        await _close_and_leave(town, begin, login, level, sim)
        async with town.process() as (log, _):
            connector = begin(sim, log, at_once)
            async with running(connector):
                await level(connector)
        await town.store_everything()
        told = await town.told()
    assert told["trade.opened"] == 1, "the test above would not notice"
