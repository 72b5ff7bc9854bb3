"""The one writer: many jobs share a commit, each fails for itself, and nothing is acknowledged before it is on disk."""

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw
import pytest
from conformance.backends import SqliteBackend, assert_numbered_without_gaps, error_of
from conformance.sabotage import (
    sick_disk,
)

from hub.bus.log import Mark
from hub.clock import ManualClock
from hub.errors import StoreRefused, StoreUnavailable
from hub.events.facts import Fact
from hub.store.sqlite.database import open_writer
from hub.store.sqlite.log import CROWD
from hub.store.sqlite.store import open_sqlite
from hub.store.sqlite.wide import insert
from hub.store.sqlite.writer import Writer
from hub.testing import MORNING, a_trade_closed, an_account, an_input, awaited


class Bench:
    """A bare writer over one table."""

    def __init__(self, folder: Path, pace_seconds: float = 0.0) -> None:
        self.file = folder / "bench.db"
        self.connection = open_writer(self.file)
        self.connection.execute("CREATE TABLE t (x INTEGER PRIMARY KEY, y TEXT)").fetchall()
        self.writer = Writer(self.connection, asyncio.get_running_loop(), pace_seconds=pace_seconds)

    def add(self, x: int) -> Callable[[apsw.Connection], int]:
        def work(connection: apsw.Connection) -> int:
            connection.execute("INSERT INTO t (x) VALUES (?)", (x,))
            return x

        return work

    def stored(self) -> list[int]:
        other = apsw.Connection(str(self.file), flags=apsw.SQLITE_OPEN_READONLY)
        rows = [row[0] for row in other.execute("SELECT x FROM t ORDER BY rowid").fetchall()]
        other.close()
        return rows

    def hold(self) -> threading.Event:
        """Keep the writer busy with one job, so that what is submitted next waits together."""
        started, go = threading.Event(), threading.Event()

        def work(_: apsw.Connection) -> None:
            started.set()
            go.wait(10)

        self.writer.submit(work)
        assert started.wait(10)
        return go


@pytest.fixture
async def bench(tmp_path: Path) -> Any:
    bench = Bench(tmp_path)
    yield bench
    await bench.writer.close()
    bench.connection.close()


async def finished(futures: list["asyncio.Future[Any]"]) -> None:
    async with asyncio.timeout(10):
        await asyncio.wait(futures)


# --- group commit


async def test_with_a_pace_what_comes_meanwhile_shares_the_next_commit(tmp_path: Path) -> None:
    bench = Bench(tmp_path, pace_seconds=0.5)
    await bench.writer.submit(bench.add(1))  # at once: nothing was committed before it
    first = bench.writer.commits
    futures = []
    for number in range(2, 12):
        futures.append(bench.writer.submit(bench.add(number)))
        await asyncio.sleep(0.001)
    await finished(futures)

    assert (first, bench.writer.commits) == (1, 2)
    assert bench.stored() == list(range(1, 12))
    await bench.writer.close()
    bench.connection.close()


async def test_whoever_comes_alone_keeps_no_pace(tmp_path: Path) -> None:
    async with open_sqlite(tmp_path, ManualClock(MORNING), pace_seconds=3_600) as store:
        async with asyncio.timeout(30):
            for _ in range(3):
                await store.log.append([a_trade_closed()])
        assert not store.log.is_crowded()

        # How many of a crowd the first commit takes is the writer's luck: those it leaves wait for the next.
        crowd = [asyncio.ensure_future(store.log.append([a_trade_closed()])) for _ in range(50)]
        async with asyncio.timeout(30):
            while not store.log.is_crowded():
                await asyncio.sleep(0.01)
        last = asyncio.ensure_future(store.log.append([a_trade_closed()]))
        await asyncio.sleep(0.05)
        assert not last.done()
    async with asyncio.timeout(30):  # closing the store let them go
        for each in (*crowd, last):
            await each


async def test_closing_waits_for_no_pace(tmp_path: Path) -> None:
    bench = Bench(tmp_path, pace_seconds=3_600)
    await bench.writer.submit(bench.add(1))
    second = bench.writer.submit(bench.add(2))
    async with asyncio.timeout(20):
        await bench.writer.close()
        await second

    assert bench.stored() == [1, 2]
    bench.connection.close()


