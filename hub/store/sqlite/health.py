"""How endpoints are, on SQLite."""

from typing import final

import apsw
from typing_extensions import override

from hub.dispatch.health import Health, Healths
from hub.dispatch.subscriptions import ENABLED
from hub.store.rows import HEALTH
from hub.store.sqlite.reader import Reader
from hub.store.sqlite.writer import Writer


@final
class SqliteHealths(Healths):
    def __init__(self, writer: Writer, reader: Reader) -> None:
        self._writer = writer
        self._reader = reader

    @override
    async def get(self, endpoint: str) -> Health | None:
        def work(connection: apsw.Connection) -> Health | None:
            row = connection.execute(
                f"SELECT {HEALTH} FROM endpoint_health WHERE endpoint = ?", (endpoint,)
            ).fetchone()
            return None if row is None else Health._make(row)

        return await self._reader.read(work)

    @override
    async def save(self, health: Health) -> None:
        def work(connection: apsw.Connection) -> None:
            connection.execute("DELETE FROM endpoint_health WHERE endpoint = ?", (health.endpoint,))
            if health.is_worth_keeping:
                connection.execute(
                    f"INSERT INTO endpoint_health ({HEALTH}) SELECT ?, ?, ?, ?, ?, ?, ?, ? "
                    "WHERE EXISTS (SELECT 1 FROM endpoint WHERE id = ? AND state = ?)",
                    (*health, health.endpoint, ENABLED),
                )

        await self._writer.submit(work)

    @override
    async def forget_disabled(self) -> None:
        def work(connection: apsw.Connection) -> None:
            connection.execute(
                "DELETE FROM endpoint_health WHERE endpoint NOT IN (SELECT id FROM endpoint WHERE state = ?)",
                (ENABLED,),
            )

        await self._writer.submit(work)
