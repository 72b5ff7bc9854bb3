"""What receivers answer, and what becomes of the delivery and of the endpoint: on a clock that is moved by hand."""

import asyncio
from contextlib import suppress
from datetime import timedelta

import pytest
from unit.dispatch.answering import Answering, killed
from unit.dispatch.test_dispatcher import LOST, OK, an_endpoint, an_event

from hub.clock import SECOND_US, to_us
from hub.dispatch.delivery import Aborted, Delivered, Gone, Refused
from hub.dispatch.options import EndpointOptions
from hub.dispatch.outbox import DeliveryState
from hub.errors import StoreUnavailable


async def two_are_told_and_it_asks_for_two_minutes(house, answer):
    """Have an endpoint answer the first of two events so, and see that it is left alone until it may be asked."""
    house.receivers.answers["ep"] = answer
    await house.tell(an_event(1))
    await house.tell(an_event(2))
    await house.advance(seconds=119)
    assert len(house.receivers.requests()) == 1

    house.receivers.answers["ep"] = OK
    await house.advance(seconds=1)


@pytest.mark.parametrize("status", [302, 404, 429, 500, 503])
async def test_retry_after_pauses_the_whole_endpoint_whatever_the_status(status):
    async with Answering(an_endpoint()).running() as house:
        await two_are_told_and_it_asks_for_two_minutes(house, Refused(status, 10, b"", 120 * SECOND_US))
        assert len(house.receivers.requests()) >= 2
        await house.advance(minutes=10)
        assert set(house.states().values()) == {DeliveryState.DELIVERED}


async def test_who_does_not_want_one_event_may_ask_for_a_pause_before_the_next():
    async with Answering(an_endpoint(), concurrency=1).running() as house:
        await two_are_told_and_it_asks_for_two_minutes(
            house, Aborted(429, 10, retry_after_us=120 * SECOND_US)
        )
        assert house.states() == {("ep", 1): DeliveryState.ABORTED, ("ep", 2): DeliveryState.DELIVERED}


async def test_a_restart_ends_no_pause_that_was_asked_for():
    house = Answering(an_endpoint())
    task = house.start()
    await house.settle()
    house.receivers.answers["ep"] = Refused(429, 10, b"", 600 * SECOND_US)
    await house.tell(an_event(1))
    await killed(task)

    house.restart()
    house.receivers.answers["ep"] = OK
    async with house.running():
        await house.tell(an_event(2))
        await house.advance(seconds=599)
        assert len(house.receivers.requests()) == 1

        await house.advance(seconds=120)
        assert set(house.states().values()) == {DeliveryState.DELIVERED}


async def test_nobody_is_listened_to_longer_than_the_settings_say():
    async with Answering(an_endpoint(), longest_pause=timedelta(minutes=10)).running() as house:
        answers = iter([Refused(503, 10, b"", 86_400 * SECOND_US), OK])
        house.receivers.answers["ep"] = lambda headers: next(answers)
        await house.tell(an_event(1))
        await house.advance(minutes=10, seconds=1)

        assert house.states() == {("ep", 1): DeliveryState.DELIVERED}


async def test_a_receiver_may_end_one_delivery_or_all_of_them():
    answers = {"evt_1": Aborted(422, 10), "evt_2": Delivered(200, 10, farewell=True)}
    async with Answering(an_endpoint(), concurrency=1).running() as house:
        house.receivers.answers["ep"] = lambda headers: answers.get(headers["webhook-id"], OK)
        await house.tell(an_event(1))
        assert house.states() == {("ep", 1): DeliveryState.ABORTED}
        assert (await house.endpoints.get("ep")).state == "enabled"

        await house.tell(an_event(2), an_event(3))
        assert house.states()[("ep", 2)] is DeliveryState.DELIVERED
        assert house.states()[("ep", 3)] is DeliveryState.WAITING
        disabled = await house.endpoints.get("ep")
        assert (disabled.state, "webhook-delivery: disable" in disabled.reason) == ("disabled", True)
        assert house.types() == ["endpoint.disabled"]
        attempts = await house.deliveries.attempts("ep", 0, 1)
        assert [attempt.outcome for attempt in attempts] == ["aborted"]


