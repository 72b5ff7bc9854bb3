"""A read sees one moment, whatever is committed while it looks."""

import asyncio
import threading
from pathlib import Path

import apsw
import pytest

from hub.testing import a_trade_closed, open_store


async def test_the_statements_of_one_read_see_the_same_moment(tmp_path: Path) -> None:
    async with open_store(tmp_path) as store, asyncio.TaskGroup() as group:
        looked, go = threading.Event(), threading.Event()

        def work(connection: apsw.Connection) -> list[int]:
            counts = [connection.execute("SELECT count(*) FROM input").fetchall()[0][0]]
            looked.set()
            go.wait(10)
            return [*counts, connection.execute("SELECT count(*) FROM input").fetchall()[0][0]]

        read = group.create_task(store.reader.read(work))
        await asyncio.to_thread(looked.wait, 10)
        await store.log.append([a_trade_closed()])
        go.set()

        assert await read == [0, 0]
        assert await store.reader.read(lambda c: c.execute("SELECT count(*) FROM input").fetchall()) == [(1,)]


async def test_a_slow_read_holds_up_neither_writes_nor_the_other_reader(tmp_path: Path) -> None:
    async with open_store(tmp_path) as store, asyncio.TaskGroup() as group:
        started, go = threading.Event(), threading.Event()

        def slow(_: apsw.Connection) -> None:
            started.set()
            go.wait(10)

        read = group.create_task(store.reader.read(slow))
        await asyncio.to_thread(started.wait, 10)
        async with asyncio.timeout(10):
            await store.log.append([a_trade_closed()])
            assert len(await store.log.scan(0, 10)) == 1
        assert not read.done()
        go.set()


async def test_a_read_that_fails_spoils_no_later_one(tmp_path: Path) -> None:
    async with open_store(tmp_path) as store:
        for _ in range(4):
            with pytest.raises(apsw.SQLError):
                await store.reader.read(lambda connection: connection.execute("SELECT nonsense").fetchall())

        assert await store.log.scan(0, 10) == []


async def test_a_reader_cannot_write(tmp_path: Path) -> None:
    async with open_store(tmp_path) as store:
        with pytest.raises(apsw.ReadOnlyError):
            await store.reader.read(lambda connection: connection.execute("DELETE FROM meta").fetchall())
