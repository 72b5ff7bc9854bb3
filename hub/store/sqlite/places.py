"""How far a consumer of the log has come, on SQLite."""

from collections.abc import Mapping
from typing import final

from typing_extensions import override

from hub.bus.log import Places
from hub.store.sqlite.engine import read_positions, write_positions
from hub.store.sqlite.reader import Reader
from hub.store.sqlite.writer import Writer


@final
class SqlitePlaces(Places):
    def __init__(self, writer: Writer, reader: Reader) -> None:
        self._writer = writer
        self._reader = reader

    @override
    async def reached(self, consumer: str) -> list[int]:
        return await self._reader.read(lambda connection: read_positions(connection, consumer))

    @override
    async def reach(self, consumer: str, positions: Mapping[int, int]) -> None:
        await self._writer.submit(lambda connection: write_positions(connection, consumer, positions))
