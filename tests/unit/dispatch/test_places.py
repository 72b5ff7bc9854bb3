"""Attempts at a time of a whole process: endpoints take turns, and waiting for one's turn is no attempt."""

import asyncio
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.dispatch.answering import Answering
from unit.dispatch.test_dispatcher import OK, an_endpoint, an_event

from hub.dispatch.delivery import DeliveryState
from hub.dispatch.places import Places, places_within


class Guest:
    """Wants a number of places, and enters when it is called."""

    def __init__(self, places, wants):
        self.places, self.wants = places, wants
        self.inside = self.most = 0
        self.called = 0

    def come(self):
        self.called += 1

    def go_in(self):
        if self.wants and self.places.enter(self):
            self.wants -= 1
            self.inside += 1
            if self.wants:
                self.places.wants_more(self)
        else:
            self.places.give_back(self)

    def go_out(self):
        if self.inside:
            self.inside -= 1
            self.places.leave()


@given(
    st.integers(1, 6),
    st.lists(st.integers(0, 9), min_size=1, max_size=5),
    st.lists(st.tuples(st.integers(0, 4), st.sampled_from(["in", "out", "gone"])), max_size=60),
)
def test_whoever_comes_and_goes_no_place_is_lost_or_given_twice(most, wants, story):
    places = Places(most)
    guests = [Guest(places, number) for number in wants]

    for which, act in story:
        guest = guests[which % len(guests)]
        if act == "in":
            guest.go_in()
        elif act == "out":
            guest.go_out()
        else:
            guest.wants = 0
            places.go(guest)
        assert sum(guest.inside for guest in guests) <= places.taken <= most

    while any(guest.wants or guest.inside for guest in guests):
        before = sum(guest.wants for guest in guests)
        for guest in guests:
            guest.go_out()
        for guest in guests:
            guest.go_in()
        assert sum(guest.wants for guest in guests) < before or not before, "somebody gets on"
    for guest in guests:
        guest.go_in()
    assert (places.taken, places.waiting) == (0, 0)


def test_endpoints_take_turns_however_many_attempts_of_theirs_wait():
    places = Places(2)
    many, one = Guest(places, 99), Guest(places, 1)
    many.go_in()
    many.go_in()
    one.go_in()
    many.go_in()

    many.go_out()
    many.go_in()

    assert (many.called, one.called) == (1, 0), "the first in the line comes first"
    many.go_out()
    one.go_in()
    assert one.inside == 1


@pytest.mark.parametrize(("files", "places"), [(1_024, 192), (65_536, 16_320), (256, 16), (-1, 1_000_000)])
def test_places_follow_from_the_files_a_process_may_have_open(files, places):
    assert places_within(files) == places


def a_house(most, names, **options):
    house = Answering(*[an_endpoint(name) for name in names], **options)
    house.places = Places(most)
    house.restart()
    house.dispatcher.places = house.places
    return house


async def test_endpoints_that_hang_leave_room_for_one_that_answers_and_waiting_is_no_attempt():
    free = asyncio.Event()
    at_once = Counter()

    async def hangs(headers):
        at_once["now"] += 1
        at_once["most"] = max(at_once["most"], at_once["now"])
        await free.wait()
        at_once["now"] -= 1
        return OK

    house = a_house(8, ["slow", "ep"])
    house.receivers.answers["slow"] = hangs
    async with house.running():
        await house.tell(*[an_event(n) for n in range(1, 40)])
        await house.advance(minutes=5)

        assert house.receivers.most_at_once["slow"] == 2, "a quarter"
        assert {state for (name, _), state in house.states().items() if name == "ep"} == {
            DeliveryState.DELIVERED
        }
        free.set()
        await house.advance(minutes=5)
        assert set(house.states().values()) == {DeliveryState.DELIVERED}
        assert house.places.taken == 0


async def test_a_crowd_is_served_in_turns_and_nobody_is_forgotten():
    names = [f"e{n}" for n in range(30)]
    house = a_house(4, names)
    order, most_at_once = [], []

    def answer(name):
        async def soon(headers):
            order.append(name)
            most_at_once.append(sum(house.receivers.now_sending.values()))
            await asyncio.sleep(0)
            return OK

        return soon

    house.receivers.answers.update({name: answer(name) for name in names})
    async with house.running():
        await house.tell(*[an_event(n) for n in range(1, 11)])
        await house.advance(seconds=1)
        for _ in range(50):
            await house.settle()

        assert set(house.states().values()) == {DeliveryState.DELIVERED}
        assert max(most_at_once) == 4
    assert Counter(order[:60]).most_common(1)[0][1] <= 4, "in turns"
    assert house.places.taken == 0
