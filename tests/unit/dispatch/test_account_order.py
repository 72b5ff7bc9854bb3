"""An endpoint that asks for it gets each account's events in order, whatever fails, and no account waits for another."""

import asyncio
from contextlib import suppress
from datetime import timedelta
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.dispatch.answering import Answering, killed
from unit.dispatch.test_dispatcher import LOST, OK, an_endpoint, an_event

from hub.dispatch.delivery import Refused
from hub.dispatch.options import EndpointOptions
from hub.dispatch.outbox import DeliveryState

NO = Refused(400, 10)


def in_order(**options):
    schedule = options.pop("schedule", None)
    return an_endpoint(options=EndpointOptions(order="account", **options), schedule=schedule)


def of_account(n, login):
    return an_event(n, partition=login % 3, account={"server": "live-1", "login": login})


def got(house):
    """Return the numbers of the events in the order in which they were accepted."""
    return house.accepted


def answering(house, fails):
    """Let the receiver refuse what `fails` says, and note in which order it accepted the rest."""
    house.accepted = []

    def answer(headers):
        n = int(headers["webhook-id"].removeprefix("evt_"))
        outcome = fails(n)
        if outcome is None:
            house.accepted.append(n)
            return OK
        return outcome

    house.receivers.answers["ep"] = answer


async def test_those_behind_one_that_fails_wait_for_it_and_other_accounts_do_not():
    async with Answering(in_order()).running() as house:
        failing = {1: [NO, LOST]}
        answering(house, lambda n: failing[n].pop() if failing.get(n) else None)
        await house.tell(of_account(1, 7), of_account(2, 7), of_account(3, 8), of_account(4, 7))
        assert got(house) == [3]

        await house.tell(of_account(5, 7), of_account(6, 8))
        await house.advance(seconds=1)
        assert got(house) == [3, 6]
        await house.advance(minutes=10)
        assert got(house) == [3, 6, 1, 2, 4, 5]
        assert len(house.receivers.requests()) == 8


async def test_an_account_held_up_stays_so_over_a_restart():
    house = Answering(in_order())
    task = house.start()
    await house.settle()
    answering(house, lambda n: NO if n == 1 else None)
    await house.tell(of_account(1, 7), of_account(2, 7))
    await killed(task)

    house.restart()
    async with house.running():
        await house.tell(of_account(3, 7), of_account(4, 8))
        assert got(house) == [4]
        answering(house, lambda n: None)
        await house.advance(minutes=10)
        assert got(house) == [1, 2, 3]


async def test_for_a_time_only_and_then_those_behind_pass():
    async with Answering(in_order(stuck="block", stuck_s=60.0)).running() as house:
        answering(house, lambda n: NO if n == 1 else None)
        await house.tell(of_account(1, 7), of_account(2, 7))
        await house.advance(seconds=55)
        assert got(house) == []
        await house.advance(seconds=6)
        assert got(house) == [2]

        answering(house, lambda n: None)
        await house.advance(hours=1)
        assert got(house) == [1]


async def test_skipped_ones_are_passed_at_once_and_tried_again_by_their_schedule():
    async with Answering(in_order(stuck="skip")).running() as house:
        failing = {1: [NO]}
        answering(house, lambda n: failing[n].pop() if failing.get(n) else None)
        await house.tell(of_account(1, 7), of_account(2, 7))
        assert got(house) == [2]
        await house.advance(seconds=10)
        assert got(house) == [2, 1]


@pytest.mark.parametrize(("seconds", "tries"), [(None, 1), (60.0, 3)])
async def test_parked_ones_are_given_up_and_told_of_and_nothing_comes_out_of_order(seconds, tries):
    async with Answering(in_order(stuck="park", stuck_s=seconds)).running() as house:
        answering(house, lambda n: NO if n == 1 else None)
        await house.tell(of_account(1, 7), of_account(2, 7), of_account(3, 7))
        await house.advance(seconds=90)

        assert got(house) == [2, 3]
        assert house.states()["ep", 1] is DeliveryState.EXHAUSTED
        assert len(await house.deliveries.attempts("ep", 1, 1)) == tries
        assert house.types() == ["delivery.exhausted"]


