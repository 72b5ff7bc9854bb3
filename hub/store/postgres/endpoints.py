"""Endpoints on PostgreSQL; every process that sends to them hears of a change."""

from collections.abc import Callable
from typing import final

from typing_extensions import override

from hub.dispatch.outbox import Endpoint, Endpoints
from hub.store.postgres.database import Connection, Database
from hub.store.postgres.notices import ENDPOINTS, notify_inside
from hub.store.rows import ENDPOINT, endpoint_of, endpoint_row

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
            f"INSERT INTO endpoint ({ENDPOINT}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)", endpoint
        )

    @override
    async def get(self, endpoint_id: str) -> Endpoint | None:
        found = await self._select("WHERE id = $1", endpoint_id)
        return found[0] if found else None

    @override
    async def all(self) -> list[Endpoint]:
        return await self._select("ORDER BY created_at, id")

    @override
    async def update(self, endpoint: Endpoint) -> bool:
        return await self._write(
            "UPDATE endpoint SET url = $2, events = $3, secret = $4, state = $5, description = $6, created_at = $7, "
            "schedule = $8, reason = $9, options = $10 WHERE id = $1",
            endpoint,
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

    async def _write(self, statement: str, endpoint: Endpoint) -> bool:
        async def work(connection: Connection) -> bool:
            status = await connection.execute(statement, *endpoint_row(endpoint))
            await notify_inside(connection, ENDPOINTS, [endpoint.id])
            return _changed(status)

        done = await self._database.transact(work)
        self.changed()
        return done

    async def _select(self, tail: str, *values: str) -> list[Endpoint]:
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
