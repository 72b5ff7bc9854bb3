"""API keys on SQLite: hashes only."""

import json
from collections.abc import Mapping
from typing import final

import apsw
from typing_extensions import override

from hub.control.keys import ApiKey, KeyStore, Scope
from hub.store.sqlite.reader import Reader
from hub.store.sqlite.writer import Writer

_COLUMNS = "id, hash, name, scopes, servers, created_at, expires_at, last_used"


@final
class SqliteKeys(KeyStore):
    def __init__(self, writer: Writer, reader: Reader) -> None:
        self._writer = writer
        self._reader = reader

    @override
    async def all(self) -> list[ApiKey]:
        def work(connection: apsw.Connection) -> list[ApiKey]:
            rows = connection.execute(f"SELECT {_COLUMNS} FROM api_key ORDER BY created_at, id")
            return [
                ApiKey._make(
                    (*row[:3], tuple(map(Scope, json.loads(row[3]))), tuple(json.loads(row[4])), *row[5:])
                )
                for row in rows
            ]

        return await self._reader.read(work)

    @override
    async def add(self, key: ApiKey) -> None:
        row = (*key[:3], json.dumps(key.scopes), json.dumps(key.servers), *key[5:])

        def work(connection: apsw.Connection) -> None:
            connection.execute(f"INSERT INTO api_key ({_COLUMNS}) VALUES (?,?,?,?,?,?,?,?)", row)

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
