"""The one tail of the log: nothing is missed or told twice, whatever is committed, polled and read at the same time."""

import asyncio
import random
from dataclasses import dataclass

import pytest
from conformance.feeds_bench import MemoryFeed

from hub.bus import tail
from hub.bus.log import InputKind, NewInput
from hub.bus.looked import Looked
from hub.bus.tail import Follow, Tail
from hub.clock import ManualClock
from hub.engine.memory import MemoryLog
from hub.errors import StoreUnavailable
from hub.testing import MORNING, a_deposit, a_trade_closed, an_account


@dataclass(frozen=True)
class Types:
    family: str = ""

    def holds(self, looked: Looked) -> bool:
        asked.append(looked.row.ref)
        return looked.envelope.type.startswith(self.family)


asked: list[str] = []
ALL = Types()


class Bench:
    def __init__(self, *, polls: bool = False) -> None:
        asked.clear()
        self.clock = ManualClock(MORNING)
        self.log = MemoryLog(self.clock)
        self.feed = MemoryFeed(self.log)
        self.tail = Tail(self.feed, self.clock, polls=polls)

    def commit(self, *logins: int, heard: bool = True) -> list[str]:
        before = len(self.log)
        ids = [each.id for each in self.log.add([a_deposit(an_account(login=login)) for login in logins])]
        if heard:
            self.tail.offer(self.log.ranked(before, len(self.log)))
        return ids


async def take(follow: Follow) -> list[str]:
    """Take until nothing more is there."""
    found: list[str] = []
    while not follow.is_waiting and not follow.cut:
        found += [told.event.row.ref for told in await follow.take()]
    return found


async def test_a_stream_hears_what_is_committed_from_when_it_began() -> None:
    bench = Bench()
    bench.commit(1)
    follow = await bench.tail.follow(None, None, ALL)

    ids = bench.commit(2, 3)
    assert await take(follow) == ids
    reads = bench.feed.reads
    ids = bench.commit(4)
    assert await take(follow) == ids
    assert bench.feed.reads == reads


async def test_what_is_committed_while_the_end_is_read_is_told_once() -> None:
    bench = Bench()
    real = bench.feed.end

    async def end() -> list[int]:
        bench.commit(1)
        found = await real()
        late.extend(bench.commit(2))
        return found

    late: list[str] = []
    bench.feed.end = end  # type: ignore[method-assign]
    follow = await bench.tail.follow([1], None, ALL)

    assert await take(follow) == late
    assert (await bench.tail.follow(None, None, ALL)).reached == [2]


async def test_many_streams_with_one_filter_ask_it_once() -> None:
    bench = Bench()
    follows = [await bench.tail.follow(None, None, Types("balance")) for _ in range(50)]
    for follow in follows:
        await take(follow)
    asked.clear()

    ids = bench.commit(1, 2)

    assert asked == ids
    assert [await take(follow) for follow in follows] == [ids] * 50


async def test_a_stream_of_accounts_is_woken_by_those_alone() -> None:
    bench = Bench()
    follow = await bench.tail.follow(None, frozenset({"live-1:1"}), ALL)
    await take(follow)
    follow.wake.clear()

    bench.commit(2, 3)
    assert not follow.wake.is_set()
    assert asked == []
    ids = bench.commit(1)
    assert follow.wake.is_set()
    assert await take(follow) == ids


async def test_more_at_once_than_may_wait_is_taken_in_parts_out_of_what_is_kept() -> None:
    bench = Bench()
    follow = await bench.tail.follow(None, None, ALL)
    await take(follow)
    reads = bench.feed.reads

    ids = bench.commit(*range(1, 2 * tail.ROWS_WAITING + 100))

    assert not follow.live
    assert await take(follow) == ids
    assert follow.live
    assert bench.feed.reads == reads


async def test_who_falls_behind_what_is_kept_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail, "ROWS_KEPT", 100)
    monkeypatch.setattr(tail, "ROWS_WAITING", 10)
    bench = Bench()
    follow = await bench.tail.follow(None, None, ALL)
    other = await bench.tail.follow(None, None, ALL)
    await take(follow)
    got = await take(other)
    ids: list[str] = []

    for _ in range(20):
        ids += bench.commit(*range(1, 9))
        got += await take(other)
    assert await take(follow) == []

    assert "too slow" in follow.cut
    assert got == ids
    assert len(bench.tail) == 1
    assert bench.tail.cut_off == 1
    assert len(bench.tail._kept) <= 100


