"""The devices of clients, on SQLite."""

from collections.abc import Sequence
from typing import final

import apsw
from typing_extensions import override

from hub.dispatch.devices import MOST_DEVICES, Device, Devices
from hub.store.sqlite.reader import Reader
from hub.store.sqlite.writer import Writer

_COLUMNS = "id, client, token, platform, added_at, seen_at"


@final
class SqliteDevices(Devices):
    def __init__(self, writer: Writer, reader: Reader) -> None:
        self._writer = writer
        self._reader = reader

    @override
    async def put(self, device: Device, *, most: int = MOST_DEVICES) -> bool:
        def work(connection: apsw.Connection) -> bool:
            row = connection.execute(
                "SELECT client, added_at FROM device WHERE id = ?", (device.id,)
            ).fetchone()
            had = row is not None and row[0] == device.client
            kept = device._replace(added_at=int(row[1])) if row is not None and had else device
            connection.execute(f"INSERT OR REPLACE INTO device ({_COLUMNS}) VALUES (?,?,?,?,?,?)", kept)
            connection.execute(
                "DELETE FROM device WHERE id IN (SELECT id FROM device WHERE client = ? AND id <> ? "
                "ORDER BY seen_at DESC, id DESC LIMIT -1 OFFSET ?)",
                (device.client, device.id, most - 1),
            )
            return not had

        return await self._writer.submit(work)

    @override
    async def remove(self, client: str, device_id: str) -> bool:
        return await self._delete("id = ? AND client = ?", (device_id, client))

    @override
    async def drop(self, device_id: str, token_seen_at: int) -> bool:
        return await self._delete("id = ? AND seen_at <= ?", (device_id, token_seen_at))

    @override
    async def of_client(self, client: str) -> Sequence[Device]:
        return await self._reader.read(lambda connection: _of(connection, client))

    @override
    async def reached_by(self, client: str | None, account: str) -> Sequence[Device]:
        def work(connection: apsw.Connection) -> Sequence[Device]:
            whose = client
            if whose is None:
                row = connection.execute(
                    "SELECT client FROM client_account WHERE account = ?", (account,)
                ).fetchone()
                whose = str(row[0]) if row else None
            return _of(connection, whose) if whose is not None else []

        return await self._reader.read(work)

    async def _delete(self, where: str, values: tuple[object, ...]) -> bool:
        def work(connection: apsw.Connection) -> bool:
            connection.execute(f"DELETE FROM device WHERE {where}", values)
            return connection.changes() > 0

        return await self._writer.submit(work)


def _of(connection: apsw.Connection, client: str) -> Sequence[Device]:
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM device WHERE client = ? ORDER BY seen_at DESC, id DESC", (client,)
    )
    return [Device._make(row) for row in rows]
