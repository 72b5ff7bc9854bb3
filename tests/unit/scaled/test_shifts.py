"""What a process owns is worked on by one shift at a time, and a shift that lost a name is over before the name goes."""

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest

from hub.clock import ManualClock
from hub.errors import LeaseLost, StoreUnavailable
from hub.scaled.shifts import Shifts

START = datetime(2026, 6, 23, 9, 0, tzinfo=UTC)


class Desk:
    """Notes which shifts began and ended; a shift ends when it is told and, where `holding` is set, not before that."""

    def __init__(self):
        self.clock = ManualClock(START)
        self.shifts = Shifts("partition", self.begin, self.clock, lambda name: name not in self.lapsed)
        self.lapsed = set()
        self.log = []
        self.holding = None
        self.failing = []

    @asynccontextmanager
    async def begin(self, names):
        self.log.append(("begin", sorted(names)))
        yield self
        self.log.append(("end", sorted(names)))

    async def run(self, stopping):
        if self.failing:
            raise self.failing.pop()
        await stopping.wait()
        if self.holding is not None:
            await self.holding.wait()

    @asynccontextmanager
    async def running(self):
        stopping = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(self.shifts.run(stopping))
            await self.settle()
            yield self
            stopping.set()

    async def settle(self):
        for _ in range(10):
            await self.clock.advance(timedelta(0))


async def test_a_shift_works_on_all_that_was_gained_and_ends_when_the_process_does():
    desk = Desk()
    async with desk.running():
        assert desk.log == []
        await desk.shifts.gained(["1", "2"])
        await desk.settle()
        assert desk.log == [("begin", ["1", "2"])]
        assert desk.shifts.working == {"1", "2"}

    assert desk.log == [("begin", ["1", "2"]), ("end", ["1", "2"])]
    assert desk.shifts.working == frozenset()


async def test_another_set_of_names_is_another_shift():
    async with Desk().running() as desk:
        await desk.shifts.gained(["1"])
        await desk.settle()
        await desk.shifts.gained(["2"])
        await desk.settle()
        await desk.shifts.lost(["1"])
        await desk.settle()

        assert desk.log == [
            ("begin", ["1"]),
            ("end", ["1"]),
            ("begin", ["1", "2"]),
            ("end", ["1", "2"]),
            ("begin", ["2"]),
        ]


async def test_a_name_is_lost_only_when_nothing_works_on_it_any_more():
    async with Desk().running() as desk:
        desk.holding = asyncio.Event()
        await desk.shifts.gained(["1"])
        await desk.settle()
        async with asyncio.TaskGroup() as group:
            losing = group.create_task(desk.shifts.lost(["1"]))
            await desk.settle()
            assert not losing.done()
            desk.holding.set()
            await desk.settle()
            assert losing.done()
        assert desk.log[-1] == ("end", ["1"])


@pytest.mark.parametrize("trouble", [LeaseLost("gone"), StoreUnavailable("away")])
async def test_trouble_with_the_store_or_a_lease_begins_the_shift_again(trouble):
    async with Desk().running() as desk:
        desk.failing = [trouble]
        await desk.shifts.gained(["1"])
        await desk.settle()
        assert desk.log == [("begin", ["1"])]

        await desk.clock.advance(timedelta(seconds=1))
        await desk.settle()
        assert desk.log == [("begin", ["1"]), ("begin", ["1"])]
        assert desk.shifts.working == {"1"}


async def test_what_is_ours_and_never_comes_to_be_worked_on_can_be_told():
    async with Desk().running() as desk:
        assert desk.shifts.beginning() is None
        begin = desk.shifts._begin

        @asynccontextmanager
        async def unable(names):
            raise StoreUnavailable("nobody has said yet which workflows are live")
            yield

        desk.shifts._begin = unable
        await desk.shifts.gained(["1"])
        marks = set()
        for _ in range(5):  # tried again each second, and no nearer to it
            await desk.clock.advance(timedelta(seconds=1))
            marks.add(desk.shifts.beginning())
        assert marks == {(frozenset({"1"}),)}

        desk.shifts._begin = begin
        await desk.clock.advance(timedelta(seconds=1))
        await desk.settle()
        assert desk.shifts.beginning() is None


async def test_a_bug_ends_the_process_and_is_not_tried_again():
    desk = Desk()
    desk.failing = [ValueError("a bug")]
    await desk.shifts.gained(["1"])
    with pytest.raises(ExceptionGroup) as raised:
        await desk.shifts.run(asyncio.Event())
    assert raised.group_contains(ValueError)


async def test_a_shift_whose_leases_have_ended_is_not_waited_for():
    desk = Desk()
    desk.holding = asyncio.Event()
    async with desk.running():
        await desk.shifts.gained(["1", "2"])
        await desk.settle()
        desk.lapsed = {"1"}

        async with asyncio.timeout(5):
            await desk.shifts.lost(["1"])

        assert "1" not in desk.shifts.working
        desk.holding.set()
