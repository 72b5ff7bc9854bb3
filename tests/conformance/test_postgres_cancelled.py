"""A task that is told to end while the database is out of reach ends."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from urllib.parse import urlsplit, urlunsplit

import pytest
from processes.fault_proxy import FaultProxy
from processes.services import Postgres

from hub.store.postgres.database import Connection, Database, open_database
from hub.store.postgres.migrate import migrate

Ask = Callable[[Callable[[Connection], Awaitable[None]]], Awaitable[None]]


@pytest.fixture
async def way(postgres_server: Postgres) -> AsyncIterator[tuple[FaultProxy, Database]]:
    dsn = await postgres_server.create_database()
    await migrate(dsn)
    parts = urlsplit(dsn)
    async with FaultProxy(parts.port or 5432) as proxy:
        user, at, _ = parts.netloc.rpartition("@")
        by_proxy = urlunsplit(parts._replace(netloc=f"{user}{at}127.0.0.1:{proxy.port}"))
        async with open_database(by_proxy, connections=1) as database:
            yield proxy, database


@pytest.mark.parametrize("kind", ["transact", "read"])
async def test_a_roll_back_that_fails_does_not_hide_that_the_task_was_told_to_end(
    way: tuple[FaultProxy, Database], kind: str
) -> None:
    proxy, database = way
    inside = asyncio.Event()

    async def work(connection: Connection) -> None:
        await connection.fetchval("SELECT 1")
        inside.set()
        await asyncio.Event().wait()

    async with asyncio.TaskGroup() as group:
        task = group.create_task(database.transact(work) if kind == "transact" else database.read(work))
        await inside.wait()
        proxy.silence()
        task.cancel()
        await asyncio.wait((task,), timeout=0.1)  # for as long as the roll-back waits for its answer
        assert not task.done()
        await proxy.cut()
        await asyncio.wait((task,), timeout=5)

    assert task.cancelled()
    await proxy.heal()
    assert await database.read(lambda connection: connection.fetchval("SELECT 1")) == 1
