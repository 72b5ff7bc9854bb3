"""Moments and microseconds are the same thing spelled twice, and a manual clock moves only when told."""

import asyncio
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.clock import EPOCH, ManualClock, SystemClock, from_us, iso, to_us

START = datetime(2026, 6, 23, 9, tzinfo=UTC)
MOMENTS = st.datetimes(
    min_value=datetime(1971, 1, 1),
    max_value=datetime(2199, 12, 31),
    timezones=st.just(UTC),
)


@given(MOMENTS)
def test_a_moment_survives_the_way_there_and_back(moment: datetime) -> None:
    assert from_us(to_us(moment)) == moment


@given(st.integers(0, to_us(datetime(2199, 12, 31, tzinfo=UTC))))
def test_microseconds_survive_the_way_there_and_back(us: int) -> None:
    assert to_us(from_us(us)) == us
    assert to_us(datetime.fromisoformat(iso(us))) == us


def test_a_moment_elsewhere_is_the_same_moment() -> None:
    assert to_us(datetime(2026, 6, 23, 12, tzinfo=timezone(timedelta(hours=3)))) == to_us(START)


def test_a_moment_without_a_zone_is_refused() -> None:
    with pytest.raises(TypeError):
        to_us(START.replace(tzinfo=None))


@pytest.mark.parametrize(
    ("us", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (to_us(START) + 123_000, "2026-06-23T09:00:00.123Z"),
        (to_us(START) + 123_456, "2026-06-23T09:00:00.123456Z"),
        (to_us(START) + 1, "2026-06-23T09:00:00.000001Z"),
    ],
)
def test_times_are_written_with_as_many_digits_as_they_need(us: int, text: str) -> None:
    assert iso(us) == text


def test_the_system_clock_agrees_with_itself() -> None:
    clock = SystemClock()

    first, between, last = clock.now_us(), to_us(clock.now()), clock.now_us()

    assert clock.now().tzinfo is UTC
    assert first - 1 <= between <= last + 1
    assert clock.monotonic() <= clock.monotonic()


async def test_a_manual_clock_stands_still_until_it_is_moved() -> None:
    clock = ManualClock(START)
    assert (clock.now(), clock.now_us(), clock.monotonic()) == (START, to_us(START), 0.0)

    await clock.advance(timedelta(seconds=90))

    assert clock.now() == START + timedelta(seconds=90)
    assert clock.monotonic() == 90.0
    assert clock.now() - EPOCH == timedelta(microseconds=clock.now_us())


async def test_sleepers_wake_in_order_of_their_time_and_each_at_its_own() -> None:
    clock = ManualClock(START)
    woke: list[tuple[str, float]] = []

    async def sleeper(name: str, seconds: float) -> None:
        await clock.sleep(timedelta(seconds=seconds))
        woke.append((name, clock.monotonic()))

    async with asyncio.TaskGroup() as group:
        for name, seconds in (("late", 30), ("early", 10), ("also early", 10), ("now", 0), ("past", -5)):
            group.create_task(sleeper(name, seconds))
        await clock.advance(timedelta(seconds=9))
        assert woke == [("now", 0.0), ("past", 0.0)]
        await clock.advance(timedelta(seconds=60))

    assert woke[2:] == [("early", 10.0), ("also early", 10.0), ("late", 30.0)]
    assert clock.monotonic() == 69.0


async def test_a_loop_that_sleeps_again_is_woken_again_on_the_way() -> None:
    clock = ManualClock(START)
    beats: list[float] = []

    async def heart() -> None:
        for _ in range(5):
            await clock.sleep(timedelta(seconds=2))
            beats.append(clock.monotonic())

    async with asyncio.TaskGroup() as group:
        group.create_task(heart())
        await clock.advance(timedelta(seconds=10))

    assert beats == [2.0, 4.0, 6.0, 8.0, 10.0]


async def test_a_sleeper_that_was_cancelled_is_passed_by() -> None:
    clock = ManualClock(START)
    async with asyncio.TaskGroup() as group:
        gone = group.create_task(clock.sleep(timedelta(seconds=5)))
        stays = group.create_task(clock.sleep(timedelta(seconds=6)))
        await asyncio.sleep(0)
        gone.cancel()

        await clock.advance(timedelta(seconds=10))

        assert gone.cancelled()
        assert stays.done()
