"""Switches, and what else is a handful of rows, on PostgreSQL: marks of a source; whoever changes them has them alone until it commits."""

from typing import Final, final

from typing_extensions import override

from hub.bus.log import Mark
from hub.control.switches import Change, Rows, SwitchStore
from hub.store.postgres.database import Connection, Database
from hub.store.postgres.marks import read_marks, write_marks

# No connector's name has a colon.
SWITCHES: Final = "hub:switches"
PUSHED: Final = "hub:pushed"


@final
class PostgresSwitches(SwitchStore):
    def __init__(self, database: Database, source: str = SWITCHES) -> None:
        self._database = database
        self._source = source

    @override
    async def read(self) -> Rows:
        return await self._database.read(lambda connection: read_marks(connection, self._source))

    @override
    async def change(self, work: Change) -> Rows:
        async def changing(connection: Connection) -> Rows:
            await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", self._source)
            changes = work(await read_marks(connection, self._source))
            await write_marks(
                connection, [Mark(self._source, name, value) for name, value in changes.items()]
            )
            return await read_marks(connection, self._source)

        return await self._database.transact(changing, ())
