"""What the engine knows, on SQLite."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, final

import apsw
from typing_extensions import override

from hub.bus.lease import Lease
from hub.bus.log import InputKind, NewInput
from hub.clock import Clock
from hub.engine.rows import Batch, EngineStore, KeyRows, LevelRow, Peak, RunRow, TimerRow, TraceRow
from hub.ids import PARTITIONS
from hub.intents.intent import Intent
from hub.store.sqlite.append import Written
from hub.store.sqlite.approvals import write_approvals
from hub.store.sqlite.journal import Journal
from hub.store.sqlite.lease import check_lease
from hub.store.sqlite.log import SqliteLog
from hub.store.sqlite.reader import Reader
from hub.store.sqlite.wide import among, insert
from hub.store.sqlite.writer import Writer

CONSUMER = "engine"
_TIMER = "partition, due, id, key, kind, body"
_TOLD = "partition, level_id, key, field, side, threshold, rearm, generation, state, rule"
_LEVEL = f"{_TOLD}, peak"
# The peak is written beside the engine, and stands as long as the row is of the same generation.
_ANEW = (
    "ON CONFLICT (level_id) DO UPDATE SET "
    + ", ".join(f"{name} = excluded.{name}" for name in _TOLD.split(", "))
    + ", peak = CASE WHEN level.generation = excluded.generation THEN level.peak ELSE '' END"
)
RUN = "partition, id, key, workflow, version, state, at, body"
_TRACE = "partition, n, id, workflow, key, at, outcome, body"


@final
class SqliteEngineStore(EngineStore):
    """`told_intents` hears of intents a commit brought, on the event loop, right after it."""

    def __init__(
        self,
        writer: Writer,
        reader: Reader,
        log: SqliteLog,
        journal: Journal,
        clock: Clock,
        *,
        told_intents: Callable[[Sequence[Intent]], None] = lambda _: None,
    ) -> None:
        self._writer = writer
        self._reader = reader
        self._log = log
        self._clock = clock
        self._told_intents = told_intents
        self._journal = journal
        self._next_timer: int | None = 0  # unknown: look once

    @override
    async def positions(self, consumer: str) -> list[int]:
        return await self._reader.read(lambda connection: read_positions(connection, consumer))

    @override
    async def load(self, keys: Sequence[tuple[int, str]]) -> Mapping[str, KeyRows]:
        # Taken before the read: what is put in its place in between is then seen twice, and never not at all.
        overlays = {key: overlay for _, key in keys if (overlay := self._journal.of(key)) is not None}
        found = await self._reader.read(
            lambda connection: {key: _load(connection, partition, key) for partition, key in keys}
        )
        return {key: overlays[key].over(rows) if key in overlays else rows for key, rows in found.items()}

    @override
    async def keys(self, partition: int, after: str, limit: int) -> list[str]:
        def work(connection: apsw.Connection) -> list[str]:
            rows = connection.execute(
                "SELECT DISTINCT key FROM state WHERE partition = ? AND key > ? ORDER BY key LIMIT ?",
                (partition, after, limit),
            )
            return [str(row[0]) for row in rows]

        changed = self._journal.keys(partition, after)
        return sorted({*await self._reader.read(work), *changed})[:limit]

    @override
    async def commit(self, batch: Batch, fence: Sequence[Lease]) -> None:
        def work(connection: apsw.Connection) -> Written | None:
            for lease in fence:
                check_lease(connection, lease)
            write_positions(connection, CONSUMER, batch.positions)
            self._journal.write(connection, batch)
            _write_levels_and_timers(connection, batch)
            _write_runs(connection, batch)
            write_approvals(connection, batch)
            told = batch.facts or batch.mail
            return self._log.write(connection, [(batch.facts, batch.mail)]) if told else None

        def committed(written: Written | None) -> None:
            self._journal.committed(batch)
            for timer in batch.timers:
                self._expect_timer(timer.due)
            if batch.intents:
                self._told_intents(batch.intents)
            if written is not None:
                self._log.published(written)

        await self._writer.submit(work, committed)

    @override
    async def fire_timers(self, now_us: int, limit: int) -> int:
        if self._next_timer is None or self._next_timer > now_us:
            return 0

        def work(connection: apsw.Connection) -> tuple[Written | None, int, int | None]:
            due = connection.execute(
                f"SELECT {_TIMER} FROM timer WHERE due <= ? ORDER BY due, id LIMIT ?",
                (now_us, limit),
            ).fetchall()
            timers = [TimerRow._make(row) for row in due]
            written = None
            if timers:
                last = timers[-1]  # they were the first of all, so everything up to here is what fires
                connection.execute("DELETE FROM timer WHERE (due, id) <= (?, ?)", (last.due, last.id))
                written = self._log.write(connection, [((), [_fired(timer) for timer in timers])])
            row = connection.execute("SELECT due FROM timer ORDER BY due, id LIMIT 1").fetchone()
            return written, len(timers), int(row[0]) if row else None

        def committed(result: tuple[Written | None, int, int | None]) -> None:
            self._next_timer = result[2]
            if result[0] is not None:
                self._log.published(result[0])

        return (await self._writer.submit(work, committed))[1]

    @override
    def next_timer(self) -> int | None:
        return self._next_timer

    @override
    async def run(self, run_id: str) -> RunRow | None:
        def work(connection: apsw.Connection) -> RunRow | None:
            row = connection.execute(f"SELECT {RUN} FROM run WHERE id = ?", (run_id,)).fetchone()
            return RunRow._make(row) if row else None

        return await self._reader.read(work)

    @override
    async def open_runs(self, partition: int) -> list[RunRow]:
        def work(connection: apsw.Connection) -> list[RunRow]:
            rows = connection.execute(
                f"SELECT {RUN} FROM run WHERE partition = ? AND state = 'running' ORDER BY at, id",
                (partition,),
            )
            return [RunRow._make(row) for row in rows]

        return await self._reader.read(work)

    @override
    async def levels(self) -> list[LevelRow]:
        return await self._reader.read(
            lambda connection: [
                LevelRow._make(row) for row in connection.execute(f"SELECT {_LEVEL} FROM level")
            ]
        )

    @override
    async def save_peaks(self, peaks: Sequence[Peak], fence: Sequence[Lease]) -> None:
        def work(connection: apsw.Connection) -> None:
            for lease in fence:
                check_lease(connection, lease)
            connection.executemany(
                "UPDATE level SET peak = ? WHERE level_id = ? AND generation = ?",
                [(each.peak, each.level_id, each.generation) for each in peaks],
            )

        await self._writer.submit(work)

    @override
    async def save_version(self, version: str, workflow: str, text: str) -> None:
        row = (version, workflow, text, self._clock.now_us())

        def work(connection: apsw.Connection) -> None:
            connection.execute("INSERT OR IGNORE INTO workflow_version VALUES (?, ?, ?, ?)", row)

        await self._writer.submit(work)

    @override
    async def version(self, version: str) -> str | None:
        return await self._one("SELECT body FROM workflow_version WHERE hash = ?", (version,))

    @override
    async def active(self) -> str | None:
        return await self._one("SELECT value FROM meta WHERE name = 'active'", ())

    @override
    async def activate(self, manifest: str, inputs: Sequence[NewInput]) -> None:
        def work(connection: apsw.Connection) -> Written:
            connection.execute("INSERT OR REPLACE INTO meta VALUES ('active', ?)", (manifest,))
            return self._log.write(connection, [((), inputs)])

        await self._writer.submit(work, self._log.published)

    @override
    async def leave(self, item: NewInput) -> None:
        await self._log.append([], inputs=[item])

    @override
    async def traces(
        self, *, workflow: str, key: str, limit: int, before: int | None = None
    ) -> list[TraceRow]:
        def work(connection: apsw.Connection) -> list[TraceRow]:
            rows = connection.execute(
                f"SELECT {_TRACE} FROM trace WHERE workflow = ? AND key = ? AND at < ? ORDER BY at DESC LIMIT ?",
                (workflow, key, before if before is not None else 2**62, limit),
            )
            return [TraceRow._make(row) for row in rows]

        return await self._reader.read(work)

    def _expect_timer(self, due: int) -> None:
        if self._next_timer is None or due < self._next_timer:
            self._next_timer = due

    async def _one(self, query: str, values: tuple[Any, ...]) -> str | None:
        def work(connection: apsw.Connection) -> str | None:
            row = connection.execute(query, values).fetchone()
            return str(row[0]) if row else None

        return await self._reader.read(work)


def read_positions(connection: apsw.Connection, consumer: str) -> list[int]:
    positions = [0] * PARTITIONS
    for partition, n in connection.execute(
        "SELECT partition, n FROM position WHERE consumer = ?", (consumer,)
    ):
        positions[partition] = n
    return positions


def write_positions(connection: apsw.Connection, consumer: str, positions: Mapping[int, int]) -> None:
    insert(
        connection,
        "INSERT OR REPLACE INTO position",
        [(consumer, partition, n) for partition, n in positions.items()],
    )


def _fired(timer: TimerRow) -> NewInput:
    return NewInput(
        timer.partition, InputKind.TIMER, timer.key, f"{timer.kind}:{timer.due}:{timer.id}", timer.body
    )


def _load(connection: apsw.Connection, partition: int, key: str) -> KeyRows:
    where = (partition, key)
    states: list[Any] = connection.execute(
        "SELECT kind, name, value FROM state WHERE partition = ? AND key = ?", where
    ).fetchall()
    series: list[Any] = connection.execute(
        "SELECT name, at, ref, value FROM series WHERE partition = ? AND key = ? ORDER BY name, at, ref",
        where,
    ).fetchall()
    levels = connection.execute(f"SELECT {_LEVEL} FROM level WHERE partition = ? AND key = ?", where)
    return KeyRows(states, series, [LevelRow._make(row) for row in levels])


def _write_levels_and_timers(connection: apsw.Connection, batch: Batch) -> None:
    levels = {row.level_id: row for row in batch.levels}
    insert(
        connection,
        f"INSERT INTO level ({_TOLD})",
        [level[:-1] for level in levels.values() if level.state != "gone"],
        _ANEW,
    )
    gone = [(level.level_id,) for level in levels.values() if level.state == "gone"]
    among(connection, "DELETE FROM level WHERE (level_id)", gone)
    cancelled = [(timer.due, timer.id) for timer in batch.cancelled]
    among(connection, "DELETE FROM timer WHERE (due, id)", cancelled)
    insert(connection, f"INSERT OR IGNORE INTO timer ({_TIMER})", batch.timers)


def _write_runs(connection: apsw.Connection, batch: Batch) -> None:
    runs = {row.id: row for row in batch.runs}
    insert(
        connection,
        f"INSERT INTO run ({RUN})",
        list(runs.values()),
        "ON CONFLICT (id) DO UPDATE SET version = excluded.version, state = excluded.state, body = excluded.body",
    )
    insert(connection, f"INSERT OR IGNORE INTO trace ({_TRACE})", batch.traces)
    write_intents(connection, batch.intents)


INTENT = (
    "key, partition, account, verb, params, workflow, run, step, caused_by, state, at, due, priority, attempts, sends, "
    "looks, sent_at, ticket, reason"
)


def write_intents(connection: apsw.Connection, intents: Sequence[Intent]) -> None:
    insert(connection, f"INSERT OR IGNORE INTO intent ({INTENT})", intents)
