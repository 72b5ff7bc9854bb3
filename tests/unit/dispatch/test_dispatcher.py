import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from random import Random

import msgspec
import pytest

from hub.bus.log import Input, InputKind
from hub.clock import ManualClock, to_us
from hub.dispatch import attempt_record
from hub.dispatch.announce import DeliveryExhausted, EndpointDisabled
from hub.dispatch.attempt_record import Seen
from hub.dispatch.delivery import Delivered, ErrorClass, Gone, Refused, Unreachable
from hub.dispatch.dispatcher import Dispatcher
from hub.dispatch.fanout import FanOut
from hub.dispatch.keyring import SigningKey
from hub.dispatch.memory import MemoryDeliveries, MemoryEndpoints
from hub.dispatch.outbox import Delivery, DeliveryState, Endpoint
from hub.dispatch.safe_http import base_headers
from hub.dispatch.signing import parse_secret, verify
from hub.errors import LeaseLost, StoreUnavailable
from hub.events.records import wire

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
START = datetime(2026, 6, 23, 9, 0, tzinfo=UTC)
OK = Delivered(204, 900)
NONE = timedelta()
LOST = Unreachable(ErrorClass.TIMEOUT, "no answer", 15_000_000)


def an_endpoint(name="ep", **changes):
    fields = {
        "id": name,
        "url": f"https://{name}.example.com/hook",
        "events": ("*",),
        "secret": SECRET,
        "state": "enabled",
        "description": "",
        "created_at": 0,
    }
    return Endpoint(**fields | changes)


def an_event(n, event_type="trade.closed", partition=0, **envelope):
    event = {
        "id": f"evt_{n}",
        "type": event_type,
        "timestamp": "2026-06-23T09:00:00.123000Z",
        "received_at": "2026-06-23T09:00:01Z",
        "source": "s",
        "dedupe_key": "k",
        "data": {"lots": "2.5"},
        "account": {"server": "live-1", "login": 1001},
    } | envelope
    body = msgspec.json.encode(event)
    return Input(partition, n, 0, InputKind.EVENT, "live-1:1001", "", n, body)


class Disk(MemoryDeliveries):
    """Notes what is written at once; while `away`, nothing is."""

    def __init__(self):
        super().__init__()
        self.away = False
        self.of_another = set()
        self.writes = []

    async def fan_out(self, positions, deliveries, attempted=()):
        self._look()
        self.writes.append(([row.n for row in deliveries], [settled.delivery.n for settled in attempted]))
        await super().fan_out(positions, deliveries, attempted)

    async def settle(self, results):
        self._look()
        if any(settled.delivery.endpoint in self.of_another for settled in results):
            raise LeaseLost("somebody else owns the endpoint")
        await super().settle(results)

    def _look(self):
        if self.away:
            raise StoreUnavailable("disk full")


class Receivers:
    """A transport that answers as told, per host, and remembers what it was sent."""

    def __init__(self, clock):
        self.clock = clock
        self.answers = {}
        self.sent = []
        self.now_sending = {}
        self.most_at_once = {}

    def requests(self, name="ep"):
        return [(headers, body) for host, headers, body in self.sent if host == f"{name}.example.com"]

    async def send(self, url, headers, body):
        name = url.host.split(".")[0]
        self.sent.append((url.host, headers, body))
        self.now_sending[name] = self.now_sending.get(name, 0) + 1
        self.most_at_once[name] = max(self.most_at_once.get(name, 0), self.now_sending[name])
        try:
            answer = self.answers.get(name, OK)
            outcome = answer(headers) if callable(answer) else answer
            return await outcome if asyncio.iscoroutine(outcome) else outcome
        finally:
            self.now_sending[name] -= 1