async def test_what_waits_and_what_is_kept_is_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail, "BYTES_KEPT", 50_000)
    monkeypatch.setattr(tail, "BYTES_WAITING", 5_000)
    bench = Bench()
    follow = await bench.tail.follow(None, None, ALL)
    await take(follow)

    bench.commit(*range(1, 200))

    assert sum(len(row.body) for row in bench.tail._kept) <= 50_000
    assert follow._bytes <= 6_000


async def test_nothing_is_kept_or_read_while_nobody_follows() -> None:
    bench = Bench(polls=True)
    running = asyncio.create_task(bench.tail.run(asyncio.Event()))
    bench.commit(1, 2)
    await bench.clock.advance(10 * tail._POLL)
    assert (bench.feed.reads, bench.tail.place, len(bench.tail._kept)) == (0, [], 0)

    follow = await bench.tail.follow(None, None, ALL)
    await take(follow)
    ids = bench.commit(3, heard=False)
    await bench.clock.advance(2 * tail._POLL)
    assert await take(follow) == ids
    bench.tail.leave(follow)
    reads = bench.feed.reads
    await bench.clock.advance(10 * tail._POLL)

    assert bench.feed.reads <= reads + 1
    assert bench.tail.place == []
    running.cancel()


async def test_a_store_that_cannot_be_read_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(polls=True)
    running = asyncio.create_task(bench.tail.run(asyncio.Event()))
    follow = await bench.tail.follow(None, None, ALL)
    await take(follow)
    real = bench.feed.after

    async def away(*_: object) -> None:
        raise StoreUnavailable("away")

    monkeypatch.setattr(bench.feed, "after", away)
    ids = bench.commit(1, heard=False)
    await bench.clock.advance(5 * tail._POLL)
    monkeypatch.setattr(bench.feed, "after", real)
    await bench.clock.advance(2 * tail._TRY_AGAIN)

    assert await take(follow) == ids
    running.cancel()


async def test_when_it_stops_every_stream_ends() -> None:
    bench = Bench()
    stopping = asyncio.Event()
    running = asyncio.create_task(bench.tail.run(stopping))
    follow = await bench.tail.follow(None, None, ALL)

    stopping.set()
    await running

    assert follow.cut == "the hub stops"
    assert bench.tail.stopping
    assert len(bench.tail) == 0


@pytest.mark.parametrize("seed", range(12))
async def test_streams_that_come_go_and_resume_miss_nothing(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Streams end anywhere, resume at what they had handed out, fall behind, and share a tail that opens and closes."""
    monkeypatch.setattr(tail, "ROWS_KEPT", 40)
    monkeypatch.setattr(tail, "ROWS_WAITING", 8)
    monkeypatch.setattr(tail, "_PAGE", 7)
    dice = random.Random(seed)
    bench = Bench()
    wanted = [None, frozenset({"live-1:1"}), frozenset({"live-1:2", "live-1:3"})]
    filters = [ALL, Types("trade"), Types("balance")]
    readers = [(accounts, kind) for accounts in wanted for kind in filters]
    got: list[list[str]] = [[] for _ in readers]
    places = [[0] for _ in readers]
    follows: list[Follow | None] = [None for _ in readers]
    for _ in range(150):
        if dice.random() < 0.5:
            facts = [
                dice.choice((a_deposit, a_trade_closed))(an_account(login=dice.randrange(1, 5)))
                for _ in range(dice.choice((1, 2, 30)))
            ]
            before = len(bench.log)
            bench.log.add(facts, [NewInput(0, InputKind.COMMAND, "", "x", b"{}")] * dice.randrange(3))
            bench.tail.offer(bench.log.ranked(before, len(bench.log)))
        number = dice.randrange(len(readers))
        accounts, kind = readers[number]
        follow = follows[number] or await bench.tail.follow(places[number], accounts, kind)
        follows[number] = follow
        for _ in range(dice.randrange(1, 4)):
            taken = await follow.take()
            used = taken[: dice.randrange(len(taken) + 1)] if dice.random() < 0.2 else taken
            got[number] += [told.event.row.ref for told in used]
            if used:
                places[number] = [used[-1].event.row.rank]
            if len(used) < len(taken) or follow.cut or dice.random() < 0.1:
                bench.tail.leave(follow)
                follows[number] = None
                break
    for number, (accounts, kind) in enumerate(readers):
        follow = follows[number] or await bench.tail.follow(places[number], accounts, kind)
        while True:
            found = await take(follow)
            got[number] += found
            if not follow.cut:
                break
            follow = await bench.tail.follow(follow.reached, accounts, kind)

    rows = [row for row in bench.log.ranked(0, len(bench.log)) if row.kind == InputKind.EVENT]
    for number, (accounts, kind) in enumerate(readers):
        assert got[number] == [
            row.ref for row in rows if (accounts is None or row.key in accounts) and kind.holds(Looked(row))
        ]
