"""Arrivals that could never be taken: looked at by a person, who has them tried again or dropped."""

from typing import Final, NamedTuple, final

from hub.store.postgres.database import Connection, Database
from hub.store.postgres.notices import ARRIVALS, notify_inside

# What was dropped stays to be looked at: it may have been about money.
DROPPED: Final = "dropped because "
_WAITING: Final = "refused IS NOT NULL AND NOT starts_with(refused, $1::text)"


class Refused(NamedTuple):
    id: int
    partition: int
    reason: str
    body: bytes

    @property
    def is_dropped(self) -> bool:
        return self.reason.startswith(DROPPED)


@final
class RefusedArrivals:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def count(self) -> int:
        """Return how many wait for a person."""
        [row] = await self._database.fetch(f"SELECT count(*) FROM arrival WHERE {_WAITING}", DROPPED)
        return int(row[0])

    async def page(self, after: int, limit: int, *, dropped: bool = False) -> list[Refused]:
        """Return those that wait for a person, or all, in the order they were left."""
        rows = await self._database.fetch(
            "SELECT rank, partition, refused, body FROM arrival WHERE refused IS NOT NULL "
            "AND ($4 OR NOT starts_with(refused, $1::text)) AND rank > $2 ORDER BY rank LIMIT $3",
            DROPPED,
            after,
            limit,
            dropped,
        )
        return [Refused(*row) for row in rows]

    async def one(self, number: int) -> Refused | None:
        rows = await self._database.fetch(
            "SELECT rank, partition, refused, body FROM arrival WHERE rank = $1 AND refused IS NOT NULL",
            number,
        )
        return Refused(*rows[0]) if rows else None

    async def retry(self, number: int) -> bool:
        """Leave it for its owner again, before all that came later; return whether it was there."""

        async def work(connection: Connection) -> bool:
            partition = await connection.fetchval(
                "UPDATE arrival SET refused = NULL WHERE rank = $1 AND refused IS NOT NULL RETURNING partition",
                number,
            )
            if partition is not None:
                await notify_inside(connection, ARRIVALS, [str(partition)])
            return partition is not None

        return await self._database.transact(work)

    async def drop(self, number: int, because: str) -> bool:
        """Take it from those that wait, for good; return whether it was among them."""

        async def work(connection: Connection) -> bool:
            return bool(
                await connection.fetchval(
                    "UPDATE arrival SET refused = $1::text || $3::text || ': ' || refused "
                    f"WHERE {_WAITING} AND rank = $2 RETURNING true",
                    DROPPED,
                    number,
                    because,
                )
            )

        return await self._database.transact(work)
