"""Places as text: what is told is read back, and nothing else is."""

import base64
from collections.abc import Collection, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import override

from hub.bus.feed import LONGEST, BadPlace, FeedLog, Stretch, decode, encode
from hub.bus.log import Input

NUMBERS = st.integers(0, 2**62)


class Axes(FeedLog):
    """A log of which only the axes matter."""

    def __init__(self, axes: int) -> None:
        self.axes = axes

    @override
    def axis(self, row: Input) -> int:
        return row.partition

    @override
    def number(self, row: Input) -> int:
        return row.n

    @override
    def axes_of(self, accounts: Collection[str] | None) -> Sequence[int]:
        return range(self.axes)

    @override
    async def end(self) -> list[int]:
        return [0] * self.axes

    @override
    async def at(self, moment: int) -> list[int]:
        return [0] * self.axes

    @override
    async def translated(self, rank: int) -> list[int]:
        return [rank] * self.axes

    @override
    async def after(
        self, place: Sequence[int], axes: Sequence[int], accounts: Collection[str] | None, limit: int
    ) -> Stretch:
        return Stretch((), list(place), done=True)


@given(st.lists(NUMBERS, min_size=64, max_size=64), st.sets(st.integers(0, 63), min_size=1))
async def test_a_place_is_read_back_as_it_was_told(numbers: list[int], axes: set[int]) -> None:
    some = encode(64, {axis: numbers[axis] for axis in axes})
    every = encode(64, dict(enumerate(numbers)))

    assert max(len(some), len(every)) <= LONGEST
    assert await decode(every, Axes(64), range(64)) == numbers
    found = await decode(some, Axes(64), sorted(axes))
    assert {axis: found[axis] for axis in axes} == {axis: numbers[axis] for axis in axes}


@given(NUMBERS)
async def test_a_rank_is_read_back_and_translated_where_there_are_more_axes(rank: int) -> None:
    told = encode(1, {0: rank})

    assert await decode(told, Axes(1), [0]) == [rank]
    assert await decode(told, Axes(64), range(64)) == [rank] * 64


@given(st.binary(max_size=80) | st.text(max_size=80).map(str.encode), st.sampled_from([1, 64]))
async def test_whatever_else_is_sent_is_refused_or_a_place(data: bytes, axes: int) -> None:
    for text in (data.decode(errors="replace"), base64.urlsafe_b64encode(data).decode().rstrip("=")):
        try:
            place = await decode(text, Axes(axes), range(axes))
        except BadPlace:
            continue
        assert len(place) == axes
        assert all(0 <= number <= 2**62 for number in place)


@pytest.mark.parametrize("text", ["", "A", "Ag", "AgE", "AgH_", "A" * 2_000, "AgEBAQE", "é"])
async def test_half_a_place_is_none(text: str) -> None:
    with pytest.raises(BadPlace):
        await decode(text, Axes(64), range(64))