class House:
    def __init__(self, *endpoints, capacity=1_000, concurrency=16, patience=NONE):
        self.clock = ManualClock(START)
        self.deliveries = Disk()
        self.endpoints = MemoryEndpoints(self.deliveries)
        for endpoint in endpoints:
            self.endpoints._endpoints[endpoint.id] = endpoint
        self.receivers = Receivers(self.clock)
        self.announced = []
        self.elsewhere = set()
        self.capacity, self.concurrency, self.patience = capacity, concurrency, patience
        self.restart()

    def restart(self, **more):
        self.dispatcher = Dispatcher(
            self.endpoints,
            self.deliveries,
            self.receivers,
            self.clock,
            self.announce,
            random=Random(1),
            capacity=self.capacity,
            room_bytes=0,
            concurrency=self.concurrency,
            linger=NONE,
            patience=self.patience,
            owns=lambda endpoint: endpoint not in self.elsewhere,
            **more,
        )
        self.fanout = FanOut(None, self.dispatcher.subscriptions, self.dispatcher, self.clock)

    async def announce(self, what):
        self.announced.append(what)

    @asynccontextmanager
    async def running(self):
        stopping = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(self.dispatcher.run(stopping))
            await self.settle()
            yield self
            stopping.set()

    async def tell(self, *inputs):
        self.deliveries.inputs.update({(item.partition, item.n): item for item in inputs})
        await self.fanout.step(inputs)
        await self.settle()

    async def settle(self):
        for _ in range(6):
            await self.clock.advance(timedelta(0))

    def states(self):
        return {(row.endpoint, row.n): row.state for row in self.deliveries.rows()}


async def test_an_event_reaches_its_endpoint_signed_and_with_its_own_id():
    async with House(an_endpoint()).running() as house:
        await house.tell(an_event(1))

        ((headers, body),) = house.receivers.requests()
        verify(parse_secret(SECRET), headers, body, START)
        assert headers["webhook-id"] == "evt_1"
        assert body == wire(an_event(1).body, 1)
        assert house.states() == {("ep", 1): DeliveryState.DELIVERED}
        assert (await house.deliveries.attempts("ep", 0, 1))[0].status == 204


async def test_what_was_said_and_seen_is_kept_with_the_attempt_and_no_secret_is():
    async with House(an_endpoint()).running() as house:
        house.receivers.answers["ep"] = Refused(503, 10, b"", None, Seen("203.0.113.7", "TLSv1.3"))
        await house.tell(an_event(1))

        (attempt,) = await house.deliveries.attempts("ep", 0, 1)
        (row,) = house.deliveries.rows()
        record = attempt_record.read(attempt.record)
        said = dict(attempt_record.request_headers(record, row.event_id, attempt.at))
        ((headers, body),) = house.receivers.requests()
        assert (record.seen.address, record.size) == ("203.0.113.7", len(body))
        assert said["webhook-id"] == headers["webhook-id"]
        assert said["webhook-timestamp"] == headers["webhook-timestamp"]
        assert said["webhook-signature"] == f"(signed with {SigningKey(SECRET).id})"
        assert {name: said[name] for name in base_headers()} == base_headers()
        assert headers["webhook-signature"].encode() not in attempt.record
        assert attempt.next_at == row.due


async def test_only_those_who_asked_for_a_type_get_it_and_an_event_may_name_its_endpoints():
    endpoints = [
        an_endpoint("all"),
        an_endpoint("trades", events=("trade.*",)),
        an_endpoint("cash", events=("balance.deposited",)),
    ]
    async with House(*endpoints).running() as house:
        await house.tell(an_event(1), an_event(2, "balance.deposited"), an_event(3, endpoints=["trades"]))

        assert sorted(house.states()) == [("all", 1), ("all", 2), ("cash", 2), ("trades", 1), ("trades", 3)]


async def test_a_failure_is_repeated_after_the_schedule_with_the_same_id_and_a_new_timestamp():
    async with House(an_endpoint()).running() as house:
        answers = iter([Refused(500, 10), LOST, OK])
        house.receivers.answers["ep"] = lambda headers: next(answers)
        await house.tell(an_event(1))
        await house.clock.advance(timedelta(seconds=6))
        await house.clock.advance(timedelta(minutes=6))
        await house.settle()

        sent = house.receivers.requests()
        assert [headers["webhook-id"] for headers, _ in sent] == ["evt_1"] * 3
        stamps = [int(headers["webhook-timestamp"]) for headers, _ in sent]
        assert stamps[1] - stamps[0] >= 5
        assert stamps[2] - stamps[1] >= 300
        assert house.states() == {("ep", 1): DeliveryState.DELIVERED}
        counters = house.dispatcher.counters()["ep"]
        assert (counters.sent, counters.delivered, counters.failed, counters.retries) == (3, 1, 2, 2)


