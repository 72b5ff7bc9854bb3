"""What is kept how long: small deletes in idle moments, so that no reader and no writer waits for them."""

from functools import partial

import apsw

from hub.clock import MICROSECOND, Clock
from hub.dispatch.contacts import KEPT as CONTACTS_KEPT
from hub.store.retention import Retention
from hub.store.sqlite.append import write_sequences
from hub.store.sqlite.numbering import Numbering
from hub.store.sqlite.writer import Writer

_CHUNK = 500
# Endpoints are found by leaping from one to the next in the key, however much waits for each.
_NAMED = """
WITH RECURSIVE named (endpoint) AS (
  SELECT min(endpoint) FROM waiting
  UNION ALL
  SELECT (SELECT min(endpoint) FROM waiting WHERE endpoint > named.endpoint) FROM named WHERE named.endpoint IS NOT NULL
)
DELETE FROM waiting WHERE (endpoint, due, partition, n) IN (
  SELECT w.endpoint, w.due, w.partition, w.n FROM named CROSS JOIN waiting AS w ON w.endpoint = named.endpoint"""
# What waits for an endpoint that was switched off, and whose event is kept no longer: it can never be sent, and whoever
# counts what waits would count it for ever.
_STRANDED = f"{_NAMED} WHERE w.due < ? LIMIT ?)"
# What was on its way to disk when its endpoint was deleted.
_ORPHANS = f"{_NAMED} WHERE named.endpoint NOT IN (SELECT id FROM endpoint) LIMIT ?)"


class Pruner:
    def __init__(self, writer: Writer, numbering: Numbering, clock: Clock, retention: Retention) -> None:
        self._writer = writer
        self._numbering = numbering
        self._clock = clock
        self._retention = retention

    async def prune(self) -> int:
        """Delete what is older than its retention; return how many rows went."""
        now, keep = self._clock.now_us(), self._retention
        deleted = 0
        # Rows that hold an account's latest number may go once the number stands in its own table.
        await self._writer.submit(self._keep_sequences)
        for table, age in (("input", keep.input), ("attempt", keep.attempts), ("trace", keep.traces)):
            newest = await self._writer.submit(partial(_newest, table))
            deleted += await self._drain(
                # rank follows time: the oldest come first and nothing else is looked at. The newest row stays whatever
                # its age, because numbering goes on from it.
                f"DELETE FROM {table} WHERE rank IN (SELECT rank FROM (SELECT rank, at FROM {table} ORDER BY rank LIMIT 1000) "
                "WHERE at < ? AND rank < ? LIMIT ?)",
                (now - age // MICROSECOND, newest),
            )
        deleted += await self._drain(
            "DELETE FROM fact_hashed WHERE key IN (SELECT key FROM fact_hashed WHERE at < ? ORDER BY at LIMIT ?)",
            (now - keep.hashed_keys // MICROSECOND,),
        )
        deleted += await self._drain(
            "DELETE FROM contact WHERE intent IN (SELECT intent FROM contact WHERE at < ? ORDER BY at LIMIT ?)",
            (now - CONTACTS_KEPT // MICROSECOND,),
        )
        deleted += await self._drain(
            "DELETE FROM message WHERE id IN (SELECT id FROM message WHERE at < ? ORDER BY at LIMIT ?)",
            (now - CONTACTS_KEPT // MICROSECOND,),
        )
        deleted += await self._drain(_STRANDED, (now - keep.input // MICROSECOND,))
        deleted += await self._drain(_ORPHANS, ())
        await self._writer.submit(
            lambda connection: connection.execute("PRAGMA incremental_vacuum(200)").fetchall()
        )
        return deleted

    def _keep_sequences(self, connection: apsw.Connection) -> None:
        self._numbering.refresh()
        write_sequences(connection, self._numbering)

    async def _drain(self, statement: str, values: tuple[int, ...]) -> int:
        def work(connection: apsw.Connection) -> int:
            connection.execute(statement, (*values, _CHUNK))
            return connection.changes()

        total = 0
        while deleted := await self._writer.submit(work):
            total += deleted
        return total


def _newest(table: str, connection: apsw.Connection) -> int:
    row = connection.execute(f"SELECT coalesce(max(rank), 0) FROM {table}").fetchone()
    return int(row[0]) if row else 0
