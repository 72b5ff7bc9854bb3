"""What is kept how long: the log goes by whole months, the rest in small deletes, by one process at a time."""

import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from typing import NamedTuple, TypeVar, final

import structlog

from hub.clock import MICROSECOND, Clock, to_us
from hub.dispatch.contacts import KEPT as CONTACTS_KEPT
from hub.errors import HubError, StoreUnavailable
from hub.store.postgres.database import Connection, Database
from hub.store.postgres.endpoints import rows_in
from hub.store.retention import Retention

T = TypeVar("T")

_CHUNK = 2_000
_AHEAD = 3  # this month and the two that follow
# A change of the log's ranges waits for those who read and write it, and makes others wait behind it.
_PATIENCE = "SET LOCAL lock_timeout = '1s'"
_RANGE = re.compile(r"input_([0-9]{4})_([0-9]{2})", re.ASCII)

_OLD = {
    "input_rest": "ctid = ANY(ARRAY(SELECT ctid FROM input_rest WHERE at < $1 ORDER BY at LIMIT $2))",
    # Rank follows time: the oldest come first, and an index of times would cost every delivery.
    "attempt": "rank IN (SELECT rank FROM (SELECT rank, at FROM attempt ORDER BY rank LIMIT $2) AS oldest WHERE at < $1)",
    "trace": "ctid = ANY(ARRAY(SELECT ctid FROM trace WHERE at < $1 ORDER BY at LIMIT $2))",
    "contact": "intent IN (SELECT intent FROM contact WHERE at < $1 ORDER BY at LIMIT $2)",
    "message": "id IN (SELECT id FROM message WHERE at < $1 ORDER BY at LIMIT $2)",
    "fact_hashed": "key IN (SELECT key FROM fact_hashed WHERE at < $1 ORDER BY at LIMIT $2)",
}
# Endpoints are found by leaping from one to the next in the index, however much waits for each.
_NAMED = """
WITH RECURSIVE named (endpoint) AS (
  (SELECT endpoint FROM waiting ORDER BY endpoint LIMIT 1)
  UNION ALL
  SELECT (SELECT w.endpoint FROM waiting w WHERE w.endpoint > named.endpoint ORDER BY w.endpoint LIMIT 1)
  FROM named WHERE named.endpoint IS NOT NULL
)"""
# What waits for an endpoint that was switched off, and whose event is kept no longer: it can never be sent, and whoever
# counts what waits would count it for ever.
_STRANDED = f"""{_NAMED}
DELETE FROM waiting WHERE ctid = ANY(ARRAY(
  SELECT old.ctid FROM named CROSS JOIN LATERAL
    (SELECT ctid FROM waiting WHERE waiting.endpoint = named.endpoint AND due < $1 LIMIT $2) AS old LIMIT $2
))
"""
# A fan-out that had not heard of the deletion yet may have written some after it.
_ORPHANS = f"""{_NAMED}, gone AS (
  SELECT endpoint FROM named WHERE endpoint IS NOT NULL AND NOT EXISTS (SELECT FROM endpoint WHERE id = named.endpoint)
)
DELETE FROM waiting WHERE ctid = ANY(ARRAY(SELECT waiting.ctid FROM gone JOIN waiting USING (endpoint) LIMIT $1))
"""

log = structlog.get_logger(__name__)


class _Busy(HubError):
    """Another process prunes."""