async def test_a_delivery_is_given_up_after_the_last_attempt_and_that_is_an_event():
    async with House(an_endpoint(schedule=(1.0, 1.0))).running() as house:
        house.receivers.answers["ep"] = LOST
        await house.tell(an_event(1))
        for _ in range(5):
            await house.clock.advance(timedelta(seconds=2))

        assert len(house.receivers.requests()) == 3
        assert house.states() == {("ep", 1): DeliveryState.EXHAUSTED}
        (told,) = house.announced
        assert isinstance(told, DeliveryExhausted)
        assert "3 attempts failed" in told.reason


async def test_the_whole_schedule_takes_more_than_three_days_and_ends():
    async with House(an_endpoint()).running() as house:
        house.receivers.answers["ep"] = LOST
        await house.tell(an_event(1))
        for _ in range(100):
            await house.clock.advance(timedelta(hours=1))

        assert len(house.receivers.requests()) == 10
        assert house.states() == {("ep", 1): DeliveryState.EXHAUSTED}


async def test_410_switches_the_endpoint_off_at_once_and_once():
    async with House(an_endpoint(), an_endpoint("other"), concurrency=4).running() as house:
        house.receivers.answers["ep"] = Gone(10)
        await house.tell(*[an_event(n) for n in range(1, 21)])
        await house.tell(an_event(21))

        assert len(house.receivers.requests()) <= 4
        assert (await house.endpoints.get("ep")).state == "disabled"
        assert [type(told) for told in house.announced] == [EndpointDisabled]
        assert len(house.receivers.requests("other")) == 21


async def test_retry_after_holds_back_the_whole_endpoint_and_never_ends_early():
    async with House(an_endpoint()).running() as house:
        answers = iter([Refused(503, 10, b"", 120_000_000)] + [OK] * 5)
        house.receivers.answers["ep"] = lambda headers: next(answers)
        await house.tell(an_event(1))
        await house.tell(an_event(2))
        await house.clock.advance(timedelta(seconds=119))
        assert len(house.receivers.requests()) == 1

        await house.clock.advance(timedelta(seconds=10))
        await house.settle()

        assert set(house.states().values()) == {DeliveryState.DELIVERED}


async def test_an_endpoint_that_hangs_uses_its_own_slots_only():
    async with House(an_endpoint("stuck"), an_endpoint("fine"), concurrency=4).running() as house:
        free = asyncio.Event()

        async def hang():
            await free.wait()
            return OK

        house.receivers.answers["stuck"] = lambda headers: hang()
        await house.tell(*[an_event(n) for n in range(1, 51)])

        assert len(house.receivers.requests("fine")) == 50
        assert len(house.receivers.requests("stuck")) == 4
        free.set()
        await house.settle()
        assert house.receivers.most_at_once["stuck"] == 4
        assert set(house.states().values()) == {DeliveryState.DELIVERED}


async def test_a_large_backlog_is_read_in_pages_and_delivered_once_in_order():
    house = House(an_endpoint(), capacity=20, concurrency=1)
    house.dispatcher.subscriptions.replace([an_endpoint()])
    await house.tell(*[an_event(n) for n in range(1, 701)])
    largest = 0

    async with house.running():
        worker = house.dispatcher._workers["ep"]
        for _ in range(400):
            await house.settle()
            largest = max(largest, worker.held())
            if len(house.receivers.sent) >= 700:
                break

    ids = [headers["webhook-id"] for headers, _ in house.receivers.requests()]
    assert ids == [f"evt_{n}" for n in range(1, 701)]
    assert largest <= 20 + 256