async def test_a_receiver_that_says_disable_with_an_error_is_not_called_again():
    async with Answering(an_endpoint()).running() as house:
        house.receivers.answers["ep"] = Gone(10, status=503, by_header=True)
        await house.tell(an_event(1))
        await house.tell(an_event(2))
        await house.advance(days=1)

        assert len(house.receivers.requests()) == 1
        assert house.types() == ["endpoint.disabled"]
        assert "webhook-delivery" in house.told()[0].reason


async def test_what_is_changed_while_an_endpoint_is_switched_off_stays_changed():
    house = Answering(an_endpoint())

    async def meanwhile(news):
        await house.announce(news)
        before = await house.endpoints.get("ep")
        if before.description != "changed":
            assert await house.endpoints.replace(before, before._replace(description="changed"))

    house.dispatcher._announce = meanwhile
    async with house.running():
        house.receivers.answers["ep"] = Gone(10)
        await house.tell(an_event(1))

        off = await house.endpoints.get("ep")
        assert (off.state, off.description) == ("disabled", "changed")
        assert house.types() == ["endpoint.disabled"]


async def test_a_receiver_that_is_gone_does_not_switch_off_the_one_in_its_place():
    async with Answering(an_endpoint()).running() as house:

        async def moves():
            before = await house.endpoints.get("ep")
            await house.endpoints.replace(before, before._replace(url="https://new.example.com/hub"))
            return Gone(10)

        house.receivers.answers["ep"] = lambda headers: moves()
        await house.tell(an_event(1))
        assert ((await house.endpoints.get("ep")).state, house.types()) == ("enabled", [])

        await house.dispatcher.refresh()
        await house.tell(an_event(2))
        assert len(house.receivers.requests("new")) == 1


async def test_who_switches_an_endpoint_on_again_begins_anew_though_an_attempt_is_still_under_way():
    async with Answering(an_endpoint()).running() as house:
        house.receivers.answers["ep"] = LOST
        await hourly(house, 100)
        hanging = asyncio.Event()

        async def hangs():
            await hanging.wait()
            return LOST

        house.receivers.answers["ep"] = lambda headers: hangs()
        await house.tell(an_event(9_000))
        for state in ("disabled", "enabled"):
            before = await house.endpoints.get("ep")
            await house.endpoints.replace(before, before._replace(state=state))
            await house.dispatcher.refresh()
        hanging.set()
        await house.settle()

        house.receivers.answers["ep"] = LOST
        await hourly(house, 100, 10_000)
        assert (await house.endpoints.get("ep")).state == "enabled"


async def hourly(house, hours, first=1_000):
    for hour in range(hours):
        await house.tell(an_event(first + hour))
        await house.advance(hours=1)


async def test_an_endpoint_that_fails_for_five_days_is_warned_of_and_switched_off():
    async with Answering(an_endpoint(), an_endpoint("other", events=("endpoint.*",))).running() as house:
        house.receivers.answers["ep"] = LOST
        began = to_us(house.clock.now())
        await hourly(house, 119)
        assert (await house.endpoints.get("ep")).state == "enabled"
        failing = [said for said in house.told() if said.type == "endpoint.failing"]
        assert [said.dedupe_key.rsplit(":", 1)[1] for said in failing] == ["1", "2", "3", "4"]
        assert {said.since for said in failing} == {began}

        await hourly(house, 3, 5_000)
        off = await house.endpoints.get("ep")
        assert off.state == "disabled"
        assert "nothing was accepted since 2026-06-23T09:00:00.000Z" in off.reason
        assert house.types().count("endpoint.disabled") == 1
        assert await house.healths.get("ep") is None

        # Whoever switches it on again has five days again.
        await house.endpoints.replace(off, off._replace(state="enabled", reason=""))
        await house.dispatcher.refresh()
        await hourly(house, 100, 10_000)
        assert (await house.endpoints.get("ep")).state == "enabled"


