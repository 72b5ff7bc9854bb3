"""The directory of clients on SQLite."""

from collections.abc import Sequence
from typing import final

import apsw
from typing_extensions import override

from hub.events.facts import Fact
from hub.ingest.directory import ClientStore, PutOutcome, StoredClient
from hub.store.sqlite.append import Written
from hub.store.sqlite.log import SqliteLog
from hub.store.sqlite.reader import Reader
from hub.store.sqlite.writer import Writer

_COLUMNS = "id, version, body, created_at, updated_at"


@final
class SqliteClients(ClientStore):
    def __init__(self, writer: Writer, reader: Reader, log: SqliteLog) -> None:
        self._writer = writer
        self._reader = reader
        self._log = log

    @override
    async def get(self, client_id: str) -> StoredClient | None:
        def work(connection: apsw.Connection) -> StoredClient | None:
            row = connection.execute(f"SELECT {_COLUMNS} FROM client WHERE id = ?", (client_id,)).fetchone()
            return StoredClient._make(row) if row else None

        return await self._reader.read(work)

    @override
    async def list(self, *, after: str, limit: int) -> Sequence[StoredClient]:
        def work(connection: apsw.Connection) -> Sequence[StoredClient]:
            rows = connection.execute(
                f"SELECT {_COLUMNS} FROM client WHERE id > ? ORDER BY id LIMIT ?", (after, limit)
            )
            return [StoredClient._make(row) for row in rows]

        return await self._reader.read(work)

    @override
    async def put(self, client: StoredClient, accounts: Sequence[str], facts: Sequence[Fact]) -> PutOutcome:
        def work(connection: apsw.Connection) -> tuple[PutOutcome, Written | None]:
            row = connection.execute("SELECT version FROM client WHERE id = ?", (client.id,)).fetchone()
            if (int(row[0]) if row else 0) != client.version - 1:
                return PutOutcome("stale"), None
            for account in accounts:
                owner = connection.execute(
                    "SELECT client FROM client_account WHERE account = ?", (account,)
                ).fetchone()
                if owner is not None and owner[0] != client.id:
                    return PutOutcome("taken", account, str(owner[0])), None
            connection.execute(f"INSERT OR REPLACE INTO client ({_COLUMNS}) VALUES (?,?,?,?,?)", client)
            connection.execute("DELETE FROM client_account WHERE client = ?", (client.id,))
            for account in accounts:
                connection.execute("INSERT INTO client_account VALUES (?, ?)", (account, client.id))
            return PutOutcome("stored"), self._log.write(connection, [(facts, ())]) if facts else None

        def committed(result: tuple[PutOutcome, Written | None]) -> None:
            if result[1] is not None:
                self._log.published(result[1])

        return (await self._writer.submit(work, committed))[0]