async def test_an_event_without_an_account_waits_for_none():
    async with Answering(in_order()).running() as house:
        answering(house, lambda n: NO if n == 1 else None)
        await house.tell(an_event(1, account=None), an_event(2, account=None))
        assert got(house) == [2]


async def test_one_account_with_many_events_that_hangs_holds_up_no_other():
    many = 700
    house = Answering(in_order(), capacity=160)
    house.dispatcher.subscriptions.replace([in_order()])
    free = asyncio.Event()
    answering(house, lambda n: None)
    plain = house.receivers.answers["ep"]

    async def late(headers):
        await free.wait()
        return plain(headers)

    house.receivers.answers["ep"] = lambda headers: (
        late(headers) if headers["webhook-id"] == "evt_1" else plain(headers)
    )
    await house.tell(*[of_account(n, 6) for n in range(1, many + 1)], of_account(many + 1, 8))
    async with house.running():
        for _ in range(20):
            await house.advance(milliseconds=100)
        assert got(house) == [many + 1]
        assert house.dispatcher._workers["ep"].held() <= 160 + 256

        free.set()
        for _ in range(400):
            await house.advance(milliseconds=300)
            if len(got(house)) == many + 1:
                break
    assert got(house)[1:] == list(range(1, many + 1))


async def live(dice, policy):
    """Tell events, fail some, kill the process now and then; return what was accepted."""
    house = Answering(in_order(schedule=(5.0, 30.0, 120.0, 300.0) * 4, **policy), capacity=8, concurrency=3)
    trouble = {"share": 0.4}
    dies = Random(dice.random())
    answering(
        house,
        lambda n: dies.choice([NO, LOST, Refused(503, 1)]) if dies.random() < trouble["share"] else None,
    )
    task, told = house.start(), []
    await house.settle()
    for _ in range(dice.randint(5, 25)):
        act = dice.random()
        if act < 0.55:
            logins = [dice.choice([7, 8, 9, 10]) for _ in range(dice.randint(1, 6))]
            news = [of_account(len(told) + 1 + k, login) for k, login in enumerate(logins)]
            told += logins
            await house.tell(*news)
        elif act < 0.9:
            await house.advance(milliseconds=dice.choice([1, 400, 5_000, 40_000, 400_000]))
        else:
            await killed(task)
            house.restart()
            task = house.start()
            await house.settle()
    trouble["share"] = 0.0
    for _ in range(40):
        await house.advance(minutes=5)
    with suppress(asyncio.CancelledError):
        await killed(task)
    return told, house


@settings(max_examples=60, deadline=timedelta(seconds=20))
@given(st.integers(0, 2**32))
def test_whatever_fails_and_whenever_the_process_dies_each_account_is_served_in_order(seed):
    told, house = asyncio.run(live(Random(seed), {}))

    first = list(dict.fromkeys(got(house)))
    assert sorted(first) == list(range(1, len(told) + 1))
    for login in set(told):
        ours = [n for n in first if told[n - 1] == login]
        assert ours == sorted(ours)


@settings(max_examples=25, deadline=timedelta(seconds=20))
@given(st.integers(0, 2**32), st.sampled_from(["block", "park", "skip"]), st.sampled_from([1.0, 20.0, 200.0]))
def test_under_any_policy_everything_ends_and_parking_keeps_the_order(seed, stuck, seconds):
    told, house = asyncio.run(live(Random(seed), {"stuck": stuck, "stuck_s": seconds}))

    states = house.states()
    assert len(states) == len(told)
    assert DeliveryState.WAITING not in states.values()
    if stuck == "park":
        first = list(dict.fromkeys(got(house)))
        for login in set(told):
            ours = [n for n in first if told[n - 1] == login]
            assert ours == sorted(ours)