async def test_jobs_that_queued_together_share_a_commit(bench: Bench) -> None:
    go = bench.hold()
    futures = [bench.writer.submit(bench.add(x)) for x in range(100)]
    assert bench.writer.waiting == 101
    go.set()
    await finished(futures)

    assert (bench.writer.commits, bench.writer.jobs) == (2, 101)
    assert bench.writer.waiting == 0
    assert bench.stored() == list(range(100))


async def test_who_append_together_are_a_crowd_as_well(tmp_path: Path) -> None:
    async with open_sqlite(tmp_path, ManualClock(MORNING)) as store:
        waiting = 0
        store.log.count_waiting(lambda: waiting)
        await store.log.append([a_trade_closed()] * 50)
        assert not store.log.is_crowded()  # one sender's batch

        waiting = CROWD

        assert store.log.is_crowded()


async def test_a_crowd_of_jobs_is_split_over_a_few_commits(bench: Bench) -> None:
    go = bench.hold()
    futures = [bench.writer.submit(bench.add(x)) for x in range(600)]
    go.set()
    await finished(futures)

    assert bench.writer.commits == 1 + 3
    assert [future.result() for future in futures] == list(range(600))


async def test_one_job_that_fails_fails_alone(bench: Bench) -> None:
    go = bench.hold()
    jobs = [bench.add(1), bench.add(2), bench.add(1), bench.add(3)]
    futures = [bench.writer.submit(job) for job in jobs]
    go.set()
    await finished(futures)

    assert [future.result() for future in (futures[0], futures[1], futures[3])] == [1, 2, 3]
    assert isinstance(futures[2].exception(), StoreRefused)
    assert bench.stored() == [1, 2, 3]


async def test_jobs_are_done_in_the_order_they_came(bench: Bench) -> None:
    order: list[int] = []

    def job(x: int) -> Callable[[apsw.Connection], None]:
        def work(_: apsw.Connection) -> None:
            order.append(x)

        return work

    await finished([bench.writer.submit(job(x)) for x in range(300)])

    assert order == list(range(300))


async def test_a_failure_in_between_does_not_change_the_order(bench: Bench) -> None:
    go = bench.hold()
    told: list[int] = []
    futures = [
        bench.writer.submit(bench.add(x), told.append)
        for x in (5, 4, 4, 3, 5, 9)  # two of them again
    ]
    go.set()
    await finished(futures)

    assert told == [5, 4, 3, 9]
    assert [future.exception() is None for future in futures] == [True, True, False, True, False, True]


async def test_the_result_comes_after_the_commit(bench: Bench) -> None:
    seen: list[list[int]] = []
    future = bench.writer.submit(bench.add(1), lambda _: seen.append(bench.stored()))

    await future

    assert seen == [[1]]
    assert bench.stored() == [1]


async def test_whoever_listens_hears_before_the_caller_wakes_and_in_order(bench: Bench) -> None:
    events: list[str] = []

    async def caller(x: int) -> None:
        await bench.writer.submit(bench.add(x), lambda told: events.append(f"told {told}"))
        events.append(f"woke {x}")

    async with asyncio.TaskGroup() as group:
        for x in range(3):
            group.create_task(caller(x))

    assert [event for event in events if event.startswith("told")] == ["told 0", "told 1", "told 2"]
    assert all(events.index(f"told {x}") < events.index(f"woke {x}") for x in range(3))


async def test_a_listener_that_fails_holds_up_nobody(bench: Bench) -> None:
    problems: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: problems.append(context["exception"]))
    go = bench.hold()

    def fail(_: int) -> None:
        raise RuntimeError("the listener's own fault")

    futures = [bench.writer.submit(bench.add(1), fail), bench.writer.submit(bench.add(2))]
    go.set()
    await finished(futures)

    assert [future.result() for future in futures] == [1, 2]
    assert [str(problem) for problem in problems] == ["the listener's own fault"]


async def test_rows_of_a_caller_who_went_away_are_stored_all_the_same(bench: Bench) -> None:
    go = bench.hold()
    gone, stays = bench.writer.submit(bench.add(1)), bench.writer.submit(bench.add(2))
    gone.cancel()
    go.set()

    assert await stays == 2
    assert bench.stored() == [1, 2]


