"""Days that are over: told of each account once, some at a time, whatever the store does meanwhile."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from hub.bus.log import Appended
from hub.clock import ManualClock, to_us
from hub.engine.memory import MemoryLog
from hub.engine.rows import LevelRow
from hub.errors import StoreUnavailable
from hub.events.days import began, day_of, ends
from hub.events.records import decode_data, decode_envelope
from hub.ids import partition_of
from hub.ingest.days import MOST_AT_ONCE
from hub.ingest.samples import Sample
from hub.ingest.watcher import Watcher

NOON = datetime(2026, 4, 13, 12, tzinfo=UTC)
MIDNIGHT = to_us(datetime(2026, 4, 13, 22, tzinfo=UTC))  # in Prague


class Room:
    """A watcher with rows of days, and a log that can be told to fail."""

    def __init__(self) -> None:
        self.clock = ManualClock(NOON)
        self.log = MemoryLog(self.clock)
        self.fails = 0
        self.watcher = Watcher(self, self.clock)  # type: ignore[arg-type]  # of a log it needs append alone

    async def append(self, facts: Sequence[Any], **more: Any) -> list[Appended]:
        if self.fails:
            self.fails -= 1
            raise StoreUnavailable("disk full")
        return await self.log.append(facts, **more)

    def day(self, login: int, *, zone: str = "Europe/Prague", sampled: bool = False, **row: Any) -> LevelRow:
        known = {"threshold": "00:00", "generation": 1, "state": "day", "name": f"d{login}{zone}"} | row
        until = known.get("until", began(self.clock.now_us(), zone, known["threshold"]))
        return LevelRow(
            partition_of("s", login),
            known["name"],
            f"s:{login}",
            "day",
            zone,
            known["threshold"],
            str(until),
            known["generation"],
            known["state"],
            '{"sampled":true}' if sampled else "",
        )

    async def seen(self, login: int, equity: str = "1000") -> None:
        nothing: dict[str, Any] = dict.fromkeys(
            ("credit", "margin", "free_margin", "margin_level", "floating")
        )
        at = self.clock.now_us()
        await self.watcher.samples([Sample("s", login, Decimal(equity), Decimal(900), **nothing, at=at)])

    async def roll(self) -> None:
        while await self.watcher.roll():
            pass

    def told(self) -> list[tuple[str, Any]]:
        rows = [row for row in self.log.ranked(0, 100_000) if row.ref != "day.sampled"]
        return [(row.key, decode_data(decode_envelope(row.body))) for row in rows]

    def late(self) -> int:
        return sum(row.ref == "day.sampled" for row in self.log.ranked(0, 100_000))


@pytest.fixture
def room() -> Room:
    return Room()


async def test_every_account_is_told_once_however_many_there_are(room: Room) -> None:
    logins = range(1, 2 * MOST_AT_ONCE + 10)
    room.watcher.load([room.day(login) for login in logins])
    await room.clock.advance(timedelta(hours=10))

    parts = 1
    while await room.watcher.roll():
        parts += 1
    await room.roll()

    assert parts == 3
    assert sorted(key for key, _ in room.told()) == sorted(f"s:{login}" for login in logins)


async def test_two_rules_with_one_clock_are_one_day_and_two_clocks_are_two(room: Room) -> None:
    room.watcher.load(
        [room.day(1, name="a"), room.day(1, name="b", sampled=True), room.day(1, zone="Europe/Nicosia")]
    )
    await room.seen(1)
    await room.clock.advance(timedelta(hours=10))

    await room.roll()

    assert [(told.zone, told.equity, told.balance) for _, told in room.told()] == [
        ("Europe/Nicosia", Decimal(1000), Decimal(900)),
        ("Europe/Prague", Decimal(1000), Decimal(900)),
    ]


async def test_what_the_store_did_not_take_is_told_when_it_is_back(room: Room) -> None:
    room.watcher.load([room.day(1), room.day(2)])
    await room.clock.advance(timedelta(hours=10))
    room.fails = 1

    with pytest.raises(StoreUnavailable):
        await room.roll()
    await room.roll()

    assert sorted(key for key, _ in room.told()) == ["s:1", "s:2"]


async def test_a_row_that_goes_is_told_nothing_of(room: Room) -> None:
    room.watcher.load([room.day(1), room.day(2)])

    room.watcher.changed([room.day(1, generation=2, state="gone")])
    await room.clock.advance(timedelta(hours=10))
    await room.roll()

    assert [key for key, _ in room.told()] == ["s:2"]


async def test_a_day_that_waits_for_a_sample_is_told_without_it_after_a_while(room: Room) -> None:
    room.watcher.load([room.day(1, sampled=True), room.day(2)])
    await room.clock.advance(timedelta(hours=10))

    await room.roll()
    assert [key for key, _ in room.told()] == ["s:2"]
    await room.clock.advance(timedelta(seconds=30))
    await room.roll()

    ((_, told),) = room.told()[1:]
    assert (told.equity, told.sampled_at, told.timestamp) == (
        None,
        None,
        datetime(2026, 4, 13, 22, tzinfo=UTC),
    )


async def test_a_row_that_waits_hears_of_the_next_sample_once(room: Room) -> None:
    room.watcher.load([room.day(1, sampled=True, state="waiting", generation=2)])

    await room.seen(1, "1100")
    await room.seen(1, "1200")

    assert (room.late(), room.told()) == (1, [])


async def test_the_days_of_many_years_begin_and_end_where_the_clock_says(room: Room) -> None:
    for zone in (
        "Europe/Prague",
        "America/New_York",
        "America/Santiago",
        "Asia/Kathmandu",
        "Africa/Casablanca",
    ):
        at = to_us(datetime(2020, 1, 1, tzinfo=UTC))
        for _ in range(2_500):
            end = ends(at, zone, "00:00")
            assert began(at, zone, "00:00") <= at < end
            assert began(end, zone, "00:00") == end
            assert (day_of(end, zone, "00:00") - day_of(at, zone, "00:00")).days == 1
            at = end


def test_midnight_is_where_these_tests_have_it() -> None:
    assert began(MIDNIGHT, "Europe/Prague", "00:00") == MIDNIGHT
