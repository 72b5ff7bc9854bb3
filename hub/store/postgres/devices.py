"""The devices of clients, on PostgreSQL."""

from collections.abc import Sequence
from typing import final

from typing_extensions import override

from hub.dispatch.devices import MOST_DEVICES, Device, Devices
from hub.store.postgres.database import Connection, Database
from hub.store.postgres.endpoints import rows_in

_COLUMNS = "id, client, token, platform, added_at, seen_at"


@final
class PostgresDevices(Devices):
    def __init__(self, database: Database) -> None:
        self._database = database

    @override
    async def put(self, device: Device, *, most: int = MOST_DEVICES) -> bool:
        async def work(connection: Connection) -> bool:
            # Two that are told of at once must not both find room.
            await connection.execute(
                "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", f"device\x1f{device.client}"
            )
            row = await connection.fetchrow("SELECT client, added_at FROM device WHERE id = $1", device.id)
            had = row is not None and row[0] == device.client
            kept = device._replace(added_at=row[1]) if row is not None and had else device
            await connection.execute(
                f"INSERT INTO device ({_COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (id) DO UPDATE SET "
                "client = excluded.client, platform = excluded.platform, added_at = excluded.added_at, "
                "seen_at = excluded.seen_at",
                *kept,
            )
            await connection.execute(
                "DELETE FROM device WHERE id IN (SELECT id FROM device WHERE client = $1 AND id <> $2 "
                "ORDER BY seen_at DESC, id DESC OFFSET $3)",
                device.client,
                device.id,
                most - 1,
            )
            return not had

        return await self._database.transact(work)

    @override
    async def remove(self, client: str, device_id: str) -> bool:
        return await self._delete("id = $1 AND client = $2", device_id, client)

    @override
    async def drop(self, device_id: str, token_seen_at: int) -> bool:
        return await self._delete("id = $1 AND seen_at <= $2", device_id, token_seen_at)

    @override
    async def of_client(self, client: str) -> Sequence[Device]:
        return await self._database.read(lambda connection: _of(connection, client))

    @override
    async def reached_by(self, client: str | None, account: str) -> Sequence[Device]:
        async def work(connection: Connection) -> Sequence[Device]:
            whose = client
            if whose is None:
                whose = await connection.fetchval(
                    "SELECT client FROM client_account WHERE account = $1", account
                )
            return await _of(connection, whose) if whose is not None else []

        return await self._database.read(work)

    async def _delete(self, where: str, *values: object) -> bool:
        done = await self._database.transact(
            lambda connection: connection.execute(f"DELETE FROM device WHERE {where}", *values)
        )
        return rows_in(done) > 0


async def _of(connection: Connection, client: str) -> Sequence[Device]:
    rows = await connection.fetch(
        f"SELECT {_COLUMNS} FROM device WHERE client = $1 ORDER BY seen_at DESC, id DESC", client
    )
    return [Device(*row) for row in rows]
