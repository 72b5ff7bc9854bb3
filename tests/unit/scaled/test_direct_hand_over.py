"""The hand-over within one process: sent first and written once, and of a shift that is over nothing is written."""

import asyncio
from contextlib import asynccontextmanager
from datetime import timedelta
from random import Random

import pytest

from hub.bus.log import Input, InputKind
from hub.clock import ManualClock
from hub.dispatch.delivery import Delivered
from hub.dispatch.dispatcher import Dispatcher
from hub.dispatch.fanout import New
from hub.dispatch.memory import MemoryDeliveries, MemoryEndpoints
from hub.dispatch.outbox import DeliveryState, Endpoint
from hub.errors import LeaseLost, StoreUnavailable
from hub.events.facts import stored
from hub.scaled.hand_over import DirectHandOver
from hub.testing import MORNING, a_delivery, a_trade_closed, an_account

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class Disk(MemoryDeliveries):
    """Notes what each write of the fan-out held: positions, what waits, what was tried."""

    def __init__(self):
        super().__init__()
        self.writes = []
        self.lost = False
        self.away = False

    async def fan_out(self, positions, deliveries, attempted=()):
        if self.away:
            raise StoreUnavailable("away")
        if self.lost:
            self.lost = False
            raise LeaseLost("partition:0 belongs to another")
        self.writes.append(
            (dict(positions), [row.n for row in deliveries], [one.delivery.n for one in attempted])
        )
        await super().fan_out(positions, deliveries, attempted)


class Receiver:
    """Answers once it may."""

    def __init__(self):
        self.sent = []
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def send(self, _url, headers, _body):
        self.sent.append(headers["webhook-id"])
        await self.may_answer.wait()
        return Delivered(204, 900)


async def no_word(_announcement):
    raise AssertionError("nothing here is given up")


class House:
    """One process: its dispatcher, the disk, and a shift's hand-over that runs while `async with shift()`."""

    def __init__(self, *, owns=lambda _: True):
        self.clock = ManualClock(MORNING)
        self.disk = Disk()
        endpoints = MemoryEndpoints(self.disk)
        endpoints._endpoints["ep_1"] = Endpoint(
            "ep_1", "https://crm.example.com/hook", ("*",), SECRET, "enabled", "", 0
        )
        self.receiver = Receiver()
        self.dispatcher = Dispatcher(
            endpoints, self.disk, self.receiver, self.clock, no_word, random=Random(1), owns=owns
        )

    def hand_over(self):
        return DirectHandOver(self.dispatcher, self.disk)

    @asynccontextmanager
    async def running(self):
        stopping = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(self.dispatcher.run(stopping))
            await self.settle()
            yield self
            stopping.set()
            await self.settle()
            await self.pass_time(50)

    async def settle(self):
        for _ in range(10):
            await self.clock.advance(timedelta(0))

    async def pass_time(self, milliseconds):
        for _ in range(milliseconds):
            await self.clock.advance(timedelta(milliseconds=1))
        await self.settle()

    async def tell(self, hand_over, n):
        await hand_over.take({0: n}, [New([a_delivery(n=n, event_id=f"evt_{n}")], b"{}")])
        await self.settle()


def an_input_of(event):
    """Return the row of the log a delivery of it is read from."""
    envelope = a_trade_closed(an_account()).envelope
    return Input(0, 1, 0, InputKind.EVENT, "live-1:1", event, 1, stored(envelope))


async def outcome(work):
    try:
        return await work
    except Exception as error:
        return error


async def test_what_is_for_an_endpoint_of_this_process_is_sent_at_once_and_written_once():
    async with House().running() as house:
        await house.tell(house.hand_over(), 1)
        assert (house.receiver.sent, house.disk.writes) == (["evt_1"], [])

        await house.pass_time(50)
        assert house.disk.writes == [({0: 1}, [], [1])]
        assert [row.state for row in house.disk.rows()] == [DeliveryState.DELIVERED]


async def test_what_is_for_an_endpoint_of_another_process_is_written_for_it_without_patience():
    async with House(owns=lambda _: False).running() as house:
        await house.tell(house.hand_over(), 1)
        await house.pass_time(20)

        assert (house.receiver.sent, house.disk.writes) == ([], [({0: 1}, [1], [])])


