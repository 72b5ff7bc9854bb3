"""Replays on SQLite, beside the deliveries they make."""

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from itertools import chain
from typing import Any, Final, final

import apsw
from typing_extensions import override

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
from hub.store.cursors import moment_and_id
from hub.store.sqlite.engine import read_positions
from hub.store.sqlite.history import rank_at
from hub.store.sqlite.outbox import CONSUMER, WAITING
from hub.store.sqlite.reader import Reader
from hub.store.sqlite.wide import among, insert
from hub.store.sqlite.writer import Writer

REPLAY: Final = ", ".join(Replay._fields)


@final
class SqliteReplays(Replays):
    """`changed` hears of every new replay and every turn of one after its commit."""

    def __init__(self, writer: Writer, reader: Reader, *, changed: Callable[[], None] = lambda: None) -> None:
        self._writer = writer
        self._reader = reader
        self.changed = changed

    @override
    async def add(self, replay: Replay) -> bool:
        row = replay_row(replay)

        def work(connection: apsw.Connection) -> bool:
            old = replay.created_at - KEPT // MICROSECOND
            connection.execute("DELETE FROM replay WHERE created_at < ? AND ended_at < ?", (old, old))
            if _count(connection, "replay WHERE state IN ('running', 'paused')", (), MOST_OPEN) >= MOST_OPEN:
                return False
            connection.execute(f"INSERT INTO replay ({REPLAY}) VALUES ({','.join('?' * len(row))})", row)
            return True

        return await self._writer.submit(work, lambda _: self.changed())

    @override
    async def get(self, replay_id: str) -> Replay | None:
        return await self._reader.read(lambda connection: _replay(connection, replay_id))

    @override
    async def page(self, *, after: str, limit: int, endpoint: str = "", state: str = "") -> Page[Replay]:
        wanted = {"endpoint": endpoint, "state": state}
        conditions = "".join(f" AND {name} = ?" for name, value in wanted.items() if value)
        values = (*moment_and_id(after), *(value for value in wanted.values() if value), limit + 1)

        def work(connection: apsw.Connection) -> Page[Replay]:
            rows = connection.execute(
                f"SELECT {REPLAY} FROM replay WHERE (created_at, id) < (?, ?){conditions} "
                "ORDER BY created_at DESC, id DESC LIMIT ?",
                values,
            )
            return replay_page([replay_of(row) for row in rows], limit)

        return await self._reader.read(work)

    @override
    async def running(self) -> list[Replay]:
        def work(connection: apsw.Connection) -> list[Replay]:
            rows = connection.execute(
                f"SELECT {REPLAY} FROM replay WHERE state = 'running' ORDER BY created_at, id"
            )
            return [replay_of(row) for row in rows]

        return await self._reader.read(work)

    @override
    async def turn(self, replay_id: str, to: ReplayState, now_us: int, reason: str) -> Replay | None:
        def work(connection: apsw.Connection) -> Replay | None:
            found = _replay(connection, replay_id)
            if found is None or found.state not in TURNS[to]:
                return None
            after = turned(found, to, now_us, reason)
            connection.execute(
                "UPDATE replay SET state = ?, updated_at = ?, ended_at = ?, reason = ? WHERE id = ?",
                (after.state, after.updated_at, after.ended_at, after.reason, replay_id),
            )
            return after

        return await self._writer.submit(work, lambda _: self.changed())

    @override
    async def end_orphans(self, now_us: int) -> int:
        orphans = "state IN ('running', 'paused') AND endpoint NOT IN (SELECT id FROM endpoint)"

        def work(connection: apsw.Connection) -> int:
            connection.execute(
                f"UPDATE replay SET state = ?, updated_at = ?, ended_at = ?, reason = ? WHERE {orphans}",
                (ReplayState.CANCELLED.value, now_us, now_us, WITHOUT_ENDPOINT),
            )
            return connection.changes()

        # Asked every few seconds, and nearly always for nothing: that is to cost no transaction.
        some = await self._reader.read(
            lambda connection: _count(connection, f"replay WHERE {orphans}", (), 1)
        )
        return await self._writer.submit(work, lambda _: self.changed()) if some else 0

    @override
    async def step(
        self, replay: Replay, step: Step, deliveries: Sequence[Delivery], now_us: int
    ) -> list[Delivery] | None:
        def work(connection: apsw.Connection) -> list[Delivery] | None:
            found = _replay(connection, replay.id)
            if found is None or found.state != ReplayState.RUNNING or found.place != replay.place:
                return None
            endpoint = connection.execute(
                "SELECT 1 FROM endpoint WHERE id = ? AND state = ?", (replay.endpoint, ENABLED)
            ).fetchone()
            if endpoint is None:
                return None
            standing = _standing(connection, replay.endpoint, [(d.partition, d.n) for d in deliveries])
            put = still_owed(replay, deliveries, standing)
            insert(
                connection,
                f"INSERT INTO waiting ({WAITING})",
                [(d.endpoint, d.due, d.partition, d.n, d.event_id, d.attempts, d.created_at) for d in put],
            )
            after = advanced(found, step, len(put), len(deliveries) - len(put), now_us)
            connection.execute(
                "UPDATE replay SET state = ?, updated_at = ?, ended_at = ?, place = ?, reached = ?, looked = ?, queued = ?, "
                "left_out = ? WHERE id = ?",
                (
                    after.state, after.updated_at, after.ended_at, after.place, after.reached, after.looked, after.queued,
                    after.left_out, replay.id,
                ),
            )  # fmt: skip
            return put

        return await self._writer.submit(work)

    @override
    async def room(self, endpoint: str, now_us: int, most: int) -> Room:
        def work(connection: apsw.Connection) -> Room:
            where = "waiting WHERE endpoint = ?"
            return Room(
                _count(connection, f"{where} AND due <= ?", (endpoint, now_us), most),
                _count(connection, where, (endpoint,), most),
            )

        return await self._reader.read(work)

    @override
    async def standing(self, endpoint: str, places: Collection[Place]) -> Mapping[Place, Standing]:
        return await self._reader.read(lambda connection: _standing(connection, endpoint, list(places)))

    @override
    async def fanned_out(self) -> list[int]:
        return await self._reader.read(lambda connection: read_positions(connection, CONSUMER))

    @override
    async def place_before(self, at_us: int) -> str:
        return str(await self._reader.read(partial(rank_at, until=at_us - 1)))


