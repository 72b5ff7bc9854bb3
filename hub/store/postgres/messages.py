"""What was written to clients, on PostgreSQL."""

from typing import final

from typing_extensions import override

from hub.bus.pages import Page
from hub.dispatch.contacts import Asked, message_of
from hub.dispatch.messages import LONGEST_REF, Listed, Message, Messages, Report, after_report
from hub.store.cursors import moment_and_id
from hub.store.postgres.database import Connection, Database
from hub.store.rows import listed_page

MESSAGE = ", ".join(Message._fields)
_JOINED = ", ".join(f"m.{name}" for name in Message._fields)


@final
class PostgresMessages(Messages):
    def __init__(self, database: Database) -> None:
        self._database = database

    @override
    async def get(self, message_id: str) -> Message | None:
        return await self._database.read(lambda connection: _message(connection, message_id))

    @override
    async def numbered(self, message_id: str, ref: str) -> None:
        await self._database.transact(
            lambda connection: connection.execute(
                "UPDATE message SET ref = $1 WHERE id = $2 AND ref = ''", ref[:LONGEST_REF], message_id
            )
        )

    @override
    async def reported(self, message_id: str, report: Report) -> Message | None:
        async def work(connection: Connection) -> Message | None:
            known = await _message(connection, message_id, "FOR UPDATE")
            told = after_report(known, report) if known is not None else None
            if told is not None:
                await connection.execute(
                    "UPDATE message SET ref = $1, status = $2, error = $3, status_at = $4 WHERE id = $5",
                    told.ref,
                    told.status,
                    told.error,
                    told.status_at,
                    told.id,
                )
            return told

        return await self._database.transact(work)

    @override
    async def of_client(self, client: str, *, after: str, limit: int) -> Page[Listed]:
        place = moment_and_id(after)
        rows = await self._database.read(
            lambda connection: connection.fetch(
                f"SELECT {_JOINED}, i.state, i.reason, i.attempts FROM message AS m LEFT JOIN intent AS i ON i.key = m.intent "
                "WHERE m.client = $1 AND (m.at, m.id) < ($2, $3) ORDER BY m.at DESC, m.id DESC LIMIT $4",
                client,
                *place,
                limit + 1,
            )
        )
        return listed_page([tuple(row) for row in rows], limit)


async def write_message(connection: Connection, asked: Asked, client: str | None) -> None:
    """Write down, inside somebody else's transaction, that a message was meant for a client; once."""
    version = await connection.fetchval("SELECT version FROM run WHERE id = $1", asked.run)
    marks = ", ".join(f"${n}" for n in range(1, len(Message._fields) + 1))
    await connection.execute(
        f"INSERT INTO message ({MESSAGE}) VALUES ({marks}) ON CONFLICT (id) DO NOTHING",
        *message_of(asked, client, version or ""),
    )


async def _message(connection: Connection, message_id: str, how: str = "") -> Message | None:
    row = await connection.fetchrow(f"SELECT {MESSAGE} FROM message WHERE id = $1 {how}", message_id)
    return Message(*row) if row else None
