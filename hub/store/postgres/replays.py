"""Replays on PostgreSQL, beside the deliveries they make: whoever owns an endpoint works on its replays."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final, final

import asyncpg
from typing_extensions import override

from hub.bus.lease import Lease
from hub.bus.pages import Page
from hub.clock import MICROSECOND
from hub.dispatch.outbox import Delivery
from hub.dispatch.replays import (
    KEPT,
    MOST_OPEN,
    TURNS,
    WITHOUT_ENDPOINT,
    Place,
    Replay,
    Replays,
    ReplayState,
    Room,
    Standing,
    Step,
    advanced,
    replay_of,
    replay_page,
    replay_row,
    still_owed,
    turned,
)
from hub.dispatch.subscriptions import ENABLED
from hub.ids import PARTITIONS
from hub.store.cursors import moment_and_id
from hub.store.postgres.append import columns
from hub.store.postgres.browse_events import write_places
from hub.store.postgres.database import Connection, Database
from hub.store.postgres.notices import REPLAYS, notify_inside
from hub.store.postgres.outbox import insert_waiting, read_positions

REPLAY: Final = ", ".join(Replay._fields)
_LOCK: Final = "SELECT pg_advisory_xact_lock(hashtextextended('hub:replays', 0))"


@final
class PostgresReplays(Replays):
    """`fence` proves that the endpoints of a step are this process's. Every process hears of a change with its commit."""

    def __init__(self, database: Database, fence: Callable[[Collection[str]], Sequence[Lease]]) -> None:
        self._database = database
        self._fence = fence

    @override
    async def add(self, replay: Replay) -> bool:
        row = replay_row(replay)
        marks = ", ".join(f"${number}" for number in range(1, len(row) + 1))
        old = replay.created_at - KEPT // MICROSECOND

        async def work(connection: Connection) -> bool:
            await connection.execute(_LOCK)
            await connection.execute("DELETE FROM replay WHERE created_at < $1 AND ended_at < $1", old)
            if await connection.fetchval("SELECT true FROM replay WHERE id = $1", replay.id):
                return True  # the answer to the commit before was lost
            standing = await connection.fetchval(
                "SELECT count(*) FROM replay WHERE state IN ('running', 'paused')"
            )
            if standing >= MOST_OPEN:
                return False
            await connection.execute(f"INSERT INTO replay ({REPLAY}) VALUES ({marks})", *row)
            await notify_inside(connection, REPLAYS, [replay.id])
            return True

        return await self._database.transact(work)

    @override
    async def get(self, replay_id: str) -> Replay | None:
        return await self._database.read(lambda connection: _replay(connection, replay_id))

    @override
    async def page(self, *, after: str, limit: int, endpoint: str = "", state: str = "") -> Page[Replay]:
        rows = await self._database.fetch(
            f"SELECT {REPLAY} FROM replay WHERE (created_at, id) < ($1, $2) AND $3 IN ('', endpoint) AND $4 IN ('', state) "
            "ORDER BY created_at DESC, id DESC LIMIT $5",
            *moment_and_id(after),
            endpoint,
            state,
            limit + 1,
        )
        return replay_page([replay_of(tuple(row)) for row in rows], limit)

    @override
    async def running(self) -> list[Replay]:
        rows = await self._database.fetch(
            f"SELECT {REPLAY} FROM replay WHERE state = 'running' ORDER BY created_at, id"
        )
        return [replay_of(tuple(row)) for row in rows]

    @override
    async def turn(self, replay_id: str, to: ReplayState, now_us: int, reason: str) -> Replay | None:
        async def work(connection: Connection) -> Replay | None:
            found = await _replay(connection, replay_id, "FOR UPDATE")
            if found is None or found.state not in TURNS[to]:
                return None
            after = turned(found, to, now_us, reason)
            await connection.execute(
                "UPDATE replay SET state = $1, updated_at = $2, ended_at = $3, reason = $4 WHERE id = $5",
                after.state.value,
                after.updated_at,
                after.ended_at,
                after.reason,
                replay_id,
            )
            await notify_inside(connection, REPLAYS, [replay_id])
            return after

        return await self._database.transact(work)

    @override
    async def end_orphans(self, now_us: int) -> int:
        orphans = (
            "state IN ('running', 'paused') "
            "AND NOT EXISTS (SELECT FROM endpoint WHERE endpoint.id = replay.endpoint)"
        )

        async def work(connection: Connection) -> int:
            ended = await connection.fetch(
                f"UPDATE replay SET state = $1, updated_at = $2, ended_at = $2, reason = $3 WHERE {orphans} RETURNING id",
                ReplayState.CANCELLED.value,
                now_us,
                WITHOUT_ENDPOINT,
            )
            await notify_inside(connection, REPLAYS, [row["id"] for row in ended])
            return len(ended)

        # Asked every few seconds, and nearly always for nothing: that is to cost no transaction.
        some = await self._database.fetch(f"SELECT FROM replay WHERE {orphans} LIMIT 1")
        return await self._database.transact(work) if some else 0

    @override
    async def step(
        self, replay: Replay, step: Step, deliveries: Sequence[Delivery], now_us: int
    ) -> list[Delivery] | None:
        async def work(connection: Connection) -> list[Delivery] | None:
            found = await _replay(connection, replay.id, "FOR UPDATE")
            if found is None or found.state != ReplayState.RUNNING or found.place != replay.place:
                return None
            enabled = await connection.fetchval(
                "SELECT true FROM endpoint WHERE id = $1 AND state = $2 FOR SHARE", replay.endpoint, ENABLED
            )
            if not enabled:
                return None
            standing = await _standing(connection, replay.endpoint, [(d.partition, d.n) for d in deliveries])
            put = still_owed(replay, deliveries, standing)
            await insert_waiting(connection, put)
            after = advanced(found, step, len(put), len(deliveries) - len(put), now_us)
            await connection.execute(
                "UPDATE replay SET state = $1, updated_at = $2, ended_at = $3, place = $4, reached = $5, looked = $6, "
                "queued = $7, left_out = $8 WHERE id = $9",
                after.state.value,
                after.updated_at,
                after.ended_at,
                after.place,
                after.reached,
                after.looked,
                after.queued,
                after.left_out,
                replay.id,
            )
            return put

        return await self._database.transact(work, self._fence([replay.endpoint]))

    @override
    async def room(self, endpoint: str, now_us: int, most: int) -> Room:
        rows = await self._database.fetch(
            "SELECT (SELECT count(*) FROM (SELECT FROM waiting WHERE endpoint = $1 AND due <= $2 LIMIT $3) AS ready), "
            "(SELECT count(*) FROM (SELECT FROM waiting WHERE endpoint = $1 LIMIT $3) AS every)",
            endpoint,
            now_us,
            most,
        )
        return Room(*rows[0])

    @override
    async def standing(self, endpoint: str, places: Collection[Place]) -> Mapping[Place, Standing]:
        return await self._database.read(lambda connection: _standing(connection, endpoint, list(places)))

    @override
    async def fanned_out(self) -> list[int]:
        found = await self._database.read(lambda connection: read_positions(connection, range(PARTITIONS)))
        return [found.get(partition, 0) for partition in range(PARTITIONS)]

    @override
    async def place_before(self, at_us: int) -> str:
        return write_places(await self._database.read(lambda connection: _places_before(connection, at_us)))


