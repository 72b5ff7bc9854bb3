"""However many others are slow, what is urgent finds room."""

from hypothesis import given
from hypothesis import strategies as st

from hub.dispatch.effects.slots import BULK, CRITICAL, Slots

NORMAL = 1


def filled(most: int, priority: int) -> Slots:
    slots, n = Slots(most), 0
    while slots.free_for(priority):
        slots.take(f"{priority}-{n}", priority)
        n += 1
    return slots


def test_bulk_leaves_room_for_normal_and_normal_for_critical() -> None:
    slots = filled(32, BULK)
    assert len(slots) == 16
    assert slots.free_for(NORMAL)

    slots = filled(32, NORMAL)
    assert len(slots) == 24
    assert not slots.free_for(BULK)
    assert slots.free_for(CRITICAL)
    assert len(filled(32, CRITICAL)) == 32


def test_whoever_leaves_makes_room_for_its_like() -> None:
    slots = filled(32, BULK)

    slots.leave("2-3")
    slots.leave("nobody")

    assert slots.free_for(BULK)
    assert "2-3" not in slots


@given(st.integers(1, 64), st.lists(st.tuples(st.booleans(), st.integers(0, 2)), max_size=200))
def test_room_is_never_less_for_the_more_urgent_and_there_is_always_some_to_begin(
    most: int, moves: list[tuple[bool, int]]
) -> None:
    slots = Slots(most)
    assert all(slots.free_for(priority) for priority in (CRITICAL, NORMAL, BULK))
    names: list[str] = []
    for n, (comes, priority) in enumerate(moves):
        if comes and slots.free_for(priority):
            names.append(str(n))
            slots.take(str(n), priority)
        elif names:
            slots.leave(names.pop(0))
        assert len(slots) == len(names) <= most
        room = [slots.free_for(each) for each in (CRITICAL, NORMAL, BULK)]
        assert room == sorted(room, reverse=True)
