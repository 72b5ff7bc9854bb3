"""Appends for as long as it lives and prints every id that was acknowledged; to be killed by its parent.

With ``hasty`` as second argument the writer acknowledges before it commits: then a kill must lose something.
"""

import asyncio
import sys
from pathlib import Path
from typing import Any, NoReturn

from hub.clock import SystemClock
from hub.store.sqlite import store as sqlite
from hub.store.sqlite.writer import Job, Writer
from hub.testing import a_trade_closed, an_account, an_input


class HastyWriter(Writer):
    """Acknowledges at once and leaves the transaction open."""

    def _transaction(self, jobs: list[Job]) -> list[Any]:
        if not self._connection.in_transaction:
            self._connection.execute("BEGIN IMMEDIATE")
        return [job.work(self._connection) for job in jobs]


async def append_for_ever(folder: Path) -> None:
    async with sqlite.open_sqlite(folder, SystemClock()) as store, asyncio.TaskGroup() as group:
        for worker in range(8):
            group.create_task(_work(store, worker))


async def _work(store: sqlite.SqliteStore, worker: int) -> NoReturn:
    while True:
        facts = [a_trade_closed(an_account(login=7000 + worker * 3 + i)) for i in range(3)]
        answers = await store.log.append(facts, inputs=[an_input(worker)])
        sys.stdout.write(" ".join(answer.id for answer in answers) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    if sys.argv[2:] == ["hasty"]:
        sqlite.Writer = HastyWriter  # type: ignore[misc]  # the sabotage this file is for
    asyncio.run(append_for_ever(Path(sys.argv[1])))
