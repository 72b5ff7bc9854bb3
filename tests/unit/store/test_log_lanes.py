"""Imports give way to what happens now."""

import asyncio
from datetime import timedelta
from pathlib import Path

from hub.bus.log import Lane, Mark
from hub.clock import ManualClock
from hub.testing import MORNING, a_trade_closed, awaited, open_store


async def test_bulk_waits_while_many_live_inputs_wait(tmp_path: Path) -> None:
    clock = ManualClock(MORNING)
    waiting = 1_000
    async with open_store(tmp_path, clock) as store, asyncio.TaskGroup() as group:
        store.log.let_bulk_wait_for(lambda: waiting)
        bulk = group.create_task(awaited(store.log.append([a_trade_closed()], lane=Lane.BULK)))
        await clock.advance(timedelta(seconds=5))
        assert not bulk.done()

        live = await store.log.append([a_trade_closed()])
        assert not live[0].duplicate
        assert not bulk.done()

        waiting = 999
        await clock.advance(timedelta(seconds=1))
        assert not (await asyncio.wait_for(bulk, 10))[0].duplicate


async def test_the_marks_of_an_import_come_with_its_last_part(tmp_path: Path) -> None:
    clock = ManualClock(MORNING)
    facts = [a_trade_closed() for _ in range(300)]
    async with open_store(tmp_path, clock) as store, asyncio.TaskGroup() as group:
        store.log.let_bulk_wait_for(lambda: 1_000 if sum(store.log.heads()) else 0)
        bulk = group.create_task(
            store.log.append(facts, lane=Lane.BULK, marks=[Mark("file", "line", b"300")])
        )
        first_part = asyncio.Event()
        store.log.listen(lambda _: first_part.set())
        await asyncio.wait_for(first_part.wait(), 10)
        assert sum(store.log.heads()) == 256
        assert dict(await store.log.marks("file")) == {}

        store.log.let_bulk_wait_for(lambda: 0)
        async with asyncio.timeout(10):
            while not bulk.done():
                await clock.advance(timedelta(seconds=1))
        assert dict(await store.log.marks("file")) == {"line": b"300"}
        assert sum(store.log.heads()) == 300


async def test_an_append_whose_caller_went_away_is_stored_and_the_others_are_answered(tmp_path: Path) -> None:
    async with open_store(tmp_path) as store, asyncio.TaskGroup() as group:
        gone = group.create_task(awaited(store.log.append([a_trade_closed()])))
        stays = group.create_task(awaited(store.log.append([a_trade_closed()])))
        await asyncio.sleep(0)
        gone.cancel()

        assert not (await asyncio.wait_for(stays, 10))[0].duplicate
        assert len(await store.log.scan(0, 10)) == 2
