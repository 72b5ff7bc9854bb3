"""A follower of a log beside many who append to it, whichever store the log is in."""

import asyncio

from hub.bus.follower import Follower
from hub.ids import PARTITIONS
from hub.store.postgres.log import PostgresLog
from hub.store.sqlite.log import SqliteLog
from hub.testing import an_input


async def every_row_comes_once(log: SqliteLog | PostgresLog, *, tellers: int, each: int) -> None:
    await log.append([], inputs=[an_input(i % 5) for i in range(40)])
    # So small that it overflows and catches up again and again.
    follower = Follower(log, [0] * PARTITIONS, room=16)
    log.listen(follower.offer)
    taken: list[list[int]] = [[] for _ in range(PARTITIONS)]
    total = 40 + tellers * each

    async def tell(worker: int) -> None:
        for step in range(each):
            await log.append([], inputs=[an_input((worker + step) % 9)])

    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        for worker in range(tellers):
            group.create_task(tell(worker))
        while sum(map(len, taken)) < total:
            for row in await follower.take(7):
                taken[row.partition].append(row.n)

    assert all(numbers == list(range(1, len(numbers) + 1)) for numbers in taken)
    assert follower.backlog() == 0
