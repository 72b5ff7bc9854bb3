"""An owner that stops, or that the network loses, in the middle of a transaction holds its successor up for seconds only."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from urllib.parse import urlsplit, urlunsplit

import pytest
from processes.fault_proxy import FaultProxy
from processes.services import Postgres

from hub.errors import StoreError, StoreUnavailable
from hub.store.postgres import database as databases
from hub.store.postgres import fence
from hub.store.postgres.database import Connection, Database, open_database
from hub.store.postgres.lease import PostgresLeases
from hub.store.postgres.migrate import migrate
from hub.store.postgres.session import LOCK_SECONDS, SILENT_SECONDS

LEASE = timedelta(seconds=1)
# From the moment an owner stops until its successor has the lease: until that runs out, a wait in vain, and asking again.
WITHIN = LEASE.total_seconds() + LOCK_SECONDS + 4.0
NEVER = float("inf")
ASK_AGAIN = 0.2
LOCK = "SELECT pg_advisory_xact_lock(4711)"

Stop = Callable[[Connection, FaultProxy], Awaitable[object]]


async def between_two_statements(connection: Connection, way: FaultProxy) -> None:
    await asyncio.Event().wait()


async def in_half_a_question(connection: Connection, way: FaultProxy) -> None:
    await connection.prepare("SELECT $1::int")  # the other half says which number is meant
    await asyncio.Event().wait()


async def before_a_long_answer(connection: Connection, way: FaultProxy) -> None:
    question = await connection.prepare("SELECT repeat('x', 40000000) FROM pg_sleep(0.5)")
    asyncio.get_running_loop().call_later(0.25, way.silence)
    await question.fetchval()


async def waiting_for_another(connection: Connection, way: FaultProxy) -> None:
    asyncio.get_running_loop().call_later(0.25, way.strand)
    await connection.execute(LOCK)


async def lost_by_the_network(connection: Connection, way: FaultProxy) -> None:
    way.strand()
    await connection.fetchval("SELECT 1")


STOPS: tuple[Stop, ...] = (
    between_two_statements,
    in_half_a_question,
    before_a_long_answer,
    waiting_for_another,
    lost_by_the_network,
)


@pytest.fixture
async def dsn(postgres_server: Postgres) -> str:
    made: str = await postgres_server.create_database()
    await migrate(made)
    return made


@asynccontextmanager
async def by_a_way(dsn: str) -> AsyncIterator[tuple[FaultProxy, Database]]:
    parts = urlsplit(dsn)
    async with FaultProxy(parts.port or 5432) as way:
        user, at, _ = parts.netloc.rpartition("@")
        by_way = urlunsplit(parts._replace(netloc=f"{user}{at}127.0.0.1:{way.port}"))
        async with open_database(by_way, connections=1) as database:
            yield way, database
            await way.heal()


async def held_up_by(stop: Stop, dsn: str, successor: PostgresLeases) -> float:
    """Let an owner stop in a transaction that proves its lease; return how long it takes to take it over."""
    name = getattr(stop, "__name__", "")
    async with by_a_way(dsn) as (way, database):
        lease = await PostgresLeases(database).take(name, "owner", LEASE)
        assert lease is not None
        inside = asyncio.Event()

        async def work(connection: Connection) -> None:
            await connection.fetchval("SELECT 1")
            inside.set()
            await stop(connection, way)

        async def own() -> None:
            with pytest.raises(StoreUnavailable):
                await database.transact(work, [lease])

        async with asyncio.TaskGroup() as group:
            owning = group.create_task(own())
            await inside.wait()
            waited = await until_taken(successor, name)
            owning.cancel()
        return waited


async def until_taken(leases: PostgresLeases, name: str) -> float:
    begin = time.monotonic()
    while time.monotonic() - begin < WITHIN:
        try:
            async with asyncio.timeout(WITHIN):
                if await leases.take(name, "successor", LEASE):
                    return time.monotonic() - begin
        except (StoreError, TimeoutError):
            pass
        await asyncio.sleep(ASK_AGAIN)
    return NEVER


async def held_up_by_each(dsn: str) -> dict[str, float]:
    """Let all owners stop at the same time, next to one that is in a long transaction and goes on."""
    begun = asyncio.Event()

    async def go_on(connection: Connection) -> None:
        await connection.execute(LOCK)
        begun.set()
        while True:
            await connection.fetchval("SELECT 1")
            await asyncio.sleep(ASK_AGAIN)

    async with open_database(dsn, connections=len(STOPS) + 1) as database, asyncio.TaskGroup() as group:
        going_on = group.create_task(database.transact(go_on))
        await begun.wait()
        leases = PostgresLeases(database)
        waits = {
            getattr(stop, "__name__", ""): group.create_task(held_up_by(stop, dsn, leases)) for stop in STOPS
        }
        await asyncio.wait(waits.values())
        assert not going_on.done(), "somebody ended a transaction that goes on"
        going_on.cancel()
    return {name: wait.result() for name, wait in waits.items()}


@pytest.mark.timeout(60)
async def test_an_owner_that_stopped_in_a_transaction_is_succeeded_soon(dsn: str) -> None:
    waits = await held_up_by_each(dsn)

    print({name: round(seconds, 1) for name, seconds in waits.items()})
    assert [name for name, seconds in waits.items() if seconds > WITHIN] == []


@pytest.mark.timeout(60)
async def test_without_the_limits_of_a_session_its_successor_waits_on(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def end_nobody(_: object) -> int:
        return 0

    limits = {"idle_in_transaction_session_timeout": "5s", "statement_timeout": "20s"}
    monkeypatch.setattr(databases, "LIMITS", limits)
    for module in (databases, fence):
        monkeypatch.setattr(module, "end_stuck", end_nobody)

    waits = await held_up_by_each(dsn)

    assert [name for name, seconds in waits.items() if seconds > WITHIN] == [
        "in_half_a_question",
        "before_a_long_answer",
        "waiting_for_another",
    ]


@pytest.mark.skipif(sys.platform != "linux", reason="only there the proxy can lose packets")
async def test_a_question_that_the_network_lost_is_given_up_and_asked_again_elsewhere(dsn: str) -> None:
    async with by_a_way(dsn) as (way, database):
        await database.fetch("SELECT 1")
        way.strand()
        begin = time.monotonic()

        with pytest.raises(StoreUnavailable):
            await database.fetch("SELECT 2")

        assert time.monotonic() - begin < SILENT_SECONDS + 3.0
        await way.heal()
        assert [row[0] for row in await database.fetch("SELECT 3")] == [3]


@pytest.mark.parametrize("kind", ["transact", "read"])
async def test_whoever_gives_up_a_silent_connection_waits_for_no_farewell(dsn: str, kind: str) -> None:
    async def work(connection: Connection) -> None:
        await connection.fetchval("SELECT 1")
        way.silence()
        await connection.fetchval("SELECT 2")

    async with by_a_way(dsn) as (way, database):
        begin = time.monotonic()

        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await (database.transact(work) if kind == "transact" else database.read(work))

        assert time.monotonic() - begin < 3.0
        await way.heal()
        assert [row[0] for row in await database.fetch("SELECT 3")] == [3]