async def test_a_crash_repeats_only_what_was_in_flight_with_the_same_id():
    house = House(an_endpoint(), concurrency=2)
    stuck = asyncio.Event()

    async def hang():
        await stuck.wait()
        return OK

    house.receivers.answers["ep"] = lambda headers: hang() if headers["webhook-id"] == "evt_2" else OK
    task = asyncio.ensure_future(house.dispatcher.run(asyncio.Event()))
    await house.settle()
    await house.tell(*[an_event(n) for n in range(1, 6)])
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    house.receivers.answers["ep"] = OK
    house.restart()
    async with house.running():
        await house.settle()

    ids = [headers["webhook-id"] for headers, _ in house.receivers.requests()]
    assert sorted(ids) == ["evt_1", "evt_2", "evt_2", "evt_3", "evt_4", "evt_5"]
    assert set(house.states().values()) == {DeliveryState.DELIVERED}


async def test_stopping_waits_for_what_is_in_flight_and_starts_nothing_more():
    house = House(an_endpoint(), concurrency=1)
    free = asyncio.Event()

    async def slow():
        await free.wait()
        return OK

    house.receivers.answers["ep"] = lambda headers: slow()
    stopping = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(house.dispatcher.run(stopping))
        await house.settle()
        await house.tell(an_event(1), an_event(2))
        stopping.set()
        await house.settle()
        assert not task.done()
        free.set()

    assert house.states() == {("ep", 1): DeliveryState.DELIVERED, ("ep", 2): DeliveryState.WAITING}


async def test_a_deleted_endpoint_gets_nothing_more():
    async with House(an_endpoint(), concurrency=1).running() as house:
        free = asyncio.Event()

        async def slow():
            await free.wait()
            return OK

        house.receivers.answers["ep"] = lambda headers: slow()
        await house.tell(*[an_event(n) for n in range(1, 6)])
        await house.endpoints.delete("ep")
        await house.dispatcher.refresh()
        free.set()
        await house.settle()

        assert len(house.receivers.requests()) == 1
        await house.dispatcher.refresh()
        assert "ep" not in house.dispatcher.counters(), "endpoints come and go, and memory does not grow"


async def test_a_new_secret_is_used_from_the_next_attempt_on_and_nothing_is_sent_twice():
    async with House(an_endpoint()).running() as house:
        await house.tell(an_event(1))
        other = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
        await house.endpoints.replace_secret("ep", SECRET, other)
        await house.dispatcher.refresh()
        await house.settle()
        await house.tell(an_event(2))

        (first, second) = house.receivers.requests()
        verify(parse_secret(SECRET), first[0], first[1], START)
        verify(parse_secret(other), second[0], second[1], START)


async def test_an_endpoint_created_while_running_gets_what_comes_after():
    async with House().running() as house:
        await house.tell(an_event(1))
        await house.endpoints.create(an_endpoint())
        await house.dispatcher.refresh()
        await house.settle()
        await house.tell(an_event(2))

        assert [headers["webhook-id"] for headers, _ in house.receivers.requests()] == ["evt_2"]


async def test_an_endpoint_that_cannot_be_used_does_not_stop_the_others():
    async with House(an_endpoint("bad", secret="nonsense"), an_endpoint()).running() as house:
        await house.tell(an_event(1))

        assert len(house.receivers.requests()) == 1


async def test_an_event_nobody_can_read_is_passed_over():
    async with House(an_endpoint()).running() as house:
        broken = Input(0, 1, 0, InputKind.EVENT, "", "", None, b"{oops")
        await house.tell(broken, an_event(2))

        assert (await house.deliveries.fanned_out())[0] == 2
        assert house.states() == {("ep", 2): DeliveryState.DELIVERED}


async def test_inputs_that_are_no_events_move_the_position_and_send_nothing():
    async with House(an_endpoint()).running() as house:
        await house.tell(an_event(1)._replace(kind=InputKind.OUTCOME))

        assert (await house.deliveries.fanned_out())[0] == 1
        assert house.states() == {}


@pytest.mark.parametrize("answered", ["before its row is written", "after its row is written"])
async def test_results_wait_for_a_store_that_is_away_and_are_written_once_it_is_back(answered):
    async with House(an_endpoint()).running() as house:
        slow = asyncio.Event()

        async def late():
            await slow.wait()
            return OK

        if answered == "after its row is written":
            house.receivers.answers["ep"] = lambda headers: late()
            await house.tell(an_event(1))
        house.deliveries.away = True
        slow.set()
        await house.tell(*([] if house.deliveries.rows() else [an_event(1)]))
        before = house.states()
        assert DeliveryState.DELIVERED not in before.values()

        house.deliveries.away = False
        await house.clock.advance(timedelta(seconds=2))
        await house.settle()

        assert house.states() == {("ep", 1): DeliveryState.DELIVERED}
        assert len(house.receivers.requests()) == 1
        assert len(await house.deliveries.attempts("ep", 0, 1)) == 1


