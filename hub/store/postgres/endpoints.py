"""Endpoints on PostgreSQL; every process that sends to them hears of a change."""

from collections.abc import Callable
from typing import final

from typing_extensions import override

from hub.bus.pages import Page
from hub.dispatch.outbox import Endpoint, Endpoints, endpoint_page, is_still
from hub.store.cursors import moment_and_id
from hub.store.postgres.database import Connection, Database
from hub.store.postgres.notices import ENDPOINTS, notify_inside
from hub.store.rows import ENDPOINT, endpoint_of, endpoint_row, without_secret

_CHUNK = 20_000  # deliveries cancelled in one transaction: well within what a statement is given


@final
class PostgresEndpoints(Endpoints):
    """`changed` hears of every change this process made, after its commit; the others get a notice with it."""

    def __init__(self, database: Database, *, changed: Callable[[], None] = lambda: None) -> None:
        self._database = database
        self.changed = changed

    @override
    async def create(self, endpoint: Endpoint) -> None:
        await self._write(
            f"INSERT INTO endpoint ({ENDPOINT}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
            endpoint.id,
            endpoint_row(endpoint),
        )

    @override
    async def get(self, endpoint_id: str) -> Endpoint | None:
        found = await self._select("WHERE id = $1", endpoint_id)
        return found[0] if found else None

    @override
    async def all(self) -> list[Endpoint]:
        return await self._select("ORDER BY created_at, id")

    @override
    async def page(self, *, after: str, limit: int) -> Page[Endpoint]:
        tail = "WHERE (created_at, id) > ($1, $2) ORDER BY created_at, id LIMIT $3"
        return endpoint_page(await self._select(tail, *moment_and_id(after, first=-1), limit + 1), limit)

    @override
    async def replace(self, before: Endpoint, after: Endpoint) -> bool:
        values = without_secret(endpoint_row(after))

        async def work(connection: Connection) -> bool:
            row = await connection.fetchrow(
                f"SELECT {ENDPOINT} FROM endpoint WHERE id = $1 FOR UPDATE", before.id
            )
            if row is None or not is_still(endpoint_of(*row), before):
                return False
            await connection.execute(
                "UPDATE endpoint SET url = $2, events = $3, state = $4, description = $5, created_at = $6, "
                "schedule = $7, reason = $8, options = $9 WHERE id = $1",
                *values,
            )
            await notify_inside(connection, ENDPOINTS, [before.id])
            return True

        done = await self._database.transact(work)
        self.changed()
        return done

    @override
    async def replace_secret(self, endpoint_id: str, before: str, after: str) -> bool:
        return await self._write(
            "UPDATE endpoint SET secret = $3 WHERE id = $1 AND secret = $2",
            endpoint_id,
            (endpoint_id, before, after),
        )

    @override
    async def delete(self, endpoint_id: str) -> bool:
        async def work(connection: Connection) -> tuple[bool, bool]:
            status = await connection.execute("DELETE FROM endpoint WHERE id = $1", endpoint_id)
            await notify_inside(connection, ENDPOINTS, [endpoint_id])
            return _changed(status), await _cancel(connection, endpoint_id)

        # It is gone with the first of what waits for it; nobody sends the rest, and pruning takes what a crash leaves.
        deleted, left = await self._database.transact(work)
        self.changed()
        while left:
            left = await self._database.transact(lambda connection: _cancel(connection, endpoint_id))
        return deleted

    async def _write(self, statement: str, endpoint_id: str, values: tuple[object, ...]) -> bool:
        async def work(connection: Connection) -> bool:
            status = await connection.execute(statement, *values)
            await notify_inside(connection, ENDPOINTS, [endpoint_id])
            return _changed(status)

        done = await self._database.transact(work)
        self.changed()
        return done

    async def _select(self, tail: str, *values: str | int) -> list[Endpoint]:
        rows = await self._database.read(
            lambda connection: connection.fetch(f"SELECT {ENDPOINT} FROM endpoint {tail}", *values)
        )
        return [endpoint_of(*row) for row in rows]


async def _cancel(connection: Connection, endpoint_id: str) -> bool:
    """Delete some of what waits for an endpoint; return whether there may be more."""
    status = await connection.execute(
        "DELETE FROM waiting WHERE ctid = ANY(ARRAY(SELECT ctid FROM waiting WHERE endpoint = $1 LIMIT $2))",
        endpoint_id,
        _CHUNK,
    )
    return rows_in(status) == _CHUNK


def rows_in(status: str) -> int:
    """Return how many rows a command says it touched: its answer reads like "DELETE 3"."""
    return int(status.rpartition(" ")[2])


def _changed(status: str) -> bool:
    return rows_in(status) > 0
