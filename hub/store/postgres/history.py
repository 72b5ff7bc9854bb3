"""The inputs of one key out of its partition, the latest first: a bounded stretch of it is looked at."""

from typing import final

from typing_extensions import override

from hub.bus.log import Input
from hub.engine.keys import partition_of
from hub.engine.past import History, Told
from hub.store.postgres.append import ROW
from hub.store.postgres.database import Connection, Database

_MOST_SCANNED = 200_000  # rows of its partition


@final
class PostgresHistory(History):
    def __init__(self, database: Database) -> None:
        self._database = database

    @override
    async def told(self, key: str, *, until: int, last: Input | None, most: int) -> Told:
        partition = partition_of(key)

        async def work(connection: Connection) -> Told:
            upper = last.n if last is not None else await connection.fetchval(
                "SELECT n FROM input WHERE partition = $1 AND at <= $2 ORDER BY n DESC LIMIT 1", partition, until
            )  # fmt: skip
            if upper is None:
                return Told((), complete=True)
            rows = await connection.fetch(
                f"SELECT {ROW} FROM input WHERE partition = $1 AND n <= $2 AND n > $3 AND key = $4 ORDER BY n DESC LIMIT $5",
                partition, upper, upper - _MOST_SCANNED, key, most,
            )  # fmt: skip
            found = [Input(*row) for row in reversed(rows)]
            numbers = [row.sequence for row in found if row.sequence is not None]
            whole = upper <= _MOST_SCANNED and len(found) < most
            complete = numbers[0] == 1 if numbers else whole
            return Told(found, complete=complete)

        return await self._database.read(work)
