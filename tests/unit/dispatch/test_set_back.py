"""A clock that ran ahead and was put right: nobody waits for the time it had."""

import asyncio
import contextlib
from datetime import timedelta

import pytest
from conformance.put_right import PutRight
from unit.dispatch.answering import Answering
from unit.dispatch.test_account_order import in_order
from unit.dispatch.test_dispatcher import LOST, OK, START, an_endpoint, an_event

from hub.clock import SECOND_US, ManualClock
from hub.dispatch.delivery import DeliveryState, Refused
from hub.dispatch.memory import MemoryDeliveries
from hub.dispatch.outbox import Delivery
from hub.dispatch.set_back import LOOKED_UP, SetBack, due_instead, longest_of, put_right

AHEAD = timedelta(days=365)


def a_house(endpoint=None):
    house = Answering(endpoint or an_endpoint())
    house.clock = house.receivers.clock = PutRight(house.clock, AHEAD)
    house.restart()
    house.receivers.answers["ep"] = Refused(503, 10, b"", 60_000_000)
    return house


async def test_a_pause_lasts_as_long_as_it_was_asked_for_when_the_clock_is_put_right():
    async with a_house().running() as house:
        await house.tell(an_event(1))
        assert len(house.receivers.requests()) == 1
        house.receivers.answers["ep"] = OK

        house.clock.ahead = timedelta()
        await house.tell(an_event(2))
        await house.advance(seconds=59)
        assert len(house.receivers.requests()) == 1, "never early"
        await house.advance(seconds=62)

        assert house.states()["ep", 2] is DeliveryState.DELIVERED


async def test_a_pause_that_is_stored_is_no_longer_than_one_may_be():
    house = a_house()
    stopping = asyncio.Event()
    task = asyncio.ensure_future(house.dispatcher.run(stopping))
    await house.settle()
    await house.tell(an_event(1))
    await house.dispatcher.flush()
    stopping.set()
    await task
    assert (await house.healths.get("ep")).paused_until
    house.receivers.answers["ep"] = OK

    house.clock.ahead = timedelta()
    house.restart()
    async with house.running():
        await house.tell(an_event(2))
        await house.advance(days=1)

        assert house.states()["ep", 2] is DeliveryState.DELIVERED


@contextlib.asynccontextmanager
async def stopped_in_time(house):
    """Run it, and end as a hub that is stopped in good order does."""
    stopping = asyncio.Event()
    task = asyncio.ensure_future(house.dispatcher.run(stopping))
    await house.settle()
    yield
    await house.dispatcher.flush()
    stopping.set()
    await task


@pytest.mark.parametrize("endpoint", [an_endpoint(), in_order()], ids=["in any order", "in order"])
@pytest.mark.parametrize("restarted", [False, True])
async def test_a_retry_written_by_a_clock_that_ran_ahead_is_due_by_its_schedule(endpoint, restarted):
    house = a_house(endpoint)
    house.receivers.answers["ep"] = LOST
    async with contextlib.AsyncExitStack() as stack:
        if restarted:
            async with stopped_in_time(house):
                await house.tell(an_event(1))
        else:
            await stack.enter_async_context(house.running())
            await house.tell(an_event(1))
        house.receivers.answers["ep"] = OK
        house.clock.ahead = timedelta()
        if restarted:
            house.restart()
            await stack.enter_async_context(house.running())
        await house.advance(minutes=30)

        assert house.states()["ep", 1] is DeliveryState.DELIVERED
        await house.tell(an_event(2))
        assert house.states()["ep", 2] is DeliveryState.DELIVERED


async def test_what_was_never_tried_is_due_at_once_when_the_clock_that_wrote_it_is_put_right():
    house = a_house()
    async with stopped_in_time(house):
        await house.tell(an_event(1))  # its body is in the log
    now = house.clock.now_us()
    await house.deliveries.fan_out(
        {}, [Delivery("ep", 0, 7, "evt_7", DeliveryState.WAITING, 0, now + 7_200 * SECOND_US, now)]
    )
    house.deliveries.inputs[0, 7] = an_event(7)
    house.receivers.answers["ep"] = OK
    house.clock.ahead = timedelta()
    house.restart()

    async with house.running():
        await house.advance(days=1, seconds=1)  # the pause of the first

        assert house.states()["ep", 7] is DeliveryState.DELIVERED


async def test_what_a_receiver_asked_for_holds_over_a_restart_though_its_schedule_is_shorter():
    house = Answering(an_endpoint())
    house.receivers.answers["ep"] = Refused(503, 10, b"", 3_600 * SECOND_US)
    async with stopped_in_time(house):
        await house.tell(an_event(1))
    house.receivers.answers["ep"] = OK
    house.restart()

    async with house.running():
        await house.advance(minutes=59, seconds=59)
        assert len(house.receivers.requests()) == 1, "never early"

        await house.advance(seconds=2)
        assert house.states()["ep", 1] is DeliveryState.DELIVERED


@pytest.mark.parametrize(
    ("due", "longest", "back", "instead"),
    [
        (100, 50, 0, 100),
        (151, 50, 0, 150),
        (1_120, 50, 1_000, 120),
        (1_040, 50, 1_000, 100),
        (1_190, 50, 1_000, 150),
        (130, 50, 1_000, 130),
    ],
)
def test_nothing_is_due_further_ahead_than_its_schedule_can_say(due, longest, back, instead):
    assert due_instead(due, longest, 100, back) == instead


async def test_small_corrections_add_up_and_a_clock_that_goes_ahead_is_no_news():
    clock = PutRight(ManualClock(START))
    looking = SetBack(clock)

    seen = []
    for millis in (-400, -800, -1_200, 5_000, 4_100, 3_900):
        clock.ahead = timedelta(milliseconds=millis)
        await clock.advance(timedelta(minutes=1))
        seen.append(looking.by_us())

    assert seen == [0, 0, 1_200_000, 0, 0, 1_100_000]


async def test_of_many_that_seem_to_wait_for_too_long_no_more_than_a_thousand_are_looked_up():
    """An operator who made a schedule shorter has all that waits look so, each time an endpoint begins."""

    class Counting(MemoryDeliveries):
        looked_up = 0

        async def attempts(self, *which):
            self.looked_up += 1
            return await super().attempts(*which)

    hour, day = 3_600 * SECOND_US, 86_400 * SECOND_US
    deliveries = Counting()
    rows = [Delivery("ep", 0, n, "evt", DeliveryState.WAITING, 1, hour + n, 0) for n in range(1, 2_001)]
    rows += [Delivery("ep", 0, 2_001, "evt", DeliveryState.WAITING, 1, 30 * day, 0)]
    await deliveries.fan_out({}, rows)

    moved = await put_right(deliveries, "ep", longest_of((5.0,), in_order=False), 0)

    assert deliveries.looked_up == LOOKED_UP
    assert moved == LOOKED_UP + 1
    (last,) = [row for row in deliveries.rows() if row.n == 2_001]
    assert last.due == day
