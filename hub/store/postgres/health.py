"""How endpoints are, on PostgreSQL; whoever sends to an endpoint writes it."""

from collections.abc import Callable, Collection, Sequence
from typing import final

from typing_extensions import override

from hub.bus.lease import Lease
from hub.dispatch.health import Health, Healths
from hub.dispatch.subscriptions import ENABLED
from hub.store.postgres.database import Connection, Database
from hub.store.rows import HEALTH

Fence = Callable[[Collection[str]], Sequence[Lease]]


@final
class PostgresHealths(Healths):
    def __init__(self, database: Database, fence: Fence) -> None:
        self._database = database
        self._fence = fence

    @override
    async def get(self, endpoint: str) -> Health | None:
        rows = await self._database.fetch(
            f"SELECT {HEALTH} FROM endpoint_health WHERE endpoint = $1", endpoint
        )
        return Health(*rows[0]) if rows else None

    @override
    async def save(self, health: Health) -> None:
        async def work(connection: Connection) -> None:
            await connection.execute("DELETE FROM endpoint_health WHERE endpoint = $1", health.endpoint)
            if health.is_worth_keeping:
                await connection.execute(
                    f"INSERT INTO endpoint_health ({HEALTH}) SELECT $1::text, $2::bigint, $3::bigint, $4::bigint, "
                    "$5::text, $6::integer, $7::bigint, $8::bigint "
                    "WHERE EXISTS (SELECT 1 FROM endpoint WHERE id = $1 AND state = $9)",
                    *health,
                    ENABLED,
                )

        await self._database.transact(work, self._fence([health.endpoint]))

    @override
    async def forget_disabled(self) -> None:
        async def work(connection: Connection) -> None:
            await connection.execute(
                "DELETE FROM endpoint_health WHERE endpoint NOT IN (SELECT id FROM endpoint WHERE state = $1)",
                ENABLED,
            )

        await self._database.transact(work)