def _replay(connection: apsw.Connection, replay_id: str) -> Replay | None:
    row = connection.execute(f"SELECT {REPLAY} FROM replay WHERE id = ?", (replay_id,)).fetchone()
    return replay_of(row) if row else None


def _count(connection: apsw.Connection, where: str, values: tuple[Any, ...], most: int) -> int:
    row = connection.execute(
        f"SELECT count(*) FROM (SELECT 1 FROM {where} LIMIT {most:d})", values
    ).fetchone()
    return int(row[0]) if row else 0


def _standing(connection: apsw.Connection, endpoint: str, places: Sequence[Place]) -> dict[Place, Standing]:
    if not places:
        return {}
    keys = [(n, partition, endpoint) for partition, n in places]
    delivered = among(
        connection, "SELECT DISTINCT partition, n FROM attempt WHERE (n, partition, endpoint)", keys, "AND state = 'delivered'"
    )  # fmt: skip
    found = dict.fromkeys(delivered, Standing.DELIVERED)
    # The key begins with the endpoint: its rows are gone through, and nobody else's.
    marks = ",".join(["(?,?)"] * len(places))
    waiting = connection.execute(
        f"SELECT partition, n FROM waiting WHERE endpoint = ? AND (partition, n) IN (VALUES {marks})",
        (endpoint, *chain.from_iterable(places)),
    )
    return found | dict.fromkeys(waiting, Standing.WAITING)
