"""What goes without a task of its own: as much at a time, as often and as surely as what has one."""

import asyncio
from datetime import timedelta

import pytest
from unit.dispatch.test_dispatcher import LOST, OK, House, Receivers, an_endpoint, an_event

from hub.dispatch.delivery import Refused
from hub.dispatch.outbox import DeliveryState

AGAIN = None


class Flight:
    def __init__(self, lines, body, about, told):
        self.lines, self.body, self.about, self.told = lines, body, about, told
        self.comes_to = OK

    def outcome(self):
        return self.comes_to


class KeptWay:
    """A way on which everything stays in the air until it is told to land; `lines` of it are free."""

    def __init__(self):
        self.free, self.flying, self.most, self.repeated = 1_000, [], 0, []

    def begin(self, lines, body, about, told):
        if len(self.flying) >= self.free:
            return False
        self.flying.append(Flight(lines, body, about, told))
        self.most = max(self.most, len(self.flying))
        return True

    def land(self, comes_to=OK):
        flying, self.flying = self.flying, []
        for flight in flying:
            flight.comes_to = comes_to
            flight.told(flight)

    async def once_more(self, flight, headers, body):
        self.repeated.append((flight.lines, headers, body))
        return OK


class KeptReceivers(Receivers):
    def __init__(self, clock):
        super().__init__(clock)
        self.ways = {}

    def way(self, url):
        return self.ways.setdefault(url.host.split(".")[0], KeptWay())


class KeptHouse(House):
    def restart(self, **more):
        self.receivers = KeptReceivers(self.clock)
        super().restart(**more)


async def test_no_more_are_in_the_air_than_the_endpoint_bears_and_each_that_lands_lets_another_go():
    async with KeptHouse(an_endpoint(), concurrency=3).running() as house:
        await house.tell(*[an_event(n) for n in range(1, 8)])
        way = house.receivers.ways["ep"]
        landed = []
        while way.flying:
            landed.append(len(way.flying))
            way.land()
            await house.settle()

        assert landed == [3, 3, 1]
        assert set(house.states().values()) == {DeliveryState.DELIVERED}
        assert house.dispatcher.counters()["ep"].delivered == 7
        assert house.receivers.sent == []


async def test_it_is_signed_as_everything_is():
    async with KeptHouse(an_endpoint(), an_endpoint("slow")).running() as house:
        house.receivers.way(house.dispatcher._workers["slow"]._url).free = 0
        await house.tell(an_event(1))
        ((headers, body),) = house.receivers.requests("slow")
        (flight,) = house.receivers.ways["ep"].flying

        assert flight.lines == "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        assert flight.body == body
        house.receivers.ways["ep"].land()


async def test_what_fails_in_the_air_waits_for_its_next_attempt():
    async with KeptHouse(an_endpoint()).running() as house:
        await house.tell(an_event(1))
        way = house.receivers.ways["ep"]
        way.land(LOST)
        await house.settle()
        (row,) = house.deliveries.rows()
        assert (row.state, row.attempts, way.flying) == (DeliveryState.WAITING, 1, [])

        await house.clock.advance(timedelta(hours=1))
        await house.settle()
        way.land(Refused(500, 10))
        await house.settle()
        assert [a.outcome for a in await house.deliveries.attempts("ep", 0, 1)] == ["unreachable", "refused"]


async def test_what_came_to_nothing_is_sent_once_more_and_is_one_attempt():
    async with KeptHouse(an_endpoint()).running() as house:
        await house.tell(an_event(1))
        way = house.receivers.ways["ep"]
        way.land(AGAIN)
        await house.settle()

        ((lines, headers, _),) = way.repeated
        assert lines == "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        assert len(await house.deliveries.attempts("ep", 0, 1)) == 1
        assert house.states() == {("ep", 1): DeliveryState.DELIVERED}


async def test_whoever_stops_waits_for_what_is_in_the_air_and_what_came_of_it_is_written():
    house = KeptHouse(an_endpoint())
    stopping = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        running = group.create_task(house.dispatcher.run(stopping))
        await house.settle()
        await house.tell(an_event(1), an_event(2))
        stopping.set()
        await house.settle()
        assert not running.done()
        house.receivers.ways["ep"].land(AGAIN)

    assert set(house.states().values()) == {DeliveryState.DELIVERED}


async def test_whoever_is_cancelled_lets_what_is_in_the_air_go():
    house = KeptHouse(an_endpoint())
    running = asyncio.ensure_future(house.dispatcher.run(asyncio.Event()))
    await house.settle()
    await house.tell(an_event(1))
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    house.receivers.ways["ep"].land()
    await house.settle()

    assert await house.deliveries.attempts("ep", 0, 1) == []


async def test_an_answer_the_hub_stumbles_over_is_a_failed_attempt_and_ends_nobody_elses_work():
    class Stumbles(Flight):
        def outcome(self):
            raise ZeroDivisionError

    async with KeptHouse(an_endpoint(), an_endpoint("other")).running() as house:
        await house.tell(an_event(1))
        flying = house.receivers.ways["ep"].flying
        flying[0].__class__ = Stumbles
        house.receivers.ways["ep"].land()
        await house.settle()
        house.receivers.ways["other"].land()
        await house.settle()

        assert house.states() == {("ep", 1): DeliveryState.WAITING, ("other", 1): DeliveryState.DELIVERED}
        (attempt,) = await house.deliveries.attempts("ep", 0, 1)
        assert attempt.error == "connect"


async def test_a_bug_in_a_turn_ends_the_run_and_is_not_swallowed(monkeypatch):
    house = KeptHouse(an_endpoint())

    def broken(*_):
        raise ZeroDivisionError

    async def run():
        async with house.running():
            await house.tell(an_event(1))
            monkeypatch.setattr(house.dispatcher._settler, "add", broken)
            house.receivers.ways["ep"].land()
            await asyncio.Event().wait()

    with pytest.raises(ExceptionGroup) as raised:
        await run()
    assert raised.value.subgroup(ZeroDivisionError) is not None
