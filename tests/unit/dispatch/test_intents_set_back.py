"""Actions and messages a clock wrote that ran ahead, once it was set back: none waits for the time it had."""

from datetime import timedelta

import pytest
from conformance.put_right import PutRight
from unit.dispatch.test_action_worker import NOW, Shop, an_intent

from hub.clock import SECOND_US
from hub.dispatch.effects.machine import Timing
from hub.dispatch.effects.set_back import put_right
from hub.dispatch.set_back import SetBack
from hub.intents.intent import State

YEAR = timedelta(days=365)
YEAR_US = 365 * 86_400 * SECOND_US
MINUTE_US = 60 * SECOND_US
DAY_US = 86_400 * SECOND_US


def decided(name, later):
    return an_intent(name, at=NOW + YEAR_US + later, due=NOW + YEAR_US + later)


async def test_after_a_restart_they_go_at_once_in_the_order_they_were_decided_in():
    shop = Shop(decided("b", 1), decided("a", 2))
    async with shop.running():
        await shop.pass_time(9)

        assert shop.backend.executed() == ["b", "a"]


async def test_a_worker_that_sees_the_clock_set_back_waits_for_none_of_it():
    shop = Shop()
    shop.clock = shop.worker._clock = clock = PutRight(shop.clock, YEAR)
    shop.worker._set_back = SetBack(clock)
    async with shop.running():
        shop.intents.add(decided("b", MINUTE_US), decided("a", 2 * MINUTE_US))
        shop.worker.wake()
        await shop.pass_time(1)
        assert shop.backend.executed() == []

        clock.ahead = timedelta()
        shop.worker.wake()
        await shop.pass_time(9)

        assert shop.backend.executed() == ["b", "a"]


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
