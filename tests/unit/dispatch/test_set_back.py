"""A clock that ran ahead and was put right: nobody waits for the time it had."""

import asyncio
from datetime import timedelta

from conformance.put_right import PutRight
from unit.dispatch.answering import Answering
from unit.dispatch.test_dispatcher import OK, an_endpoint, an_event

from hub.dispatch.delivery import DeliveryState, Refused

AHEAD = timedelta(days=365)


def a_house():
    house = Answering(an_endpoint())
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
