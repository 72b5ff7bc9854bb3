"""Client tokens and stream tickets on PostgreSQL: hashes only. Every process hears of a token that is revoked."""

from collections.abc import Sequence
from typing import final

from typing_extensions import override

from hub.control.tickets import Ticket, TicketStore
from hub.control.tokens import Token, TokenStore
from hub.store.postgres.database import Connection, Database
from hub.store.postgres.endpoints import rows_in
from hub.store.postgres.notices import KEYS, notify_inside
from hub.store.rows import CLIENT_TOKEN, token_of, token_row

_TIDIED = 1_000  # rows in one transaction


@final
class PostgresTokens(TokenStore):
    def __init__(self, database: Database) -> None:
        self._database = database

    @override
    async def add(self, token: Token, *, most: int) -> bool:
        row = token_row(token)

        async def work(connection: Connection) -> bool:
            # One at a time for each client: two at once would both find room for one.
            await connection.execute(
                "SELECT pg_advisory_xact_lock(hashtextextended('client_token ' || $1, 0))", token.client
            )
            found = await connection.fetchval(
                "SELECT count(*) FROM client_token WHERE client = $1 AND expires_at > $2",
                token.client,
                token.created_at,
            )
            if found >= most:
                return False
            await connection.execute(
                f"INSERT INTO client_token ({CLIENT_TOKEN}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING",
                *row,
            )
            return True

        return await self._database.transact(work)

    @override
    async def find(self, digest: bytes) -> Token | None:
        return await self._one("hash = $1", digest)

    @override
    async def get(self, token_id: str) -> Token | None:
        return await self._one("id = $1", token_id)

    @override
    async def of(self, client: str, *, after: str, limit: int) -> Sequence[Token]:
        rows = await self._database.fetch(
            f"SELECT {CLIENT_TOKEN} FROM client_token WHERE id > $1 AND ($2 = '' OR client = $2) ORDER BY id LIMIT $3",
            after,
            client,
            limit,
        )
        return [token_of(*row) for row in rows]

    @override
    async def remove(self, token_id: str) -> bool:
        return await self._revoke("id = $1", token_id) > 0

    @override
    async def remove_of(self, client: str) -> int:
        return await self._revoke("client = $1", client)

    @override
    async def remove_expired(self, now_us: int) -> int:
        async def work(connection: Connection) -> int:
            return rows_in(
                await connection.execute(
                    "DELETE FROM client_token WHERE id = ANY(ARRAY("
                    "SELECT id FROM client_token WHERE expires_at <= $1 LIMIT $2))",
                    now_us,
                    _TIDIED,
                )
            )

        total = 0
        while gone := await self._database.transact(work):
            total += gone
        return total

    async def _one(self, where: str, value: str | bytes) -> Token | None:
        rows = await self._database.fetch(f"SELECT {CLIENT_TOKEN} FROM client_token WHERE {where}", value)
        return token_of(*rows[0]) if rows else None

    async def _revoke(self, where: str, value: str) -> int:
        async def work(connection: Connection) -> int:
            status = await connection.execute(f"DELETE FROM client_token WHERE {where}", value)
            await notify_inside(connection, KEYS, [value])
            return rows_in(status)

        return await self._database.transact(work)


@final
class PostgresTickets(TicketStore):
    def __init__(self, database: Database) -> None:
        self._database = database

    @override
    async def add(self, ticket: Ticket, *, now_us: int, most: int) -> bool:
        async def work(connection: Connection) -> bool:
            await connection.execute(
                "SELECT pg_advisory_xact_lock(hashtextextended('stream_ticket ' || $1, 0))", ticket.holder
            )
            await connection.execute(
                "DELETE FROM stream_ticket WHERE holder = $1 AND expires_at <= $2", ticket.holder, now_us
            )
            # Those of others that somebody else deletes at this moment are left to him.
            await connection.execute(
                "DELETE FROM stream_ticket WHERE hash = ANY(ARRAY("
                "SELECT hash FROM stream_ticket WHERE expires_at <= $1 LIMIT 100 FOR UPDATE SKIP LOCKED))",
                now_us,
            )
            found = await connection.fetchval(
                "SELECT count(*) FROM stream_ticket WHERE holder = $1", ticket.holder
            )
            if found >= most:
                return False
            await connection.execute("INSERT INTO stream_ticket VALUES ($1, $2, $3)", *ticket)
            return True

        return await self._database.transact(work)

    @override
    async def take(self, digest: bytes) -> Ticket | None:
        async def work(connection: Connection) -> Ticket | None:
            row = await connection.fetchrow(
                "DELETE FROM stream_ticket WHERE hash = $1 RETURNING hash, holder, expires_at", digest
            )
            return Ticket(*row) if row else None

        return await self._database.transact(work)
