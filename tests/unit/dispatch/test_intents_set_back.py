"""Actions and messages a clock wrote that ran ahead, once it was set back: none waits for the time it had."""

import asyncio
from datetime import timedelta

import pytest
from conformance.put_right import PutRight
from unit.dispatch.test_action_worker import NOW, Shop, an_intent

from hub.clock import SECOND_US
from hub.dispatch.effects.backend import Found, Unknown
from hub.dispatch.effects.machine import Timing
from hub.dispatch.effects.set_back import put_right
from hub.dispatch.memory import MemoryIntents
from hub.dispatch.set_back import SetBack
from hub.errors import StoreUnavailable
from hub.intents.intent import State

YEAR = timedelta(days=365)
YEAR_US = 365 * 86_400 * SECOND_US
MINUTE_US = 60 * SECOND_US
DAY_US = 86_400 * SECOND_US


def decided(name, later):
    return an_intent(name, at=NOW + YEAR_US + later, due=NOW + YEAR_US + later)


def ahead(shop):
    shop.clock = shop.worker._clock = clock = PutRight(shop.clock, YEAR)
    shop.worker._set_back = SetBack(clock)
    return clock


async def test_after_a_restart_they_go_at_once_in_the_order_they_were_decided_in():
    shop = Shop(decided("b", 1), decided("a", 2))
    async with shop.running():
        await shop.pass_time(9)

        assert shop.backend.executed() == ["b", "a"]


async def test_a_worker_that_sees_the_clock_set_back_waits_for_none_of_it():
    shop = Shop()
    clock = ahead(shop)
    async with shop.running():
        shop.intents.add(decided("b", MINUTE_US), decided("a", 2 * MINUTE_US))
        shop.worker.wake()
        await shop.pass_time(1)
        assert shop.backend.executed() == []

        clock.ahead = timedelta()
        shop.worker.wake()
        await shop.pass_time(9)

        assert shop.backend.executed() == ["b", "a"]


class Away(MemoryIntents):
    away = False

    async def in_state(self, state, limit):
        if self.away:
            self.away = False
            raise StoreUnavailable("disk full")
        return await super().in_state(state, limit)


async def test_a_store_that_is_away_when_the_clock_is_set_back_does_not_make_them_wait_either():
    shop = Shop(store=Away)
    clock = ahead(shop)
    async with shop.running():
        shop.intents.add(decided("a", MINUTE_US))
        shop.worker.wake()
        await shop.pass_time(1)

        shop.intents.away = True
        clock.ahead = timedelta()
        shop.worker.wake()
        await shop.pass_time(9)

        assert shop.backend.executed() == ["a"]


class Held(MemoryIntents):
    """Says which are in a state as it was when it was asked, once it is let."""

    def __init__(self, intents):
        super().__init__(intents)
        self.let = asyncio.Event()
        self.let.set()

    async def in_state(self, state, limit):
        found = await super().in_state(state, limit)
        await self.let.wait()
        return found


async def test_an_action_that_ended_while_it_was_put_right_holds_back_no_other():
    shop = Shop(an_intent("a"), store=Held)
    shop.backend.executes["a"] = [Unknown("dropped")]
    looked = asyncio.Event()
    clock = ahead(shop)

    async def look(_intent):
        await looked.wait()
        return Found((7,))

    shop.backend.look = look
    async with shop.running():
        await shop.pass_time(61)
        shop.intents.let.clear()
        clock.ahead = timedelta()
        shop.worker.wake()
        await shop.pass_time(0)
        looked.set()  # it ends, and how it stood before is on its way
        await shop.pass_time(0)
        assert await shop.states() == {"a": State.APPLIED}
        shop.intents.let.set()
        shop.intents.add(an_intent("b"))
        await shop.pass_time(9)

        assert shop.backend.executed() == ["a", "b"]


@pytest.mark.parametrize(
    ("intent", "back", "due"),
    [
        (an_intent("untried", at=NOW + 1, due=NOW + 1), 0, NOW - 1),
        (an_intent("decided to go later", due=NOW + 1), 0, None),
        (an_intent("to be looked for", state=State.UNKNOWN, attempts=2, due=NOW + MINUTE_US), 0, None),
        (
            an_intent("to be looked for", state=State.UNKNOWN, attempts=2, due=NOW + YEAR_US),
            YEAR_US,
            NOW + MINUTE_US,
        ),
        (an_intent("mail", "notify.email", attempts=1, due=NOW + DAY_US), YEAR_US, None),
        (an_intent("mail", "notify.email", attempts=1, due=NOW + YEAR_US), 0, NOW + DAY_US),
        (
            an_intent("mail", "notify.email", attempts=1, due=NOW + YEAR_US + MINUTE_US),
            YEAR_US,
            NOW + MINUTE_US,
        ),
    ],
)
def test_only_what_no_schedule_can_say_is_changed_and_never_to_look_too_soon(intent, back, due):
    moves = put_right([intent], Timing(), NOW, back)

    assert [move.after.due for move in moves] == ([] if due is None else [due])