async def test_an_endpoint_that_is_lost_and_not_yet_let_go_gets_nothing_directly():
    owned = {"ep_1"}
    async with House(owns=owned.__contains__).running() as house:
        owned.clear()
        await house.tell(house.hand_over(), 1)
        await house.pass_time(20)

        assert (house.receiver.sent, house.disk.writes) == ([], [({0: 1}, [1], [])])


async def test_a_shift_ends_when_what_it_handed_over_is_written():
    async with House().running() as house:
        house.receiver.may_answer.clear()
        hand_over, stopping = house.hand_over(), asyncio.Event()
        async with asyncio.TaskGroup() as group:
            ending = group.create_task(hand_over.run(stopping))
            await house.tell(hand_over, 1)
            house.disk.away = True
            stopping.set()
            await house.pass_time(100)
            assert not ending.done()

            house.disk.away = False
            await house.pass_time(1_000)
            assert ending.done()
        assert house.disk.writes == [({0: 1}, [1], [])]
        house.receiver.may_answer.set()


async def test_after_a_step_without_a_lease_no_later_step_moves_the_position_past_it():
    async with House().running() as house:
        hand_over, house.disk.lost = house.hand_over(), True
        async with asyncio.TaskGroup() as group:
            working = group.create_task(outcome(hand_over.run(asyncio.Event())))
            await house.tell(hand_over, 1)
            house.receiver.may_answer.clear()  # so that the second is written later
            await house.clock.advance(timedelta(milliseconds=15))
            await house.tell(hand_over, 2)
            await house.pass_time(100)
            assert working.done()
            assert working.result().subgroup(LeaseLost) is not None
        assert house.disk.writes == []
        assert await house.disk.fanned_out() == [0] * 64
        with pytest.raises(LeaseLost):
            await hand_over.take({0: 3}, [])
        house.receiver.may_answer.set()


async def test_a_shift_that_was_cut_off_writes_nothing_although_its_leases_may_have_come_back():
    async with House().running() as house:
        house.disk.away = True
        hand_over = house.hand_over()
        async with asyncio.TaskGroup() as group:
            working = group.create_task(hand_over.run(asyncio.Event()))
            await house.tell(hand_over, 1)
            await house.pass_time(50)
            working.cancel()
        house.disk.away = False
        await house.pass_time(1_000)
        assert house.disk.writes == []

        # The next shift reads from the stored position: the same comes again, with the same id.
        await house.tell(house.hand_over(), 1)
        await house.pass_time(50)
        assert house.receiver.sent == ["evt_1", "evt_1"]
        assert house.disk.writes == [({0: 1}, [], [1])]


@pytest.mark.parametrize("answered", ["before the next shift", "before it is written", "afterwards"])
async def test_what_is_on_its_way_when_its_shift_is_over_is_passed_on_by_the_next(answered):
    async with House().running() as house:
        house.disk.inputs[0, 1] = an_input_of("evt_1")
        house.receiver.may_answer.clear()
        hand_over = house.hand_over()
        async with asyncio.TaskGroup() as group:
            working = group.create_task(outcome(hand_over.run(asyncio.Event())))
            house.disk.away = True
            await house.tell(hand_over, 1)
            working.cancel()
            await house.settle()
        if answered == "before the next shift":
            house.receiver.may_answer.set()
            await house.settle()
        await house.tell(
            house.hand_over(), 1
        )  # the same partition, owned again: read from the stored position
        if answered == "before it is written":
            house.receiver.may_answer.set()
            await house.settle()
        house.disk.away = False
        await house.pass_time(1_500)
        house.receiver.may_answer.set()
        await house.pass_time(1_500)

        assert set(house.receiver.sent) == {"evt_1"}
        assert await house.disk.fanned_out() == [1] + [0] * 63
        assert [row.state for row in house.disk.rows()] == [DeliveryState.DELIVERED]


async def test_what_was_forgotten_is_sent_again_when_its_new_owner_has_written_it():
    async with House().running() as house:
        hand_over, house.disk.lost = house.hand_over(), True
        await house.tell(hand_over, 1)
        await house.pass_time(50)
        assert (house.receiver.sent, house.disk.writes) == (["evt_1"], [])

        house.disk.inputs[0, 1] = an_input_of("evt_1")
        await house.disk.fan_out({0: 1}, [a_delivery(n=1, event_id="evt_1")])
        house.dispatcher.left_behind("ep_1", (a_delivery().due, 0, 1))
        await house.pass_time(50)
        assert house.receiver.sent == ["evt_1", "evt_1"]
        assert [row.state for row in house.disk.rows()] == [DeliveryState.DELIVERED]