async def test_five_days_count_over_restarts_and_everything_is_told_once():
    house = Answering(an_endpoint())
    house.receivers.answers["ep"] = LOST
    for day in range(6):
        task = house.start()
        await house.settle()
        await hourly(house, 23, 1_000 * (day + 1))
        await killed(task)
        house.restart()
        await house.advance(hours=1)

    assert (await house.endpoints.get("ep")).state == "disabled"
    told = [said for said in house.types() if said.startswith("endpoint.")]
    assert told == ["endpoint.failing"] * 4 + ["endpoint.disabled"]


async def test_an_endpoint_that_is_seldom_sent_to_is_warned_of_before_it_is_switched_off():
    async with Answering(an_endpoint()).running() as house:
        house.receivers.answers["ep"] = LOST
        await house.tell(an_event(1))
        await house.advance(days=4)  # its ten attempts are over
        house.announced.clear()
        await house.advance(days=4)
        await house.tell(an_event(2))
        assert (await house.endpoints.get("ep")).state == "enabled"
        assert house.types() == ["endpoint.failing"]

        await house.advance(hours=30)
        assert (await house.endpoints.get("ep")).state == "disabled"


async def test_an_endpoint_that_answers_again_is_told_of_once_and_a_moment_of_trouble_never():
    async with Answering(an_endpoint()).running() as house:
        answers = iter([LOST, OK])
        house.receivers.answers["ep"] = lambda headers: next(answers)
        await house.tell(an_event(1))
        await house.advance(minutes=10)
        assert house.types() == []
        assert await house.healths.get("ep") is None

        house.receivers.answers["ep"] = LOST
        await hourly(house, 6)
        house.receivers.answers["ep"] = OK
        await house.advance(hours=8)
        assert house.types() == ["endpoint.failing", "endpoint.recovered"]
        assert await house.healths.get("ep") is None


async def test_a_crash_between_the_word_and_the_write_tells_nothing_twice():
    house = Answering(an_endpoint())
    house.receivers.answers["ep"] = LOST
    plain = house.healths.save
    task = house.start()
    await house.settle()
    await hourly(house, 1)

    async def crash(health):
        if health.stage:
            task.cancel()
            raise AssertionError("the process is gone")
        await plain(health)

    house.healths.save = crash
    with suppress(BaseException):  # it is gone, whichever way
        await hourly(house, 4, 2_000)
        await task
    house.healths.save = plain
    house.restart()
    async with house.running():
        await hourly(house, 4, 3_000)
        house.receivers.answers["ep"] = OK
        await hourly(house, 24, 4_000)

    assert house.types() == ["endpoint.failing", "endpoint.recovered"]
    assert len(house.announced) > len(house.told()), "nothing was cut off in between"


async def test_an_endpoint_is_never_sent_news_of_itself_and_news_of_news_ends():
    ends = (1.0,)
    async with Answering(
        an_endpoint("a", schedule=ends), an_endpoint("b", schedule=ends, events=("delivery.*", "endpoint.*"))
    ).running() as house:
        house.receivers.answers |= {"a": LOST, "b": LOST}
        await house.tell(an_event(1))
        await house.advance(seconds=5)
        assert house.types() == ["delivery.exhausted"]

        await house.tell(an_event(2, "delivery.exhausted", data={"endpoint": "a"}, account=None))
        await house.advance(seconds=30)
        assert house.types() == ["delivery.exhausted"]
        assert ("a", 2) not in house.states()
        assert house.states()["b", 2] is DeliveryState.EXHAUSTED


