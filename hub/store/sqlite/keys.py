"""API keys on SQLite: hashes only."""

from collections.abc import Mapping
from typing import final

import apsw
from typing_extensions import override

from hub.control.keys import ApiKey, KeyStore
from hub.store.rows import API_KEY, key_of, key_row
from hub.store.sqlite.reader import Reader
from hub.store.sqlite.writer import Writer


@final
class SqliteKeys(KeyStore):
    def __init__(self, writer: Writer, reader: Reader) -> None:
        self._writer = writer
        self._reader = reader

    @override
    async def all(self) -> list[ApiKey]:
        def work(connection: apsw.Connection) -> list[ApiKey]:
            rows = connection.execute(f"SELECT {API_KEY} FROM api_key ORDER BY created_at, id")
            return [key_of(*row) for row in rows]

        return await self._reader.read(work)

    @override
    async def add(self, key: ApiKey) -> None:
        row = key_row(key)

        def work(connection: apsw.Connection) -> None:
            connection.execute(f"INSERT INTO api_key ({API_KEY}) VALUES (?,?,?,?,?,?,?,?,?)", row)

        await self._writer.submit(work)

    @override
    async def remove(self, key_id: str) -> bool:
        def work(connection: apsw.Connection) -> bool:
            connection.execute("DELETE FROM api_key WHERE id = ?", (key_id,))
            return connection.changes() > 0

        return await self._writer.submit(work)

    @override
    async def used(self, moments: Mapping[str, int]) -> None:
        def work(connection: apsw.Connection) -> None:
            connection.executemany(
                "UPDATE api_key SET last_used = ? WHERE id = ?", [(at, key) for key, at in moments.items()]
            )

        await self._writer.submit(work)
