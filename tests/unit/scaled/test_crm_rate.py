"""Several processes write into one CRM: together they make no more requests in a second than it bears."""

import asyncio
from datetime import timedelta
from random import Random

from hub.clock import ManualClock
from hub.config import load
from hub.intents.gate import Open
from hub.pulses import Pulses
from hub.scaled.dispatch import NO_SERVER, ActionRole
from hub.scaled.ears import Ears
from hub.testing import MORNING

CRM = {
    "sales": {
        "kind": "hubspot",
        "token": "t",
        "rate": 8.0,
        "objects": {"client": {"type": "contacts", "id": "hub_id"}},
    }
}
SERVERS = ("live-1", "live-2", "live-3")


class Owns:
    """Stands for the ownership of a role, which is asked only before something is sent."""

    @staticmethod
    def holds(_name):
        return True

    @staticmethod
    def fence(_names):
        return ()


def a_role(clock):
    role = ActionRole(
        load(None, {"crm": CRM}), None, clock, Random(1), Ears(), None, Open(), None, Pulses(clock), print
    )
    role.ownership = Owns()
    role.asked_for = frozenset(SERVERS)
    return role


async def requests_in_a_second(clock, roles_and_names):
    """Return how many requests begin within a second, by every process, when more wait than may go."""
    begun = [0] * len(roles_and_names)

    async def ask(line, number):
        await line.turn()
        begun[number] += 1

    async with asyncio.TaskGroup() as group:
        tasks = []
        for number, (role, names) in enumerate(roles_and_names):
            async with role.begin(frozenset(names)):
                channel = role.worker._notifying._notifiers["crm.note"]
                line = channel._profiles["sales"].line
                tasks += [group.create_task(ask(line, number)) for _ in range(20)]
        # Those of the very beginning are the first of each line, as after a pause: what counts is the pace from there.
        await clock.advance(timedelta(0))
        first = list(begun)
        await clock.advance(timedelta(seconds=1))
        found = [now - then for now, then in zip(begun, first, strict=True)]
        for task in tasks:
            task.cancel()
    return found


async def test_each_process_takes_as_much_of_the_rate_as_it_has_of_the_servers():
    clock = ManualClock(MORNING)

    alone = await requests_in_a_second(clock, [(a_role(clock), (NO_SERVER, *SERVERS))])
    shared = await requests_in_a_second(
        clock, [(a_role(clock), SERVERS[:1]), (a_role(clock), (NO_SERVER, *SERVERS[1:]))]
    )

    assert alone == [8]
    assert shared == [2, 6]


async def test_a_server_that_is_new_or_gone_changes_the_shares_of_those_that_work_already():
    clock = ManualClock(MORNING)
    role = a_role(clock)
    assert role.share(SERVERS[:2]) == 0.5
    role.asked_for |= {"live-4", "live-5", "live-6", "live-7"}
    assert role.share(SERVERS[:2]) == 0.25
    role.asked_for = frozenset({"live-3"})
    assert role.share(SERVERS[:2]) == 0.5  # what was asked for there may only not have been seen yet
