"""Waiting for the owners: asked for once, for as long as it takes, and never answered too early."""

import asyncio
from collections import deque
from datetime import timedelta

import pytest

from hub.clock import ManualClock
from hub.errors import StoreUnavailable
from hub.scaled.stored import StoredByOwners
from hub.testing import MORNING

A, B = ("hub.live", 3), ("hub.bulk", 4)


class Servers:
    """Kafka and the database, as far as somebody asks them; either may be away."""

    def __init__(self):
        self.ends, self.reached = {A: 7}, {A: 7}
        self.away = deque()
        self.asked = []

    async def say_ends(self):
        self.asked.append("ends")
        await asyncio.sleep(0)
        if self.away:
            raise StoreUnavailable(self.away.popleft())
        return self.ends

    async def say_reached(self):
        self.asked.append("reached")
        await asyncio.sleep(0)
        return self.reached


@pytest.fixture
def servers():
    return Servers()


@pytest.fixture
def clock():
    return ManualClock(MORNING)


@pytest.fixture
def stored(servers, clock):
    return StoredByOwners(servers.say_ends, servers.say_reached, clock)


async def settle(clock):
    for _ in range(10):
        await clock.advance(timedelta(0))


async def test_who_asks_when_everything_is_stored_waits_for_nothing(stored):
    await stored.wait()


async def test_everything_that_stood_in_kafka_has_to_be_stored_and_what_comes_later_does_not(
    stored, servers, clock
):
    servers.ends, servers.reached = {A: 7, B: 2}, {A: 7}
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(stored.wait())
        await settle(clock)
        assert not waiting.done()
        servers.ends = {A: 700, B: 200}
        servers.reached = {A: 8, B: 1}
        await clock.advance(timedelta(seconds=10))
        await settle(clock)
        assert not waiting.done()
        servers.reached = {A: 8, B: 2}
        await clock.advance(timedelta(seconds=10))
        await settle(clock)
        assert waiting.done()
    assert servers.asked.count("ends") == 1


async def test_while_nothing_can_be_known_it_waits_and_says_why(stored, servers, clock):
    servers.away += ["Kafka is away"] * 20
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(stored.wait())
        await settle(clock)
        assert stored.problem() is None
        for _ in range(6):
            await clock.advance(timedelta(seconds=5))
            await settle(clock)
        assert not waiting.done()
        assert stored.problem() == "sources wait to begin: Kafka is away"
        servers.away.clear()
        await clock.advance(timedelta(seconds=5))
        await settle(clock)
        assert waiting.done()
    assert stored.problem() is None


async def test_however_long_it_takes_it_looks_seldom(stored, servers, clock):
    servers.reached = {}
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(stored.wait())
        for _ in range(100):
            await clock.advance(timedelta(seconds=1))
            await settle(clock)
        assert len(servers.asked) < 30
        assert stored.problem() == (
            "sources wait to begin: 7 facts told before are not stored by the owners of 1 partitions"
        )
        waiting.cancel()


async def test_many_who_ask_at_once_are_answered_by_two_looks(stored, servers, clock):
    async with asyncio.TaskGroup() as group:
        for _ in range(100):
            group.create_task(stored.wait())
        await settle(clock)
        await clock.advance(timedelta(seconds=1))
        group.create_task(stored.wait())
    assert servers.asked.count("ends") == 2


async def test_who_asks_while_somebody_waits_is_not_answered_by_an_older_look(stored, servers, clock):
    servers.reached = {}
    async with asyncio.TaskGroup() as group:
        first = group.create_task(stored.wait())
        await settle(clock)
        await clock.advance(timedelta(milliseconds=10))
        second = group.create_task(stored.wait())
        servers.ends = {A: 9}
        servers.reached = {A: 7}
        await clock.advance(timedelta(seconds=1))
        await settle(clock)
        assert (first.done(), second.done()) == (True, False)
        second.cancel()


async def test_one_who_is_cut_off_leaves_its_turn_to_the_next(stored, servers, clock):
    servers.reached = {}
    async with asyncio.TaskGroup() as group:
        first, second = group.create_task(stored.wait()), group.create_task(stored.wait())
        await settle(clock)
        first.cancel()
        servers.reached = {A: 7}
        await settle(clock)
        assert second.done()
