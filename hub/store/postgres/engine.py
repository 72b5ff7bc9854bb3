"""What the engine knows, on PostgreSQL."""

from collections.abc import Callable, Mapping, Sequence
from typing import final

from typing_extensions import override

from hub.bus.lease import Lease, Owned
from hub.bus.log import InputKind, NewInput
from hub.clock import Clock
from hub.engine.rows import Batch, EngineStore, KeyRows, LevelRow, Peak, RunRow, TimerRow, TraceRow
from hub.intents.intent import Intent
from hub.store.postgres.append import Written
from hub.store.postgres.arrivals import send
from hub.store.postgres.batch import LEVEL, RUN, TIMER, TRACE, write_batch
from hub.store.postgres.database import Connection, Database
from hub.store.postgres.log import PostgresLog
from hub.store.postgres.notices import ARRIVALS, notify_inside
from hub.store.postgres.positions import read_positions, write_positions

CONSUMER = "engine"

# Each partition's next, by its own index, and of these the first: however many wait, it looks at few.
_DUE = f"""
SELECT {", ".join(f"t.{column}" for column in TIMER.split(", "))}
FROM unnest($1::smallint[]) AS p CROSS JOIN LATERAL
  (SELECT {TIMER} FROM timer WHERE partition = p AND due <= $2 ORDER BY due, id LIMIT $3) AS t
ORDER BY t.due, t.id, t.partition LIMIT $3
"""
_NEXT = """
SELECT min(t.due) FROM unnest($1::smallint[]) AS p CROSS JOIN LATERAL
  (SELECT due FROM timer WHERE partition = p ORDER BY due LIMIT 1) AS t
"""
_PEAKS = """
UPDATE level SET peak = told.peak
FROM unnest($1::text[], $2::bigint[], $3::text[]) AS told (level_id, generation, peak)
WHERE level.level_id = told.level_id AND level.generation = told.generation
"""