async def test_a_transport_that_breaks_its_promise_costs_one_attempt_and_no_more():
    async with House(an_endpoint(), an_endpoint("other")).running() as house:

        def broken(headers):
            raise RuntimeError("bug")

        house.receivers.answers["ep"] = broken
        await house.tell(an_event(1))

        (attempt,) = await house.deliveries.attempts("ep", 0, 1)
        assert "RuntimeError" in attempt.response
        assert len(house.receivers.requests("other")) == 1


async def test_a_replay_put_into_the_store_is_sent_when_the_worker_is_told():
    async with House(an_endpoint()).running() as house:
        await house.tell(an_event(1))
        (row,) = house.deliveries.rows()
        house.deliveries._put(row._replace(state=DeliveryState.WAITING, attempts=0))

        house.dispatcher.look_again("ep")
        await house.settle()

        assert [headers["webhook-id"] for headers, _ in house.receivers.requests()] == ["evt_1", "evt_1"]


async def test_a_worker_with_new_settings_waits_for_the_results_of_the_one_before():
    async with House(an_endpoint()).running() as house:
        fan_out, written = house.deliveries.fan_out, asyncio.Event()

        async def slow(positions, deliveries, attempted):
            await written.wait()
            await fan_out(positions, deliveries, attempted)

        house.deliveries.fan_out = slow
        await house.tell(an_event(1))
        await house.endpoints.replace(an_endpoint(), an_endpoint(description="changed"))
        await house.dispatcher.refresh()
        await house.settle()
        written.set()
        await house.settle()

        assert len(house.receivers.requests()) == 1
        await house.tell(an_event(2))
        assert len(house.receivers.requests()) == 2


async def test_each_of_several_retries_wakes_at_its_own_time():
    async with House(an_endpoint()).running() as house:
        for n in range(1, 6):
            house.receivers.answers["ep"] = LOST
            await house.tell(an_event(n))
            house.receivers.answers["ep"] = OK
            await house.clock.advance(timedelta(milliseconds=700))
        await house.clock.advance(timedelta(seconds=7))
        await house.settle()

        assert set(house.states().values()) == {DeliveryState.DELIVERED}


async def test_a_delivery_is_sent_although_the_worker_read_the_store_before_it_was_written():
    house = House(an_endpoint(), capacity=1, concurrency=1)
    release = asyncio.Event()
    plain = house.deliveries.fan_out

    async def slow(positions, deliveries, attempted):
        await release.wait()
        await plain(positions, deliveries, attempted)

    house.deliveries.fan_out = slow
    async with house.running():
        async with asyncio.TaskGroup() as group:
            group.create_task(house.tell(an_event(1), an_event(2), an_event(3)))
            await house.settle()
            assert [headers["webhook-id"] for headers, _ in house.receivers.requests()] == ["evt_1"]
            release.set()
        await house.settle()

    assert sorted(headers["webhook-id"] for headers, _ in house.receivers.requests()) == [
        "evt_1",
        "evt_2",
        "evt_3",
    ]


async def test_a_worker_that_comes_while_deliveries_are_written_finds_them():
    house = House(an_endpoint())
    release = asyncio.Event()
    plain = house.deliveries.fan_out

    async def slow(positions, deliveries, attempted):
        await release.wait()
        await plain(positions, deliveries, attempted)

    house.deliveries.fan_out = slow
    async with asyncio.TaskGroup() as group:
        await house.dispatcher.refresh()
        group.create_task(house.tell(an_event(1)))
        await house.settle()
        async with house.running():
            release.set()
            await house.settle()
            await house.settle()

    assert [headers["webhook-id"] for headers, _ in house.receivers.requests()] == ["evt_1"]


PATIENCE = timedelta(milliseconds=40)


