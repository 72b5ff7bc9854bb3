"""Work that goes on although it was told to end ends with its process, which says why."""

import asyncio
import json
import subprocess
import sys
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from hub.bus.memory import MemoryLeases
from hub.clock import ManualClock
from hub.config import Settings
from hub.ending import STUCK
from hub.errors import LeaseLost
from hub.scaled.process import MUST_END, Process
from hub.stages import Stages
from hub.testing import MORNING

PROGRAM = """
import asyncio
from datetime import timedelta
from hub import logs
from hub.ending import end_process
from hub.stages import Stages

class Deaf:
    async def run(self, stopping):
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                pass  # as a library does that takes our cancellation for one of its own

class Lost:
    async def run(self, stopping):
        raise ValueError("the lease is lost")

logs.set_up()
services = ((Deaf(),), (Lost(),))
asyncio.run(Stages(services, lambda: None, give_up=end_process, insists=timedelta(milliseconds=50)).run(asyncio.Event()))
"""


class Deaf:
    """Swallows cancellation until the test is over."""

    def __init__(self):
        self.over = asyncio.Event()
        self.cancelled = 0

    async def run(self, stopping):
        while not self.over.is_set():
            try:
                await self.over.wait()
            except asyncio.CancelledError:
                self.cancelled += 1


class Failing:
    async def run(self, stopping):
        raise LeaseLost("another has it")


class Obedient:
    async def run(self, stopping):
        await stopping.wait()


async def test_a_service_that_swallows_its_cancellation_is_given_up_on_by_name():
    deaf, given_up = Deaf(), []

    def give_up(reason):
        given_up.append(reason)
        deaf.over.set()

    stages = Stages(
        ((deaf, Obedient()), (Failing(),)),
        lambda: None,
        give_up=give_up,
        insists=timedelta(milliseconds=10),
    )
    with pytest.raises(ExceptionGroup) as raised:
        await stages.run(asyncio.Event())

    assert given_up == ["told to end, Deaf.run went on for 0.01 s after being cancelled"]
    assert deaf.cancelled == 1
    assert raised.group_contains(LeaseLost)


async def test_services_that_end_when_they_are_told_to_are_not_given_up_on():
    given_up = []
    with pytest.raises(ExceptionGroup):
        await Stages(((Obedient(),), (Failing(),)), lambda: None, give_up=given_up.append).run(
            asyncio.Event()
        )
    assert given_up == []


def test_the_process_ends_at_once_with_its_code_and_says_why():
    ended = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, timeout=60, check=False)

    assert ended.returncode == STUCK
    (line,) = [json.loads(line) for line in ended.stderr.splitlines() if b"process.gives_up" in line]
    assert line["level"] == "critical"
    assert line["reason"].startswith("told to end, Deaf.run went on for ")


class Shift:
    """A process that owns one partition and works on it with a service that does not end."""

    def __init__(self):
        self.clock = ManualClock(MORNING)
        self.leases = MemoryLeases(self.clock)
        self.names = ["0"]
        self.deaf = Deaf()
        self.given_up = []
        self.process = Process(Settings(), None, self.leases, None, self.clock, self.given_up.append)
        self.ownership = self.process.work_in_shifts("partition", lambda: self.names, self.begin)

    @asynccontextmanager
    async def begin(self, names):
        yield self.deaf

    @asynccontextmanager
    async def running(self):
        stopping = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            for service in (self.process.pulses, *self.process.working, *self.process.owning):
                group.create_task(service.run(stopping))
            await self.clock.advance(timedelta(seconds=1))
            yield self
            self.deaf.over.set()
            stopping.set()
            await self.clock.advance(timedelta(seconds=1))


async def test_a_process_that_cannot_hand_over_says_so_and_ends_rather_than_keep_what_it_owns():
    async with Shift().running() as shift:
        assert shift.ownership.held() == ["0"]
        shift.names = []  # somebody else should have it

        await shift.clock.advance(timedelta(seconds=50))

        assert shift.ownership.holds("0")
        problems = shift.process.pulses.problems()
        assert [problem.partition(" has work")[0] for problem in problems] == [
            "end of a shift on partitions",
            "handing over of partitions",
        ]
        assert shift.given_up == []

        await shift.clock.advance(MUST_END)

        assert "end of a shift on partitions" in shift.given_up[0]


async def test_a_process_whose_lease_is_lost_and_whose_work_goes_on_ends():
    async with Shift().running() as shift:
        renew = shift.leases.renew
        shift.leases.renew = refused

        await shift.clock.advance(MUST_END + timedelta(seconds=30))

        assert not shift.ownership.holds("0")
        assert "end of a shift on partitions" in shift.given_up[0]
        shift.leases.renew = renew


async def refused(_leases, _duration):
    return []
