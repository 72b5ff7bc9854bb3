"""Waiting for a server: for as long as it takes or as was said, and never for what waiting does not mend."""

import asyncio
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from hub.clock import ManualClock
from hub.commands.reaching import unless_stopped, when_reachable
from hub.errors import ConfigError, StoreUnavailable
from hub.testing import MORNING

SECOND = timedelta(seconds=1)


class Server:
    """Away until it is `back`."""

    def __init__(self):
        self.back = False
        self.asked = 0

    async def ask(self):
        self.asked += 1
        if not self.back:
            raise StoreUnavailable("db:5432 cannot be reached")
        return "on"


async def settle(clock):
    for _ in range(10):
        await clock.advance(timedelta(0))


async def test_it_asks_until_there_is_an_answer_and_says_now_and_then_for_what():
    clock, server = ManualClock(MORNING), Server()
    with capture_logs() as said:
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(when_reachable(server.ask, clock))
            for _ in range(12):
                await settle(clock)
                await clock.advance(SECOND)
            server.back = True
            await clock.advance(SECOND)
    assert waiting.result() == "on"
    assert server.asked >= 12
    assert [line["reason"] for line in said] == ["db:5432 cannot be reached"] * 3


async def test_its_patience_ends_when_it_was_told_to():
    clock, server = ManualClock(MORNING), Server()
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(_outcome(when_reachable(server.ask, clock, patience=3 * SECOND)))
        for _ in range(2):
            await settle(clock)
            await clock.advance(SECOND)
        await settle(clock)
        assert not waiting.done()
        await clock.advance(SECOND)
        await settle(clock)
        assert isinstance(waiting.result(), StoreUnavailable)


async def test_without_patience_it_asks_once():
    server = Server()
    with pytest.raises(StoreUnavailable):
        await when_reachable(server.ask, ManualClock(MORNING), patience=timedelta())
    assert server.asked == 1


async def test_what_waiting_does_not_mend_is_raised_at_once():
    async def ask():
        raise ConfigError("a wrong password")

    with pytest.raises(ConfigError):
        await when_reachable(ask, ManualClock(MORNING))


async def test_work_is_cut_off_when_it_is_told_to_stop_and_its_result_is_returned_otherwise():
    stopping, cut_off = asyncio.Event(), []

    async def hang():
        try:
            await asyncio.Event().wait()
        finally:
            cut_off.append(True)

    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(unless_stopped(hang(), stopping))
        await asyncio.sleep(0)
        stopping.set()
    assert (waiting.result(), cut_off) == (None, [True])
    server = Server()
    server.back = True
    assert await unless_stopped(server.ask(), asyncio.Event()) == "on"


async def _outcome(work):
    try:
        return await work
    except StoreUnavailable as problem:
        return problem
