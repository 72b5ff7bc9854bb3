"""Client tokens and stream tickets on SQLite: hashes only."""

from collections.abc import Sequence
from typing import final

import apsw
from typing_extensions import override

from hub.control.tickets import Ticket, TicketStore
from hub.control.tokens import Token, TokenStore
from hub.store.rows import CLIENT_TOKEN, token_of, token_row
from hub.store.sqlite.reader import Reader
from hub.store.sqlite.writer import Writer

_TIDIED = 1_000  # rows in one transaction


@final
class SqliteTokens(TokenStore):
    def __init__(self, writer: Writer, reader: Reader) -> None:
        self._writer = writer
        self._reader = reader

    @override
    async def add(self, token: Token, *, most: int) -> bool:
        row = token_row(token)

        def work(connection: apsw.Connection) -> bool:
            found = connection.execute(
                "SELECT count(*) FROM client_token WHERE client = ? AND expires_at > ?",
                (token.client, token.created_at),
            ).fetchone()
            if found is not None and found[0] >= most:
                return False
            connection.execute(f"INSERT INTO client_token ({CLIENT_TOKEN}) VALUES (?,?,?,?,?,?,?,?)", row)
            return True

        return await self._writer.submit(work)

    @override
    async def find(self, digest: bytes) -> Token | None:
        return await self._one("hash = ?", digest)

    @override
    async def get(self, token_id: str) -> Token | None:
        return await self._one("id = ?", token_id)

    @override
    async def of(self, client: str, *, after: str, limit: int) -> Sequence[Token]:
        def work(connection: apsw.Connection) -> Sequence[Token]:
            rows = connection.execute(
                f"SELECT {CLIENT_TOKEN} FROM client_token WHERE id > ? AND (? = '' OR client = ?) ORDER BY id LIMIT ?",
                (after, client, client, limit),
            )
            return [token_of(*row) for row in rows]

        return await self._reader.read(work)

    @override
    async def remove(self, token_id: str) -> bool:
        return await self._delete("id = ?", token_id) > 0

    @override
    async def remove_of(self, client: str) -> int:
        return await self._delete("client = ?", client)

    @override
    async def remove_expired(self, now_us: int) -> int:
        total = 0
        while gone := await self._delete(
            f"id IN (SELECT id FROM client_token WHERE expires_at <= ? LIMIT {_TIDIED})", now_us
        ):
            total += gone
        return total

    async def _one(self, where: str, value: str | bytes) -> Token | None:
        def work(connection: apsw.Connection) -> Token | None:
            row = connection.execute(
                f"SELECT {CLIENT_TOKEN} FROM client_token WHERE {where}", (value,)
            ).fetchone()
            return token_of(*row) if row else None

        return await self._reader.read(work)

    async def _delete(self, where: str, value: str | int) -> int:
        def work(connection: apsw.Connection) -> int:
            connection.execute(f"DELETE FROM client_token WHERE {where}", (value,))
            return connection.changes()

        return await self._writer.submit(work)


@final
class SqliteTickets(TicketStore):
    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    @override
    async def add(self, ticket: Ticket, *, now_us: int, most: int) -> bool:
        def work(connection: apsw.Connection) -> bool:
            connection.execute("DELETE FROM stream_ticket WHERE expires_at <= ?", (now_us,))
            found = connection.execute(
                "SELECT count(*) FROM stream_ticket WHERE holder = ?", (ticket.holder,)
            ).fetchone()
            if found is not None and found[0] >= most:
                return False
            connection.execute("INSERT INTO stream_ticket VALUES (?, ?, ?)", ticket)
            return True

        return await self._writer.submit(work)

    @override
    async def take(self, digest: bytes) -> Ticket | None:
        def work(connection: apsw.Connection) -> Ticket | None:
            row = connection.execute(
                "DELETE FROM stream_ticket WHERE hash = ? RETURNING hash, holder, expires_at", (digest,)
            ).fetchone()
            return Ticket._make(row) if row else None

        return await self._writer.submit(work)
