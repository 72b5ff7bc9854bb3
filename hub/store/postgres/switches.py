"""Switches on PostgreSQL: marks of a source of their own; whoever changes them has them alone until it commits."""

from typing import Final, final

from typing_extensions import override

from hub.bus.log import Mark
from hub.control.switches import Change, Rows, SwitchStore
from hub.store.postgres.database import Connection, Database
from hub.store.postgres.marks import read_marks, write_marks

SOURCE: Final = "hub:switches"  # no connector's name has a colon


@final
class PostgresSwitches(SwitchStore):
    def __init__(self, database: Database) -> None:
        self._database = database

    @override
    async def read(self) -> Rows:
        return await self._database.read(lambda connection: read_marks(connection, SOURCE))

    @override
    async def change(self, work: Change) -> Rows:
        async def changing(connection: Connection) -> Rows:
            await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", SOURCE)
            changes = work(await read_marks(connection, SOURCE))
            await write_marks(connection, [Mark(SOURCE, name, value) for name, value in changes.items()])
            return await read_marks(connection, SOURCE)

        return await self._database.transact(changing, ())
