"""The database a hub moves into: written a batch at a time, each with the place the next one goes on from."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import NamedTuple

import asyncpg
import msgspec

from hub.clock import from_us
from hub.errors import ConfigError, HubError, StoreRefused
from hub.moving.connection import Connection, open_connection, refuse_strangers, telling
from hub.moving.digest import Digest
from hub.moving.refused import complaint
from hub.moving.source import Batch, Key, Record, Span
from hub.moving.tables import BEGUN_ANEW, TABLES, Table
from hub.store.postgres.migrate import migrate, where
from hub.store.postgres.prune import Month
from hub.store.sqlite.database import MOVED

_LOCK = 0x6875625F6D6F7665  # one move at a time into a database; the number says "hub_move"
_CLOSE_SECONDS = 10.0
_FEWEST_READ = 64
_MOST_READ = 5_000
_BYTES_READ = 4 << 20
_MOST_MONTHS = 60
# What a database says of itself before any hub is in it.
_OWN = frozenset({"schema", "partitions", "writable"})
_UNFINISHED = "moving"
_FINISHED = "moved"


class Progress(NamedTuple):
    """How far a table is: `after` is the key of the last row that was carried over."""

    rows: int
    after: Key | None
    whole: bool


class _Noted(msgspec.Struct, frozen=True):
    """Progress as it is kept in the database; a key may hold bytes, so it is packed."""

    rows: int
    after: str
    whole: bool


class Target:
    def __init__(self, connection: Connection, name: str) -> None:
        self._connection = connection
        self.name = name

    async def begin(self, identity: str, *, moved_to: str | None = None) -> bool:
        """Make the database this move's own, or go on with it; return False when this move is finished already.

        Raises ConfigError when there is anything else in it, or when the hub went elsewhere before.
        """
        async with self._transaction():
            rows = await self._connection.fetch(
                "SELECT name, value FROM meta WHERE name = ANY($1::text[])", [_UNFINISHED, _FINISHED]
            )
            found = {row["name"]: row["value"] for row in rows}
            if found.get(_FINISHED) == identity:
                return False
            if found.get(_UNFINISHED) == identity:
                return True
            if _UNFINISHED in found:
                raise ConfigError(
                    f"{self.name} holds a move that is not finished, of another hub or of this one before it ran again: "
                    "empty it (drop the database and create it again), or name another"
                )
            if moved_to is not None:
                raise ConfigError(
                    f"this hub was moved to {moved_to} before, and what it did since is not in its folder: move it from there. "
                    f"If nothing it did there counts, remove {MOVED} from the folder and run the same command again"
                )
            await self._refuse_contents()
            await self._connection.execute("INSERT INTO meta VALUES ($1, $2)", _UNFINISHED, identity)
        return True

    async def make_room(self, span: Span | None) -> None:
        """Make the ranges of the log that its rows belong to, so that they outlive their retention together."""
        async with self._transaction():
            for month in _months(span) if span else ():
                await self._connection.execute(
                    f"CREATE TABLE IF NOT EXISTS {month.table} PARTITION OF input "
                    f"FOR VALUES FROM ({month.start_us:d}) TO ({month.following.start_us:d})"
                )

    async def progress(self, table: Table) -> Progress:
        with telling(self.name):
            text = await self._connection.fetchval("SELECT value FROM meta WHERE name = $1", _note(table))
        if text is None:
            return Progress(0, None, whole=False)
        noted = msgspec.json.decode(text, type=_Noted)
        after = msgspec.msgpack.decode(bytes.fromhex(noted.after), type=list) if noted.after else None
        return Progress(noted.rows, None if after is None else tuple(after), noted.whole)

    async def write(self, table: Table, batch: Batch, before: Progress) -> Progress:
        """Store a batch and where it ends, both or neither; raises StoreRefused naming the row that cannot be stored."""
        now = Progress(before.rows + len(batch.records), batch.after, whole=False)
        try:
            async with self._transaction():
                await self._copy(table, batch.records)
                await self._remember(table, now)
        except StoreRefused as refused:
            culprit = await self._culprit(table, batch.records)
            raise complaint(table, culprit, refused) from refused
        return now

    async def close_table(self, table: Table, progress: Progress) -> None:
        async with self._transaction():
            await self._remember(table, progress._replace(whole=True))

    async def digest(self, table: Table, told: Callable[[int], None]) -> Digest:
        """Return what stands in a table, all of it, whoever wrote it."""
        digest = Digest()
        async with self._transaction():
            cursor = await self._connection.cursor(table.checking)
            most = _FEWEST_READ
            while rows := await cursor.fetch(most):
                digest.add(map(tuple, rows))
                told(len(rows))
                most = _fitting(rows)
        return digest

    async def finish(self, identity: str) -> None:
        """Let numbers go on from where they are, and the hub be run."""
        async with self._transaction():
            for sequence, table in (
                ("'input_rank'", "input"),
                ("pg_get_serial_sequence('attempt', 'rank')", "attempt"),
            ):
                await self._connection.execute(
                    f"SELECT setval({sequence}, last) FROM (SELECT max(rank) AS last FROM {table}) AS ranks WHERE last > 0"
                )
            await self._connection.execute(
                "DELETE FROM meta WHERE name = $1 OR starts_with(name, $1 || ':')", _UNFINISHED
            )
            await self._connection.execute("INSERT INTO meta VALUES ($1, $2)", _FINISHED, identity)
        with telling(self.name):
            # The first questions should not be planned for empty tables.
            await self._connection.execute("ANALYZE")

    async def _refuse_contents(self) -> None:
        names = sorted({table.name for table in TABLES if table.name != "meta"} | BEGUN_ANEW)
        looks = " UNION ALL ".join(
            f"SELECT '{name}' AS name WHERE EXISTS (SELECT FROM {name})" for name in names
        )
        rows = await self._connection.fetch(looks)
        kept = await self._connection.fetch("SELECT name FROM meta WHERE name <> ALL($1::text[])", list(_OWN))
        if rows or kept:
            held = [row["name"] for row in rows] + (["meta"] if kept else [])
            raise ConfigError(
                f"{self.name} is not empty (there are rows in {', '.join(held[:4])}): a hub ran on it, or was moved into it. "
                "Empty it (drop the database and create it again), or name another"
            )

    async def _copy(self, table: Table, records: Sequence[Record]) -> None:
        await self._connection.copy_records_to_table(
            table.name, records=records, columns=table.columns.split(", ")
        )

    async def _remember(self, table: Table, progress: Progress) -> None:
        after = "" if progress.after is None else msgspec.msgpack.encode(progress.after).hex()
        await self._connection.execute(
            "INSERT INTO meta VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            _note(table),
            msgspec.json.encode(_Noted(progress.rows, after, progress.whole)).decode(),
        )

    async def _culprit(self, table: Table, records: Sequence[Record]) -> Record | None:
        """Return the first record that cannot be stored, by trying ever smaller parts."""
        while len(records) > 1:
            half = records[: len(records) // 2]
            records = half if await self._is_refused(table, half) else records[len(half) :]
        return records[0] if await self._is_refused(table, records) else None

    async def _is_refused(self, table: Table, records: Sequence[Record]) -> bool:
        try:
            async with self._transaction():
                await self._copy(table, records)
                raise _NotMeant
        except _NotMeant:
            return False
        except StoreRefused:
            return True

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[None]:
        with telling(self.name):
            async with self._connection.transaction():
                yield


class _NotMeant(HubError):
    """Ends a transaction that was only a try."""


@asynccontextmanager
async def open_target(dsn: str) -> AsyncIterator[Target]:
    """Bring the database's schema up to date and have the database alone; raises ConfigError when somebody else moves."""
    await refuse_strangers(dsn)
    await migrate(dsn)
    connection = await open_connection(dsn)
    try:
        with telling(where(dsn)):
            if not await connection.fetchval("SELECT pg_try_advisory_lock($1)", _LOCK):
                raise ConfigError(
                    f"another move into {where(dsn)} is under way: wait for it, or stop it first"
                )
        yield Target(connection, where(dsn))
    finally:
        with suppress(OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            await connection.close(timeout=_CLOSE_SECONDS)


def _months(span: Span) -> list[Month]:
    """Return the months from the first moment to the last; none if they are too many to be of use."""
    start = from_us(span.first)
    months: list[Month] = []
    month = Month(start.year, start.month)
    while month.start_us <= span.last:
        months.append(month)
        month = month.following
        if len(months) > _MOST_MONTHS:
            return []
    return months


def _fitting(rows: Sequence[asyncpg.Record]) -> int:
    """Return how many rows like these fit into memory."""
    size = sum(len(value) for row in rows for value in row if value.__class__ in {str, bytes})
    return min(max(_BYTES_READ * len(rows) // max(size, 1), _FEWEST_READ), _MOST_READ)


def _note(table: Table) -> str:
    return f"{_UNFINISHED}:{table.name}"
