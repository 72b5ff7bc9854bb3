"""A part of the hub that has work and does not get on with it is told of, and what must end and does not ends the process."""

from datetime import timedelta

import pytest

from hub.clock import ManualClock
from hub.pulses import EVERY, STANDS_AFTER, Pulses
from hub.testing import MORNING


class Loop:
    def __init__(self):
        self.waiting, self.done = 0, 0

    def mark(self):
        return (self.done,) if self.waiting else None


@pytest.fixture
def clock():
    return ManualClock(MORNING)


async def looks(pulses, clock, duration):
    for _ in range(duration // EVERY):
        await clock.advance(EVERY)
        pulses.look()


async def test_what_has_work_and_does_not_move_stands_still_until_it_moves_again(clock):
    loop, pulses = Loop(), Pulses(clock)
    pulses.watch("engine", loop.mark)
    loop.waiting = 3
    pulses.look()
    await looks(pulses, clock, STANDS_AFTER - EVERY)
    assert pulses.problems() == []

    await looks(pulses, clock, EVERY)
    assert pulses.problems() == [
        "engine has work to do and stands still since 2026-06-23T09:00:00.000Z, for 30 s"
    ]
    (family,) = pulses.metrics()
    assert [(sample.labels, sample.value) for sample in family.samples] == [({"what": "engine"}, 30.0)]

    loop.done += 1
    await looks(pulses, clock, EVERY)
    assert pulses.problems() == []


async def test_who_has_nothing_to_do_or_is_slow_does_not_stand_still(clock):
    idle, slow, pulses = Loop(), Loop(), Pulses(clock)
    pulses.watch("idle", idle.mark)
    pulses.watch("slow", slow.mark)
    slow.waiting = 1_000
    for _ in range(10):
        await looks(pulses, clock, STANDS_AFTER - EVERY)
        slow.done += 1
        assert pulses.problems() == []


async def test_a_process_that_was_stopped_for_an_hour_does_not_blame_its_loops(clock):
    loop, pulses = Loop(), Pulses(clock)
    pulses.watch("engine", loop.mark)
    loop.waiting = 1
    pulses.look()

    await clock.advance(timedelta(hours=1))
    pulses.look()

    assert pulses.problems() == []


async def test_what_is_over_is_not_watched_any_more(clock):
    loop, pulses = Loop(), Pulses(clock)
    loop.waiting = 1
    with pulses.watching("engine", loop.mark):
        pulses.look()
        await looks(pulses, clock, STANDS_AFTER)
        assert len(pulses.problems()) == 1
    assert pulses.problems() == []


async def test_what_must_not_stand_is_given_up_and_the_rest_is_not(clock):
    given_up = []
    loop, pulses = Loop(), Pulses(clock, given_up.append)
    loop.waiting = 1
    pulses.watch("engine", loop.mark)
    pulses.watch("end of a shift on partitions", loop.mark, ends_after=timedelta(seconds=60))
    pulses.look()
    await looks(pulses, clock, timedelta(seconds=55))
    assert given_up == []

    await looks(pulses, clock, EVERY)

    assert given_up == [
        "end of a shift on partitions has work to do and stands still since 2026-06-23T09:00:00.000Z, for 60 s"
    ]
