"""Whom nothing is sent to, and what went to whom, on SQLite."""

from collections.abc import Sequence
from typing import final

import apsw
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
from hub.store.sqlite.messages import write_message
from hub.store.sqlite.reader import Reader
from hub.store.sqlite.writer import Writer

_COLUMNS = "id, kind, value, channel, reason, added_by, at"


@final
class SqliteContacts(Contacts, Suppressions):
    def __init__(self, writer: Writer, reader: Reader) -> None:
        self._writer = writer
        self._reader = reader

    @override
    async def admit(self, asked: Asked) -> str | None:
        def work(connection: apsw.Connection) -> str | None:
            known = _known(connection, asked)
            write_message(connection, asked, known.client)
            refused = refusal(asked, known)
            if refused is not None or asked.most is None:
                return refused
            return _count(connection, asked, counted_for(asked, known.client))

        return await self._writer.submit(work)

    @override
    async def add(self, entry: Suppression) -> bool:
        def work(connection: apsw.Connection) -> bool:
            there = connection.execute("SELECT 1 FROM suppression WHERE id = ?", (entry.id,)).fetchone()
            connection.execute(
                f"INSERT OR REPLACE INTO suppression ({_COLUMNS}) VALUES (?,?,?,?,?,?,?)", entry
            )
            return there is None

        return await self._writer.submit(work)

    @override
    async def remove(self, entry_id: str) -> bool:
        def work(connection: apsw.Connection) -> bool:
            connection.execute("DELETE FROM suppression WHERE id = ?", (entry_id,))
            return connection.changes() > 0

        return await self._writer.submit(work)

    @override
    async def list(self, *, after: str, limit: int) -> Sequence[Suppression]:
        def work(connection: apsw.Connection) -> Sequence[Suppression]:
            rows = connection.execute(
                f"SELECT {_COLUMNS} FROM suppression WHERE id > ? ORDER BY id LIMIT ?", (after, limit)
            )
            return [Suppression._make(row) for row in rows]

        return await self._reader.read(work)


def _known(connection: apsw.Connection, asked: Asked) -> Known:
    client = asked.client
    if client is None and asked.account:
        row = connection.execute(
            "SELECT client FROM client_account WHERE account = ?", (asked.account,)
        ).fetchone()
        client = str(row[0]) if row else None
    record = connection.execute("SELECT body FROM client WHERE id = ?", (client,)).fetchone()
    suppressed = connection.execute(
        "SELECT reason FROM suppression WHERE ((kind = 'address' AND value = ?) OR (kind = 'client' AND value = ?)) "
        "AND channel IN (?, ?, ?, ?) ORDER BY id LIMIT 1",
        (asked.address, client, *ways(asked.channel, asked.category)),
    ).fetchone()
    return Known(client, record[0] if record else None, str(suppressed[0]) if suppressed else None)


def _count(connection: apsw.Connection, asked: Asked, name: str) -> str | None:
    if connection.execute("SELECT 1 FROM contact WHERE intent = ?", (asked.intent,)).fetchone():
        return None
    row = connection.execute(
        "SELECT count(*) FROM contact AS c LEFT JOIN intent AS i ON i.key = c.intent "
        "WHERE c.client = ? AND c.category = ? AND c.at > ? AND coalesce(i.state, '') NOT IN (?, ?, ?)",
        (name, asked.category, asked.since, *NOT_SENT),
    ).fetchone()
    refused = too_many(asked, int(row[0]) if row else 0)
    if refused is None:
        connection.execute(
            "INSERT INTO contact (intent, client, category, at) VALUES (?,?,?,?)",
            (asked.intent, name, asked.category, asked.at),
        )
    return refused