@final
class PostgresEngineStore(EngineStore):
    """`told_intents` hears of intents a commit brought, on the event loop, right after it."""

    def __init__(
        self,
        database: Database,
        log: PostgresLog,
        owned: Owned,
        clock: Clock,
        *,
        told_intents: Callable[[Sequence[Intent]], None] = lambda _: None,
    ) -> None:
        self._database = database
        self._log = log
        self._clock = clock
        self._owned = owned
        self._told_intents = told_intents
        self._next_timer: int | None = 0  # unknown: look once

    def forget(self) -> None:
        """Look for timers again: what is owned has changed."""
        self._next_timer = 0

    @override
    async def positions(self, consumer: str) -> list[int]:
        return await self._database.read(lambda connection: read_positions(connection, consumer))

    @override
    async def load(self, keys: Sequence[tuple[int, str]]) -> Mapping[str, KeyRows]:
        if not keys:
            return {}
        return await self._database.read(lambda connection: _load(connection, keys))

    @override
    async def keys(self, partition: int, after: str, limit: int) -> list[str]:
        async def work(connection: Connection) -> list[str]:
            rows = await connection.fetch(
                "SELECT DISTINCT key FROM state WHERE partition = $1 AND key > $2 ORDER BY key LIMIT $3",
                partition, after, limit,
            )  # fmt: skip
            return [row["key"] for row in rows]

        return await self._database.read(work)

    @override
    async def commit(self, batch: Batch, fence: Sequence[Lease]) -> None:
        async def work(connection: Connection) -> Written | None:
            await write_positions(connection, {CONSUMER: batch.positions})
            await write_batch(connection, batch)
            told = batch.facts or batch.mail
            return await self._log.write(connection, [(batch.facts, batch.mail)]) if told else None

        def committed(written: Written | None) -> None:
            if written is not None:
                self._log.published(written)
            for timer in batch.timers:
                self._expect_timer(timer.due)
            if batch.intents:
                self._told_intents(batch.intents)

        touching = {fact.partition for fact in batch.facts} | {item.partition for item in batch.mail}
        await self._log.transact(work, touching, committed, fence)

    @override
    async def fire_timers(self, now_us: int, limit: int) -> int:
        if self._next_timer is None or self._next_timer > now_us:
            return 0
        owned = list(self._owned.partitions())

        async def work(connection: Connection) -> tuple[Written | None, int, int | None]:
            rows = await connection.fetch(_DUE, owned, now_us, limit)
            timers = [TimerRow(*row) for row in rows]
            written = None
            if timers:
                await connection.execute(
                    "DELETE FROM timer USING unnest($1::smallint[], $2::bigint[], $3::text[]) AS fired (p, due, id) "
                    "WHERE timer.partition = fired.p AND timer.due = fired.due AND timer.id = fired.id",
                    [timer.partition for timer in timers],
                    [timer.due for timer in timers],
                    [timer.id for timer in timers],
                )
                written = await self._log.write(connection, [((), [_fired(timer) for timer in timers])])
            return written, len(timers), await connection.fetchval(_NEXT, owned)

        def committed(result: tuple[Written | None, int, int | None]) -> None:
            self._next_timer = result[2]
            if result[0] is not None:
                self._log.published(result[0])

        return (await self._log.transact(work, owned, committed))[1]

    @override
    def next_timer(self) -> int | None:
        return self._next_timer

    @override
    async def run(self, run_id: str) -> RunRow | None:
        async def work(connection: Connection) -> RunRow | None:
            row = await connection.fetchrow(f"SELECT {RUN} FROM run WHERE id = $1", run_id)
            return RunRow(*row) if row else None

        return await self._database.read(work)

    @override
    async def open_runs(self, partition: int) -> list[RunRow]:
        async def work(connection: Connection) -> list[RunRow]:
            rows = await connection.fetch(
                f"SELECT {RUN} FROM run WHERE partition = $1 AND state = 'running' ORDER BY at, id", partition
            )
            return [RunRow(*row) for row in rows]

        return await self._database.read(work)

    @override
    async def levels(self) -> list[LevelRow]:
        owned = list(self._owned.partitions())

        async def work(connection: Connection) -> list[LevelRow]:
            rows = await connection.fetch(
                f"SELECT {LEVEL} FROM level WHERE partition = ANY($1::smallint[]) ORDER BY level_id", owned
            )
            return [LevelRow(*row) for row in rows]

        return await self._database.read(work)

    @override
    async def save_peaks(self, peaks: Sequence[Peak], fence: Sequence[Lease]) -> None:
        async def work(connection: Connection) -> None:
            await connection.execute(
                _PEAKS,
                [each.level_id for each in peaks],
                [each.generation for each in peaks],
                [each.peak for each in peaks],
            )

        await self._database.transact(work, fence)

    @override
    async def save_version(self, version: str, workflow: str, text: str) -> None:
        async def work(connection: Connection) -> None:
            await connection.execute(
                "INSERT INTO workflow_version VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
                version, workflow, text, self._clock.now_us(),
            )  # fmt: skip

        await self._database.transact(work)

    @override
    async def version(self, version: str) -> str | None:
        return await self._text("SELECT body FROM workflow_version WHERE hash = $1", version)

    @override
    async def active(self) -> str | None:
        return await self._text("SELECT value FROM meta WHERE name = $1", "active")

    @override
    async def activate(self, manifest: str, inputs: Sequence[NewInput]) -> None:
        """Write the manifest and leave an input for every partition's owner, whoever that is."""

        async def work(connection: Connection) -> None:
            # The row is locked first, so that two activations reach every partition in one order.
            await connection.execute(
                "INSERT INTO meta VALUES ('active', $1) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                manifest,
            )
            await send(connection, inputs=inputs)
            partitions = sorted({item.partition for item in inputs})
            await notify_inside(connection, ARRIVALS, [str(partition) for partition in partitions])

        await self._database.transact(work)

    @override
    async def leave(self, item: NewInput) -> None:
        """Leave it for the partition's owner, though that is us: mail of others may still wait to be taken."""

        async def work(connection: Connection) -> None:
            await send(connection, inputs=[item])
            await notify_inside(connection, ARRIVALS, [str(item.partition)])

        await self._database.transact(work)

    @override
    async def traces(
        self, *, workflow: str, key: str, limit: int, before: int | None = None
    ) -> list[TraceRow]:
        async def work(connection: Connection) -> list[TraceRow]:
            rows = await connection.fetch(
                f"SELECT {TRACE} FROM trace WHERE workflow = $1 AND key = $2 AND at < $3 "
                "ORDER BY at DESC, partition, n, id LIMIT $4",
                workflow, key, before if before is not None else 2**62, limit,
            )  # fmt: skip
            return [TraceRow(*row) for row in rows]

        return await self._database.read(work)

    def _expect_timer(self, due: int) -> None:
        if self._next_timer is None or due < self._next_timer:
            self._next_timer = due

    async def _text(self, query: str, value: str) -> str | None:
        async def work(connection: Connection) -> str | None:
            found = await connection.fetchval(query, value)
            return None if found is None else str(found)

        return await self._database.read(work)


def _fired(timer: TimerRow) -> NewInput:
    return NewInput(
        timer.partition, InputKind.TIMER, timer.key, f"{timer.kind}:{timer.due}:{timer.id}", timer.body
    )


async def _load(connection: Connection, keys: Sequence[tuple[int, str]]) -> dict[str, KeyRows]:
    wanted = [partition for partition, _ in keys], [key for _, key in keys]
    found: dict[str, tuple[list[tuple[int, str, bytes]], list[tuple[str, int, str, str]], list[LevelRow]]]
    found = {key: ([], [], []) for _, key in keys}
    these = "JOIN unnest($1::smallint[], $2::text[]) AS wanted (partition, key) USING (partition, key)"
    for row in await connection.fetch(f"SELECT key, kind, name, value FROM state {these}", *wanted):
        found[row[0]][0].append((row[1], row[2], row[3]))
    series = f"SELECT key, name, at, ref, value FROM series {these} ORDER BY name, at, ref"
    for row in await connection.fetch(series, *wanted):
        found[row[0]][1].append((row[1], row[2], row[3], row[4]))
    for row in await connection.fetch(f"SELECT {LEVEL} FROM level {these} ORDER BY level_id", *wanted):
        level = LevelRow(*row)
        found[level.key][2].append(level)
    return {key: KeyRows(*rows) for key, rows in found.items()}
