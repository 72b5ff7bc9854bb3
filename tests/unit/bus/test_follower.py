"""A follower hands out every row once, in order per partition, from wherever it starts and however small its memory."""

import asyncio
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from hub.bus.follower import Follower
from hub.bus.log import Input, InputKind
from hub.ids import PARTITIONS


class ScriptedLog:
    """A log whose rows are committed and then published when the test says so: in between, readers see them already."""

    def __init__(self) -> None:
        self.rows: list[list[Input]] = [[] for _ in range(PARTITIONS)]
        self.ranked: list[Input] = []
        self.committed: list[Input] = []  # not published yet
        self.published = [0] * PARTITIONS
        self.pruned = [0] * PARTITIONS
        self.reads = 0
        self.followers: list[Follower] = []

    def commit(self, partitions: Sequence[int]) -> None:
        for partition in partitions:
            n = len(self.rows[partition]) + 1
            row = Input(partition, n, 0, InputKind.COMMAND, "", "", None, b"", len(self.ranked) + 1)
            self.rows[partition].append(row)
            self.ranked.append(row)
            self.committed.append(row)

    def publish(self) -> None:
        rows, self.committed = self.committed, []
        for row in rows:
            self.published[row.partition] = row.n
        for follower in self.followers:
            follower.offer(rows)

    def append(self, partitions: Sequence[int]) -> None:
        self.commit(partitions)
        self.publish()

    def follow(self, positions: Sequence[int], room: int = 10_000) -> Follower:
        follower = Follower(self, positions, room=room)
        self.followers.append(follower)
        return follower

    def heads(self) -> Sequence[int]:
        return list(self.published)

    async def start(self, positions: Sequence[int]) -> int:
        await asyncio.sleep(0)
        missing = [row.rank for row in self.ranked if row.n > positions[row.partition]]
        return max(min(missing, default=len(self.ranked) + 1) - 3, 0)  # a lower bound is all that is promised

    async def scan(self, after: int, limit: int) -> list[Input]:
        self.reads += 1
        await asyncio.sleep(0)
        return [row for row in self.ranked[after:] if row.n > self.pruned[row.partition]][:limit]


async def take_all(follower: Follower, limit: int = 100, rounds: int = 300) -> list[tuple[int, int]]:
    """Return what there is to take; a follower that has nothing more waits, and is woken."""
    taken: list[tuple[int, int]] = []
    for _ in range(rounds):
        if not follower.backlog():
            break
        taken += [(row.partition, row.n) for row in await follower.take(limit)]
    return taken


async def turns(count: int = 400) -> None:
    """Let every task have its turns: enough to look through all partitions."""
    for _ in range(count):
        await asyncio.sleep(0)


async def caught_up(log: ScriptedLog, room: int = 10_000) -> Follower:
    """Return a follower that found out that it missed nothing."""
    follower = log.follow(log.heads(), room)
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        taking = group.create_task(follower.take(1))
        await turns()
        follower.wake()
        assert await taking == []
    return follower


async def test_it_waits_for_the_first_row() -> None:
    log = ScriptedLog()
    follower = await caught_up(log)
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        taking = group.create_task(follower.take(10))
        await turns()
        assert not taking.done()

        log.append([3])

        assert [(row.partition, row.n) for row in await taking] == [(3, 1)]


async def test_waking_it_makes_it_answer_with_nothing() -> None:
    log = ScriptedLog()
    follower = await caught_up(log)
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        taking = group.create_task(follower.take(10))
        await turns()

        follower.wake()

        assert await taking == []


async def test_it_starts_where_it_is_told_to() -> None:
    log = ScriptedLog()
    log.append([1] * 10 + [2] * 5)
    positions = [0] * PARTITIONS
    positions[1], positions[2] = 7, 5

    taken = await take_all(log.follow(positions))

    assert taken == [(1, 8), (1, 9), (1, 10)]


