"""Switches on SQLite: marks of a source of their own, changed one after the other on the writer's thread."""

from typing import Final, final

import apsw
from typing_extensions import override

from hub.control.switches import Change, Rows, SwitchStore
from hub.store.sqlite.reader import Reader
from hub.store.sqlite.writer import Writer

SOURCE: Final = "hub:switches"  # no connector's name has a colon


@final
class SqliteSwitches(SwitchStore):
    def __init__(self, writer: Writer, reader: Reader) -> None:
        self._writer = writer
        self._reader = reader

    @override
    async def read(self) -> Rows:
        return await self._reader.read(_rows)

    @override
    async def change(self, work: Change) -> Rows:
        def changing(connection: apsw.Connection) -> Rows:
            for name, value in work(_rows(connection)).items():
                if value is None:
                    connection.execute("DELETE FROM mark WHERE source = ? AND name = ?", (SOURCE, name))
                else:
                    connection.execute("INSERT OR REPLACE INTO mark VALUES (?, ?, ?)", (SOURCE, name, value))
            return _rows(connection)

        return await self._writer.submit(changing)


def _rows(connection: apsw.Connection) -> Rows:
    rows = connection.execute("SELECT name, value FROM mark WHERE source = ?", (SOURCE,))
    return {str(name): bytes(value) for name, value in rows}