def hang(receivers, *names):
    """Let the receiver keep its answer to these events until the event that is returned is set."""
    answer = asyncio.Event()

    async def late():
        await answer.wait()
        return OK

    receivers.answers["ep"] = lambda headers: late() if headers["webhook-id"] in names else OK
    return answer


async def test_what_is_answered_soon_never_stands_among_what_waits():
    async with House(an_endpoint(), patience=PATIENCE).running() as house:
        await house.tell(an_event(1), an_event(2))

        assert house.deliveries.writes == [([], [1, 2])]
        assert set(house.states().values()) == {DeliveryState.DELIVERED}


async def test_what_is_not_answered_soon_is_written_when_patience_ends_and_settled_when_it_is():
    async with House(an_endpoint(), patience=PATIENCE).running() as house:
        answer = hang(house.receivers, "evt_2")
        await house.tell(an_event(1), an_event(2))
        assert house.deliveries.writes == []

        await house.clock.advance(PATIENCE)
        await house.settle()
        assert house.deliveries.writes == [([2], [1])]
        assert house.states() == {("ep", 1): DeliveryState.DELIVERED, ("ep", 2): DeliveryState.WAITING}

        answer.set()
        await house.settle()
        assert set(house.states().values()) == {DeliveryState.DELIVERED}
        assert len(house.receivers.requests()) == 2


async def test_positions_are_written_in_the_order_the_log_was_read():
    async with House(an_endpoint(), patience=PATIENCE).running() as house:
        answer = hang(house.receivers, "evt_1")
        await house.tell(an_event(1))
        await house.tell(an_event(2))
        assert sum(await house.deliveries.fanned_out()) == 0

        answer.set()
        await house.settle()
        assert sum(await house.deliveries.fanned_out()) == 2
        assert house.deliveries.writes == [([], [1, 2])]


async def test_a_crash_before_the_write_loses_nothing_and_repeats_with_the_same_id():
    house = House(an_endpoint(), patience=PATIENCE)
    house.deliveries.away = True
    task = asyncio.ensure_future(house.dispatcher.run(asyncio.Event()))
    await house.settle()
    await house.tell(an_event(1))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await house.deliveries.fanned_out() == [0] * 64
    assert house.deliveries.rows() == []

    house.deliveries.away = False
    house.restart()
    async with house.running():
        await house.tell(an_event(1))

    assert [headers["webhook-id"] for headers, _ in house.receivers.requests()] == ["evt_1", "evt_1"]
    assert len(await house.deliveries.attempts("ep", 0, 1)) == 1


async def test_what_fails_at_once_waits_in_its_new_place_only():
    async with House(an_endpoint(), patience=PATIENCE).running() as house:
        house.receivers.answers["ep"] = LOST
        await house.tell(an_event(1))

        (row,) = await house.deliveries.waiting("ep", after=(0, 0, 0), limit=9)
        assert (row.attempts, row.due > row.created_at) == (1, True)

        house.receivers.answers["ep"] = OK
        await house.clock.advance(timedelta(seconds=10))
        await house.settle()
        assert house.states() == {("ep", 1): DeliveryState.DELIVERED}


async def test_a_log_read_faster_than_the_disk_writes_is_held_back():
    async with House(an_endpoint(), patience=PATIENCE).running() as house:
        house.deliveries.away = True
        many = [an_event(n) for n in range(1, 1_101)]
        house.deliveries.inputs.update({(item.partition, item.n): item for item in many})
        async with asyncio.TaskGroup() as group:
            step = group.create_task(house.fanout.step(many))
            await house.settle()
            assert not step.done()

            house.deliveries.away = False
            await house.clock.advance(timedelta(seconds=1))
            await house.settle()
            assert step.done()


async def test_what_another_process_owns_is_left_to_it_until_it_is_ours():
    house = House(an_endpoint(), an_endpoint("other"))
    house.elsewhere.add("other")
    async with house.running():
        await house.tell(an_event(1))
        assert house.receivers.requests("other") == []
        assert house.states()["other", 1] is DeliveryState.WAITING

        house.elsewhere.clear()
        await house.dispatcher.refresh()
        await house.settle()
        assert len(house.receivers.requests("other")) == 1
        assert len(house.receivers.requests()) == 1


