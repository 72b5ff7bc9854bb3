"""Whom nothing is sent to, and what went to whom, on PostgreSQL: several processes send to one client, one at a time."""

from collections.abc import Sequence
from typing import final

from typing_extensions import override

from hub.dispatch.contacts import (
    NOT_SENT,
    Asked,
    Contacts,
    Known,
    Suppression,
    Suppressions,
    counted_for,
    refusal,
    too_many,
    ways,
)
from hub.store.postgres.database import Connection, Database
from hub.store.postgres.endpoints import rows_in
from hub.store.postgres.messages import write_message

_COLUMNS = "id, kind, value, channel, reason, added_by, at"


@final
class PostgresContacts(Contacts, Suppressions):
    def __init__(self, database: Database) -> None:
        self._database = database

    @override
    async def admit(self, asked: Asked) -> str | None:
        async def work(connection: Connection) -> str | None:
            known = await _known(connection, asked)
            await write_message(connection, asked, known.client)
            refused = refusal(asked, known)
            if refused is not None or asked.most is None:
                return refused
            return await _count(connection, asked, counted_for(asked, known.client))

        return await self._database.transact(work)

    @override
    async def add(self, entry: Suppression) -> bool:
        async def work(connection: Connection) -> bool:
            there = await connection.fetchval("SELECT true FROM suppression WHERE id = $1", entry.id)
            await connection.execute(
                f"INSERT INTO suppression ({_COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7) "
                "ON CONFLICT (id) DO UPDATE SET reason = excluded.reason, added_by = excluded.added_by, at = excluded.at",
                *entry,
            )
            return there is None

        return await self._database.transact(work)

    @override
    async def remove(self, entry_id: str) -> bool:
        return await self._database.transact(
            lambda connection: _removed(connection, entry_id),
        )

    @override
    async def list(self, *, after: str, limit: int) -> Sequence[Suppression]:
        rows = await self._database.read(
            lambda connection: connection.fetch(
                f"SELECT {_COLUMNS} FROM suppression WHERE id > $1 ORDER BY id LIMIT $2", after, limit
            )
        )
        return [Suppression(*row) for row in rows]


async def _removed(connection: Connection, entry_id: str) -> bool:
    return rows_in(await connection.execute("DELETE FROM suppression WHERE id = $1", entry_id)) > 0


async def _known(connection: Connection, asked: Asked) -> Known:
    client = asked.client
    if client is None and asked.account:
        client = await connection.fetchval(
            "SELECT client FROM client_account WHERE account = $1", asked.account
        )
    record = await connection.fetchval("SELECT body FROM client WHERE id = $1", client)
    suppressed = await connection.fetchval(
        "SELECT reason FROM suppression WHERE ((kind = 'address' AND value = $1) OR (kind = 'client' AND value = $2)) "
        "AND channel = ANY($3::text[]) ORDER BY id LIMIT 1",
        asked.address,
        client,
        list(ways(asked.channel, asked.category)),
    )
    return Known(client, record, suppressed)


async def _count(connection: Connection, asked: Asked, name: str) -> str | None:
    # Whoever asks about the same client waits here, and then sees what this transaction wrote.
    await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", f"contact\x1f{name}")
    if await connection.fetchval("SELECT true FROM contact WHERE intent = $1", asked.intent):
        return None
    had = await connection.fetchval(
        "SELECT count(*) FROM contact AS c LEFT JOIN intent AS i ON i.key = c.intent "
        "WHERE c.client = $1 AND c.category = $2 AND c.at > $3 AND coalesce(i.state, '') <> ALL($4::text[])",
        name,
        asked.category,
        asked.since,
        list(NOT_SENT),
    )
    refused = too_many(asked, had)
    if refused is None:
        await connection.execute(
            "INSERT INTO contact (intent, client, category, at) VALUES ($1, $2, $3, $4)",
            asked.intent,
            name,
            asked.category,
            asked.at,
        )
    return refused