async def _places_before(connection: Connection, at_us: int) -> list[int]:
    """Return the last row of each partition before a moment: `at` never decreases with n there, so halving finds it."""
    low = [0] * PARTITIONS
    high = [0] * PARTITIONS
    for row in await connection.fetch("SELECT partition, n FROM head"):
        high[row["partition"]] = row["n"]
    while open_ones := [p for p in range(PARTITIONS) if low[p] < high[p]]:
        middle = {p: (low[p] + high[p] + 1) // 2 for p in open_ones}
        rows = await connection.fetch(
            "SELECT asked.partition, (SELECT input.at FROM input WHERE input.partition = asked.partition "
            "AND input.n <= asked.n ORDER BY input.n DESC LIMIT 1) AS at "
            "FROM unnest($1::smallint[], $2::bigint[]) AS asked (partition, n)",
            list(middle),
            list(middle.values()),
        )
        for partition, at in rows:
            if at is None or at < at_us:  # none: pruned, and so older than everything that is kept
                low[partition] = middle[partition]
            else:
                high[partition] = middle[partition] - 1
    return low


async def _replay(connection: Connection, replay_id: str, lock: str = "") -> Replay | None:
    row = await connection.fetchrow(f"SELECT {REPLAY} FROM replay WHERE id = $1 {lock}", replay_id)
    return replay_of(tuple(row)) if row is not None else None


async def _standing(connection: Connection, endpoint: str, places: Sequence[Place]) -> dict[Place, Standing]:
    if not places:
        return {}
    asked: list[Any] = [endpoint, *columns(places, 2)]
    joined = "JOIN unnest($2::smallint[], $3::bigint[]) AS asked (partition, n) USING (partition, n) WHERE endpoint = $1"
    # In this order: what is settled between the two was seen waiting, or is seen delivered.
    waiting = await connection.fetch(f"SELECT partition, n FROM waiting {joined}", *asked)
    delivered = await connection.fetch(
        f"SELECT DISTINCT partition, n FROM attempt {joined} AND state = 'delivered'", *asked
    )
    return dict.fromkeys(_places(delivered), Standing.DELIVERED) | dict.fromkeys(
        _places(waiting), Standing.WAITING
    )


def _places(rows: Sequence[asyncpg.Record]) -> list[Place]:
    return [(row["partition"], row["n"]) for row in rows]
