"""How far a consumer of the log has come, on PostgreSQL: said by whoever owns the partitions."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import final

from typing_extensions import override

from hub.bus.lease import Lease
from hub.bus.log import Places
from hub.store.postgres.database import Database
from hub.store.postgres.positions import read_positions, write_positions


@final
class PostgresPlaces(Places):
    def __init__(
        self, database: Database, partition_fence: Callable[[Collection[int]], Sequence[Lease]]
    ) -> None:
        self._database = database
        self._partition_fence = partition_fence

    @override
    async def reached(self, consumer: str) -> list[int]:
        return await self._database.read(lambda connection: read_positions(connection, consumer))

    @override
    async def reach(self, consumer: str, positions: Mapping[int, int]) -> None:
        await self._database.transact(
            lambda connection: write_positions(connection, {consumer: positions}),
            self._partition_fence(positions),
        )
