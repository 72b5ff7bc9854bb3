"""What was written to clients, on SQLite."""

from typing import final

import apsw
from typing_extensions import override

from hub.bus.pages import Page
from hub.dispatch.contacts import Asked, message_of
from hub.dispatch.messages import LONGEST_REF, Listed, Message, Messages, Report, after_report
from hub.store.cursors import moment_and_id
from hub.store.rows import listed_page
from hub.store.sqlite.reader import Reader
from hub.store.sqlite.writer import Writer

MESSAGE = ", ".join(Message._fields)
_JOINED = ", ".join(f"m.{name}" for name in Message._fields)


@final
class SqliteMessages(Messages):
    def __init__(self, writer: Writer, reader: Reader) -> None:
        self._writer = writer
        self._reader = reader

    @override
    async def get(self, message_id: str) -> Message | None:
        return await self._reader.read(lambda connection: _message(connection, message_id))

    @override
    async def numbered(self, message_id: str, ref: str) -> None:
        await self._writer.submit(
            lambda connection: connection.execute(
                "UPDATE message SET ref = ? WHERE id = ? AND ref = ''", (ref[:LONGEST_REF], message_id)
            )
        )

    @override
    async def reported(self, message_id: str, report: Report) -> Message | None:
        def work(connection: apsw.Connection) -> Message | None:
            known = _message(connection, message_id)
            told = after_report(known, report) if known is not None else None
            if told is not None:
                connection.execute(
                    "UPDATE message SET ref = ?, status = ?, error = ?, status_at = ? WHERE id = ?",
                    (told.ref, told.status, told.error, told.status_at, told.id),
                )
            return told

        return await self._writer.submit(work)

    @override
    async def of_client(self, client: str, *, after: str, limit: int) -> Page[Listed]:
        place = moment_and_id(after)

        def work(connection: apsw.Connection) -> Page[Listed]:
            rows = connection.execute(
                f"SELECT {_JOINED}, i.state, i.reason, i.attempts FROM message AS m LEFT JOIN intent AS i ON i.key = m.intent "
                "WHERE m.client = ? AND (m.at, m.id) < (?, ?) ORDER BY m.at DESC, m.id DESC LIMIT ?",
                (client, *place, limit + 1),
            ).fetchall()
            return listed_page(rows, limit)

        return await self._reader.read(work)


def write_message(connection: apsw.Connection, asked: Asked, client: str | None) -> None:
    """Write down, inside somebody else's transaction, that a message was meant for a client; once."""
    row = connection.execute("SELECT version FROM run WHERE id = ?", (asked.run,)).fetchone()
    marks = ",".join("?" * len(Message._fields))
    connection.execute(
        f"INSERT OR IGNORE INTO message ({MESSAGE}) VALUES ({marks})",
        message_of(asked, client, str(row[0]) if row else ""),
    )


def _message(connection: apsw.Connection, message_id: str) -> Message | None:
    row = connection.execute(f"SELECT {MESSAGE} FROM message WHERE id = ?", (message_id,)).fetchone()
    return Message._make(row) if row else None
