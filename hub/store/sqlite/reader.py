"""Reads on connections of their own, off the event loop, so that a slow one delays neither the loop nor the writer."""

import asyncio
import queue
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import apsw

from hub.store.sqlite.database import open_reader

T = TypeVar("T")
CONNECTIONS = 2


class Reader:
    """Two read-only connections; whoever reads gets one to itself for one short snapshot."""

    def __init__(self, path: Path) -> None:
        self._pool = ThreadPoolExecutor(CONNECTIONS, thread_name_prefix="hub-reader")
        self._free: queue.SimpleQueue[apsw.Connection] = queue.SimpleQueue()
        self._connections = [open_reader(path) for _ in range(CONNECTIONS)]
        for connection in self._connections:
            self._free.put(connection)

    async def read(self, work: Callable[[apsw.Connection], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._with_connection, work)

    def close(self) -> None:
        self._pool.shutdown(wait=True)
        for connection in self._connections:
            connection.close()

    def _with_connection(self, work: Callable[[apsw.Connection], T]) -> T:
        connection = self._free.get()
        try:
            # Several statements see one moment: what is committed in between must be in all of them or in none.
            connection.execute("BEGIN")
            try:
                return work(connection)
            finally:
                if connection.in_transaction:  # a read error may have ended it
                    connection.execute("ROLLBACK")
        finally:
            self._free.put(connection)