async def test_what_does_not_fit_in_memory_is_read_again() -> None:
    log = ScriptedLog()
    follower = await caught_up(log, room=4)
    log.append([1, 2, 1])
    log.append([1, 2, 3])
    assert follower.backlog() == 6

    taken = await take_all(follower, limit=2)

    assert sorted(taken) == [(1, 1), (1, 2), (1, 3), (2, 1), (2, 2), (3, 1)]
    assert [n for partition, n in taken if partition == 1] == [1, 2, 3]


async def test_it_reads_from_memory_when_it_keeps_up() -> None:
    log = ScriptedLog()
    follower = await caught_up(log)
    reads = log.reads

    for step in range(50):
        log.append([step % PARTITIONS, 7])
        await follower.take(10)

    assert log.reads == reads


async def test_what_was_missed_comes_in_the_order_the_log_took_it() -> None:
    log = ScriptedLog()
    log.append([0] * 20 + [40] + [0] * 20)
    follower = log.follow([0] * PARTITIONS)

    taken = await take_all(follower, limit=10)

    assert taken[20] == (40, 1)


async def test_nothing_but_waking_makes_it_answer_with_nothing() -> None:
    log = ScriptedLog()
    follower = log.follow([0] * PARTITIONS)
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        taking = group.create_task(follower.take(10))
        await turns()
        log.append([3])

        assert [row.n for row in await taking] == [1]


async def test_a_wake_is_not_lost_on_one_who_is_busy() -> None:
    log = ScriptedLog()
    follower = await caught_up(log)

    follower.wake()

    async with asyncio.timeout(0.2):
        assert await follower.take(10) == []


async def test_a_row_that_was_read_before_it_was_published_is_handed_out_once() -> None:
    log = ScriptedLog()
    log.append([1])
    follower = log.follow([0] * PARTITIONS)
    log.commit([1])
    taken: list[int] = []

    async def consume() -> None:
        while 3 not in taken:
            taken.extend(row.n for row in await follower.take(10))

    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        group.create_task(consume())
        await turns()
        assert follower.backlog() == 0
        log.publish()
        log.append([1])

    assert taken == [1, 2, 3]


async def test_rows_that_were_pruned_are_not_asked_for_for_ever() -> None:
    log = ScriptedLog()
    log.append([1] * 5)
    log.pruned[1] = 5
    follower = log.follow([0] * PARTITIONS)

    async def consume() -> None:
        while True:
            await follower.take(10)

    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        consuming = group.create_task(consume())
        await turns()
        consuming.cancel()

    assert follower.backlog() == 0
    assert log.reads < 10


APPEND = st.tuples(st.just("append"), st.lists(st.integers(0, 4), min_size=1, max_size=9))
TAKE = st.tuples(st.just("take"), st.integers(1, 5))
RESTART = st.tuples(st.just("restart"), st.integers(1, 8))


@settings(max_examples=150, deadline=None)
@given(
    steps=st.lists(APPEND | TAKE | RESTART, max_size=40),
    start=st.lists(st.integers(0, 6), min_size=5, max_size=5),
)
async def test_every_row_comes_once_and_in_order(steps: list[tuple[str, object]], start: list[int]) -> None:
    log = ScriptedLog()
    log.append([partition for partition in range(5) for _ in range(6)])
    positions = start + [0] * (PARTITIONS - 5)
    follower = log.follow(positions, room=3)

    def record(rows: Sequence[Input]) -> None:
        for row in rows:
            assert row.n == positions[row.partition] + 1
            positions[row.partition] = row.n

    for what, value in steps:
        if what == "append":
            assert isinstance(value, list)
            log.append(value)
        elif what == "take":
            assert isinstance(value, int)
            if follower.backlog():
                record(await follower.take(value))
        else:  # what was taken is remembered, what was only in memory is lost
            assert isinstance(value, int)
            log.followers.clear()
            follower = log.follow(list(positions), room=value)
    for _ in range(400):
        if not follower.backlog():
            break
        record(await follower.take(7))

    assert positions == list(log.heads())
