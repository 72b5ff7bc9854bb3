"""API keys on PostgreSQL: hashes only. Every process that checks keys hears of a change with its commit."""

from collections.abc import Mapping
from typing import final

from typing_extensions import override

from hub.control.keys import ApiKey, KeyStore, NameTaken
from hub.store.postgres.database import Connection, Database
from hub.store.postgres.endpoints import rows_in
from hub.store.postgres.notices import KEYS, notify_inside
from hub.store.rows import API_KEY, key_of, key_row


@final
class PostgresKeys(KeyStore):
    def __init__(self, database: Database) -> None:
        self._database = database

    @override
    async def all(self) -> list[ApiKey]:
        rows = await self._database.read(
            lambda connection: connection.fetch(f"SELECT {API_KEY} FROM api_key ORDER BY created_at, id")
        )
        return [key_of(*row) for row in rows]

    @override
    async def add(self, key: ApiKey) -> None:
        """Raise NameTaken when another process gave the name away meanwhile."""
        row = key_row(key)

        async def work(connection: Connection) -> None:
            await connection.execute(
                f"INSERT INTO api_key ({API_KEY}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING",
                *row,
            )
            if await connection.fetchval("SELECT id FROM api_key WHERE name = $1", key.name) != key.id:
                raise NameTaken(key.name)
            await notify_inside(connection, KEYS, [key.id])

        await self._database.transact(work)

    @override
    async def remove(self, key_id: str) -> bool:
        async def work(connection: Connection) -> bool:
            status = await connection.execute("DELETE FROM api_key WHERE id = $1", key_id)
            await notify_inside(connection, KEYS, [key_id])
            return rows_in(status) > 0

        return await self._database.transact(work)

    @override
    async def used(self, moments: Mapping[str, int]) -> None:
        async def work(connection: Connection) -> None:
            # Several processes see the same key: the latest use is the one that counts.
            await connection.execute(
                "WITH seen AS (SELECT id, at FROM unnest($1::text[], $2::bigint[]) AS seen (id, at) "
                "JOIN api_key USING (id) ORDER BY id FOR UPDATE OF api_key) "
                "UPDATE api_key SET last_used = greatest(last_used, seen.at) FROM seen WHERE api_key.id = seen.id",
                list(moments),
                list(moments.values()),
            )

        if moments:
            await self._database.transact(work)