class Month(NamedTuple):
    """One range of the log."""

    year: int
    month: int

    @property
    def table(self) -> str:
        return f"input_{self.year:04}_{self.month:02}"

    @property
    def following(self) -> "Month":
        return Month(self.year + self.month // 12, self.month % 12 + 1)

    @property
    def start_us(self) -> int:
        return to_us(datetime(self.year, self.month, 1, tzinfo=UTC))


@final
class PostgresPruner:
    def __init__(self, database: Database, clock: Clock, retention: Retention | None = None) -> None:
        self._database = database
        self._clock = clock
        self._retention = retention or Retention()

    async def prune(self) -> int:
        """Make room for the months ahead, delete what is older than its retention; return how many rows went.

        Of a month that went as a whole the count is what the database's statistics say.
        """
        now, keep = self._clock.now_us(), self._retention
        deleted = 0
        try:
            await self.prepare()
            deleted += await self._drop_months(now - keep.input // MICROSECOND)
            for table, age in (
                ("input_rest", keep.input),
                ("attempt", keep.attempts),
                ("trace", keep.traces),
                ("fact_hashed", keep.hashed_keys),
                ("contact", CONTACTS_KEPT),
                ("message", CONTACTS_KEPT),
            ):
                deleted += await self._drain(
                    f"DELETE FROM {table} WHERE {_OLD[table]}", now - age // MICROSECOND
                )
            deleted += await self._drain(_STRANDED, now - keep.input // MICROSECOND)
            deleted += await self._drain(_ORPHANS)
        except _Busy:
            log.debug("store.pruned_by_another")
        return deleted

    async def prepare(self) -> None:
        """Make the ranges of this month and the next ones; what has none is kept with the rest."""
        today = self._clock.now()
        month = Month(today.year, today.month)
        for _ in range(_AHEAD):
            wanted, month = month, month.following
            try:
                await self._alone(partial(_make_range, month=wanted))
            except StoreUnavailable as problem:
                # Nothing depends on it but the cost of deleting.
                log.warning("store.month_not_made", table=wanted.table, reason=str(problem))

    async def _drop_months(self, before_us: int) -> int:
        dropped = 0
        for month in await self._database.read(_ranges):
            if month.following.start_us <= before_us:
                try:
                    dropped += await self._alone(partial(_drop_range, month=month))
                except StoreUnavailable as problem:
                    log.warning("store.month_not_dropped", table=month.table, reason=str(problem))
        return dropped

    async def _drain(self, statement: str, *values: int) -> int:
        async def work(connection: Connection) -> int:
            return rows_in(await connection.execute(statement, *values, _CHUNK))

        total = 0
        while deleted := await self._alone(work):
            total += deleted
        return total

    async def _alone(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        async def guarded(connection: Connection) -> T:
            if not await connection.fetchval(
                "SELECT pg_try_advisory_xact_lock(hashtextextended('prune', 0))"
            ):
                raise _Busy
            return await work(connection)

        return await self._database.transact(guarded)


async def _ranges(connection: Connection) -> list[Month]:
    rows = await connection.fetch(
        "SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid "
        "WHERE inhparent = 'input'::regclass ORDER BY relname"
    )
    found = [_RANGE.fullmatch(row["relname"]) for row in rows]
    return [Month(int(match[1]), int(match[2])) for match in found if match]


async def _make_range(connection: Connection, month: Month) -> None:
    start, end = month.start_us, month.following.start_us
    if await connection.fetchval("SELECT to_regclass($1)", month.table) is not None:
        return
    await connection.execute(_PATIENCE)
    if await connection.fetchval(
        "SELECT EXISTS (SELECT FROM input_rest WHERE at >= $1 AND at < $2)", start, end
    ):
        return  # the month began without a range of its own: its rows stay together, with the rest
    # Made beside the log and then attached, because making it inside would stop everybody who reads or writes.
    await connection.execute(f"CREATE TABLE {month.table} (LIKE input INCLUDING DEFAULTS)")
    await connection.execute(
        f"ALTER TABLE input ATTACH PARTITION {month.table} FOR VALUES FROM ({start:d}) TO ({end:d})"
    )


async def _drop_range(connection: Connection, month: Month) -> int:
    await connection.execute(_PATIENCE)
    rows = await connection.fetchval(
        "SELECT reltuples::bigint FROM pg_class WHERE oid = $1::regclass", month.table
    )
    await connection.execute(f"ALTER TABLE input DETACH PARTITION {month.table}")
    await connection.execute(f"DROP TABLE {month.table}")
    return max(int(rows or 0), 0)
