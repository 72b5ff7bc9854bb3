"""What sources remember about themselves, on PostgreSQL."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import final

from hub.bus.lease import Lease
from hub.bus.log import Mark
from hub.store.postgres.append import columns
from hub.store.postgres.database import Connection, Database

SourceFence = Callable[[Collection[str]], Sequence[Lease]]


@final
class PostgresMarks:
    """`fence` gives the leases of sources: a connector that is somebody else's by now does not turn the other's cursor back."""

    def __init__(self, database: Database, fence: SourceFence) -> None:
        self._database = database
        self._fence = fence

    async def write(self, marks: Sequence[Mark]) -> None:
        fence = self._fence({mark.source for mark in marks})
        await self._database.transact(lambda connection: write_marks(connection, marks), fence)

    async def marks(self, source: str) -> Mapping[str, bytes]:
        return await self._database.read(lambda connection: read_marks(connection, source))


async def read_marks(connection: Connection, source: str) -> dict[str, bytes]:
    rows = await connection.fetch("SELECT name, value FROM mark WHERE source = $1", source)
    return {str(name): value for name, value in rows}


async def write_marks(connection: Connection, marks: Sequence[Mark]) -> None:
    last = {(mark.source, mark.name): mark.value for mark in marks}
    gone = [which for which, value in last.items() if value is None]
    kept = [(*which, value) for which, value in last.items() if value is not None]
    if gone:
        await connection.execute(
            "DELETE FROM mark USING unnest($1::text[], $2::text[]) AS gone (source, name) "
            "WHERE mark.source = gone.source AND mark.name = gone.name",
            *columns(gone, 2),
        )
    if kept:
        await connection.execute(
            "INSERT INTO mark SELECT * FROM unnest($1::text[], $2::text[], $3::bytea[]) "
            "ON CONFLICT (source, name) DO UPDATE SET value = excluded.value",
            *columns(sorted(kept), 3),
        )