async def test_closing_finishes_what_was_submitted_and_takes_no_more(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    go = bench.hold()
    futures = [bench.writer.submit(bench.add(x)) for x in range(20)]
    go.set()

    await bench.writer.close()

    assert [future.result() for future in futures] == list(range(20))
    with pytest.raises(StoreUnavailable, match="closed"):
        await asyncio.wait_for(bench.writer.submit(bench.add(99)), 10)
    bench.connection.close()


@pytest.mark.parametrize("rows", [0, 1, 3, 4, 17, 128, 300])
async def test_wide_statements_insert_every_row_once(bench: Bench, rows: int) -> None:
    wanted = [(x, str(x)) for x in range(rows)]

    await bench.writer.submit(lambda connection: insert(connection, "INSERT INTO t (x, y)", wanted))

    assert bench.stored() == list(range(rows))


# --- a disk that fails


async def test_a_full_disk_is_told_and_nothing_acknowledged_is_lost(sqlite: SqliteBackend) -> None:
    await _limit(sqlite, extra=40)
    stored: list[Fact] = []
    refused: list[Fact] = []
    while not refused:
        facts = [a_trade_closed(comment="x" * 200) for _ in range(20)]
        try:
            await sqlite.log.append(facts, marks=[Mark("s", "last", facts[-1].key)])
            stored += facts
        except StoreUnavailable as error:
            assert "disk is full" in str(error)  # noqa: PT017 - which append meets the end is the disk's choice
            refused += facts
    with pytest.raises(StoreUnavailable, match="disk is full"):
        await sqlite.log.append(refused)

    await assert_numbered_without_gaps(sqlite.log, stored)
    assert dict(await sqlite.log.marks("s")) == {"last": stored[-1].key}

    await _limit(sqlite, extra=100_000)
    answers = await sqlite.log.append(refused)
    assert not any(answer.duplicate for answer in answers)
    await assert_numbered_without_gaps(sqlite.log, stored + refused)


async def _limit(sqlite: SqliteBackend, extra: int) -> None:
    def work(connection: apsw.Connection) -> None:
        pages = connection.execute("PRAGMA page_count").fetchall()[0][0]
        connection.execute(f"PRAGMA max_page_count = {pages + extra}").fetchall()

    await sqlite.store.writer.submit(work)


@pytest.mark.parametrize("call", ["xWrite", "xSync"])
async def test_a_commit_the_disk_refuses_is_not_acknowledged_and_the_next_goes_on(
    tmp_path: Path, call: str
) -> None:
    with sick_disk() as disk:
        sqlite = await SqliteBackend(tmp_path / "data").open()
        before, during, after = ([a_trade_closed() for _ in range(5)] for _ in range(3))
        await sqlite.log.append(before)

        disk.ill = call
        answers = await _each(sqlite, during)
        disk.ill = None
        assert disk.failures > 0
        assert all(isinstance(answer, StoreUnavailable) for answer in answers)
        await assert_numbered_without_gaps(sqlite.log, before)

        await sqlite.log.append(after)
        await sqlite.reopen()
        await assert_numbered_without_gaps(sqlite.log, before + after)
        await sqlite.close()


async def _each(sqlite: SqliteBackend, facts: list[Fact]) -> list[Exception | None]:
    async def one(fact: Fact) -> Exception | None:
        try:
            await sqlite.log.append([fact])
        except StoreUnavailable as error:
            return error
        return None

    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(fact)) for fact in facts]
    return [task.result() for task in tasks]


async def test_appends_are_refused_when_a_transaction_cannot_even_begin(sqlite: SqliteBackend) -> None:
    await sqlite.store.writer.submit(lambda connection: connection.set_busy_timeout(1))
    other = apsw.Connection(str(sqlite.folder / "hub.db"))
    other.execute("BEGIN IMMEDIATE")
    facts = [a_trade_closed() for _ in range(3)]

    answers = await _each(sqlite, facts)

    other.close()
    assert all(isinstance(answer, StoreUnavailable) for answer in answers)
    await sqlite.log.append(facts)
    await assert_numbered_without_gaps(sqlite.log, facts)


async def test_an_append_that_can_never_be_stored_does_not_spoil_the_others(sqlite: SqliteBackend) -> None:
    facts = [a_trade_closed(an_account(login=7000 + i)) for i in range(6)]
    bad = an_input(body="not bytes")  # type: ignore[arg-type]  # on purpose

    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        good = [group.create_task(awaited(sqlite.log.append([fact]))) for fact in facts[:3]]
        spoiled = group.create_task(error_of(sqlite.log.append([a_trade_closed()], inputs=[bad])))
        good += [group.create_task(awaited(sqlite.log.append([fact]))) for fact in facts[3:]]

    assert isinstance(spoiled.result(), StoreRefused)
    assert [task.result()[0].duplicate for task in good] == [False] * 6
    await assert_numbered_without_gaps(sqlite.log, facts)