async def test_no_more_go_than_the_rate_however_often_the_process_starts():
    rate, burst, hour = 5.0, 3, 720
    house = Answering(an_endpoint(options=EndpointOptions(rate=rate, burst=burst), schedule=(1.0,) * 9))
    began = to_us(house.clock.now())
    n = 0
    for _ in range(6):
        async with house.running():
            for _ in range(hour // 60):
                await house.tell(*[an_event(n := n + 1) for _ in range(60)])
                await house.advance(seconds=10)
        house.restart()
    passed = (to_us(house.clock.now()) - began) / SECOND_US

    sent = len(house.receivers.requests())
    assert sent <= rate * passed + burst
    assert sent >= rate * passed * 0.97


async def test_an_endpoint_has_as_many_at_a_time_as_it_asks_for():
    async with Answering(an_endpoint(options=EndpointOptions(concurrency=3))).running() as house:
        await house.tell(*[an_event(n) for n in range(1, 41)])
        await house.settle()

        assert house.receivers.most_at_once["ep"] <= 3
        assert set(house.states().values()) == {DeliveryState.DELIVERED}


async def test_a_receiver_that_is_down_is_left_alone_and_what_waits_keeps_its_attempts():
    async with Answering(an_endpoint(), concurrency=4).running() as house:
        house.receivers.answers["ep"] = LOST
        await house.tell(*[an_event(n) for n in range(1, 401)])
        await house.advance(hours=2)
        tried = len(house.receivers.requests())
        assert tried < 100

        house.receivers.answers["ep"] = OK
        await house.advance(hours=12)
        assert set(house.states().values()) == {DeliveryState.DELIVERED}


@pytest.fixture
def unread():
    """A dispatcher whose worker is just being made: how its endpoint was is still being read."""
    house = Answering(an_endpoint())
    house.read = asyncio.Event()
    get = house.healths.get

    async def late(endpoint_id):
        await house.read.wait()
        return await get(endpoint_id)

    house.healths.get = late
    return house


async def test_a_change_is_followed_while_the_worker_is_being_made(unread):
    async with unread.running():
        before = await unread.endpoints.get("ep")
        await unread.endpoints.replace(before, before._replace(url="https://new.example.com/hub"))
        await unread.dispatcher.refresh()
        unread.read.set()
        await unread.settle()

        await unread.tell(an_event(1))
        assert len(unread.receivers.requests("new")) == 1
        assert unread.receivers.requests() == []


async def test_the_hub_stops_while_a_worker_is_being_made(unread):
    stopping = asyncio.Event()
    running = asyncio.ensure_future(unread.dispatcher.run(stopping))
    await unread.settle()
    stopping.set()
    await unread.settle()
    unread.read.set()
    await unread.settle()

    assert running.done()


async def test_an_endpoint_is_let_go_while_its_worker_is_being_made(unread):
    async with unread.running():
        letting_go = asyncio.ensure_future(unread.dispatcher.let_go(["ep"]))
        await unread.settle()
        unread.read.set()
        await unread.settle()

        assert letting_go.done()


async def test_a_store_that_cannot_be_written_keeps_nobody_sending_to_who_is_switched_off():
    async with Answering(an_endpoint()).running() as house:

        async def fails():
            raise StoreUnavailable("disk full")

        house.healths.forget_disabled = fails
        before = await house.endpoints.get("ep")
        await house.endpoints.replace(before, before._replace(state="disabled"))
        with pytest.raises(StoreUnavailable):
            await house.dispatcher.refresh()

        await house.settle()
        assert house.dispatcher.standing() == {}


async def test_of_two_answers_of_the_store_the_one_asked_for_later_counts():
    async with Answering(an_endpoint()).running() as house:
        known = house.endpoints.all
        slow = asyncio.Event()

        async def old():
            seen = await known()
            await slow.wait()
            return seen

        house.endpoints.all = old
        first = asyncio.ensure_future(house.dispatcher.refresh())
        await house.settle()
        house.endpoints.all = known
        before = await house.endpoints.get("ep")
        await house.endpoints.replace(before, before._replace(url="https://new.example.com/hub"))
        await house.dispatcher.refresh()
        slow.set()
        await first
        await house.settle()

        await house.tell(an_event(1))
        assert (len(house.receivers.requests("new")), house.receivers.requests()) == (1, [])


async def test_who_was_switched_off_is_not_sent_to_though_the_store_went_away_just_then():
    async with Answering(an_endpoint()).running() as house:
        known = house.endpoints.all

        async def once():
            house.endpoints.all = known
            raise StoreUnavailable("locked")

        house.endpoints.all = once
        house.receivers.answers["ep"] = Gone(10)
        await house.tell(an_event(1))
        await house.advance(seconds=2)

        await house.tell(an_event(2))
        assert len(house.receivers.requests()) == 1