async def test_an_endpoint_is_let_go_when_its_attempts_are_over_and_written():
    async with House(an_endpoint()).running() as house:
        answer = hang(house.receivers, "evt_1")
        await house.tell(an_event(1), an_event(2))
        house.elsewhere.add("ep")
        async with asyncio.TaskGroup() as group:
            going = group.create_task(house.dispatcher.let_go(["ep"]))
            await house.settle()
            assert not going.done()
            answer.set()
            await house.settle()
            assert going.done()
        assert set(house.states().values()) == {DeliveryState.DELIVERED}

        await house.tell(an_event(3))
        assert len(house.receivers.requests()) == 2
        assert house.states()["ep", 3] is DeliveryState.WAITING


async def test_a_store_that_is_away_at_the_start_is_waited_for(monkeypatch):
    house = House(an_endpoint())
    there = house.endpoints.all

    async def away():
        raise StoreUnavailable("the database is starting up")

    monkeypatch.setattr(house.endpoints, "all", away)
    async with house.running():
        monkeypatch.setattr(house.endpoints, "all", there)
        await house.clock.advance(timedelta(seconds=1))
        await house.settle()
        await house.tell(an_event(1))
        assert len(house.receivers.requests()) == 1


async def test_an_endpoint_that_is_being_let_go_is_not_begun_again_by_a_look_at_all_of_them():
    async with House(an_endpoint()).running() as house:
        answer = hang(house.receivers, "evt_1")
        await house.tell(an_event(1))
        async with asyncio.TaskGroup() as group:
            going = group.create_task(house.dispatcher.let_go(["ep"]))
            await house.settle()
            await house.dispatcher.refresh()  # it is ours until it is handed over
            answer.set()
            await house.settle()
            assert going.done()
            going.cancel()

        await house.dispatcher.refresh()
        await house.tell(an_event(2))
        assert len(house.receivers.requests()) == 2


async def test_what_another_process_wrote_is_sent_when_word_of_it_comes():
    async with House(an_endpoint()).running() as house:
        item = an_event(1)
        house.deliveries.inputs[0, 1] = item
        now = to_us(house.clock.now())
        row = Delivery("ep", 0, 1, "evt_1", DeliveryState.WAITING, 0, now, now)
        await house.deliveries.fan_out({0: 1}, [row])
        await house.settle()
        assert house.receivers.requests() == []

        house.dispatcher.left_behind("ep", (now, 0, 1))
        house.dispatcher.left_behind("unknown", (now, 0, 1))
        await house.settle()
        assert len(house.receivers.requests()) == 1

        await house.deliveries.fan_out({0: 2}, [row._replace(n=2, event_id="evt_2")])
        house.deliveries.inputs[0, 2] = an_event(2)
        house.dispatcher.look_at_everything()
        await house.settle()
        assert len(house.receivers.requests()) == 2


async def test_results_of_an_endpoint_somebody_else_owns_now_hold_up_no_others():
    async with House(an_endpoint(), an_endpoint("other")).running() as house:
        answers = [hang(house.receivers, "evt_1"), hang(house.receivers, "evt_1")]
        house.receivers.answers["other"] = house.receivers.answers["ep"]
        await house.tell(an_event(1))
        house.deliveries.of_another.add("ep")
        for answer in answers:
            answer.set()
        await house.settle()

        assert house.states() == {("ep", 1): DeliveryState.WAITING, ("other", 1): DeliveryState.DELIVERED}


async def test_a_delivery_whose_event_nobody_can_read_holds_up_no_others():
    async with House(an_endpoint()).running() as house:
        now = to_us(house.clock.now())
        broken, sound = an_event(1)._replace(body=b"{"), an_event(2)
        house.deliveries.inputs.update({(0, 1): broken, (0, 2): sound})
        rows = [Delivery("ep", 0, n, f"evt_{n}", DeliveryState.WAITING, 0, now, now) for n in (1, 2)]
        await house.deliveries.fan_out({0: 2}, rows)
        house.dispatcher.look_at_everything()
        await house.settle()

        assert [headers["webhook-id"] for headers, _ in house.receivers.requests()] == ["evt_2"]
