"""Switches, and what else is a handful of rows, on SQLite: marks of a source, changed one after the other on the writer's thread."""

from typing import Final, final

import apsw
from typing_extensions import override

from hub.control.switches import Change, Rows, SwitchStore
from hub.store.sqlite.reader import Reader
from hub.store.sqlite.writer import Writer

# No connector's name has a colon.
SWITCHES: Final = "hub:switches"
PUSHED: Final = "hub:pushed"


@final
class SqliteSwitches(SwitchStore):
    def __init__(self, writer: Writer, reader: Reader, source: str = SWITCHES) -> None:
        self._writer = writer
        self._reader = reader
        self._source = source

    @override
    async def read(self) -> Rows:
        return await self._reader.read(self._rows)

    @override
    async def change(self, work: Change) -> Rows:
        def changing(connection: apsw.Connection) -> Rows:
            for name, value in work(self._rows(connection)).items():
                if value is None:
                    connection.execute("DELETE FROM mark WHERE source = ? AND name = ?", (self._source, name))
                else:
                    connection.execute(
                        "INSERT OR REPLACE INTO mark VALUES (?, ?, ?)", (self._source, name, value)
                    )
            return self._rows(connection)

        return await self._writer.submit(changing)

    def _rows(self, connection: apsw.Connection) -> Rows:
        rows = connection.execute("SELECT name, value FROM mark WHERE source = ?", (self._source,))
        return {str(name): bytes(value) for name, value in rows}
