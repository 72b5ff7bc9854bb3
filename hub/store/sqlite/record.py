"""A hub's log and state read by another process, while the hub runs: short snapshots, and never a lock on the folder."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import final

import apsw
from typing_extensions import override

from hub.bus.log import Input
from hub.bus.pages import Page
from hub.engine.keys import partition_of
from hub.engine.record import BATCH, Record, Span
from hub.engine.values import Kind
from hub.errors import ConfigError, StoreTooNew
from hub.intents.intent import Intent, State
from hub.store.sqlite.append import scan_rows
from hub.store.sqlite.browse import SqliteBrowser
from hub.store.sqlite.database import FILE, migrations, schema_version
from hub.store.sqlite.history import rank_at
from hub.store.sqlite.reader import Reader

_KINDS = (Kind.ACCOUNT.value, Kind.CLIENT.value)


@contextmanager
def open_record(folder: Path) -> Iterator["SqliteRecord"]:
    """Open the record of the hub in a data folder. Raises ConfigError when there is none, StoreTooNew for a newer one."""
    path = folder / FILE
    if not path.is_file():
        raise ConfigError(f"there is no hub in {folder} (no {FILE}): name its data folder with --data")
    try:
        reader = Reader(path)
    except apsw.Error as error:
        raise ConfigError(f"cannot read {path} ({error}): name a hub's data folder with --data") from error
    try:
        yield SqliteRecord(reader, path)
    finally:
        reader.close()


@final
class SqliteRecord(Record):
    def __init__(self, reader: Reader, path: Path) -> None:
        self._reader = reader
        self._path = path
        self._browser = SqliteBrowser(reader)
        self._unfolded: dict[str, dict[int, bytes]] | None = None

    @override
    async def span(self) -> Span | None:
        try:
            return await self._reader.read(self._span)
        except apsw.Error as error:
            raise ConfigError(
                f"cannot read {self._path} ({error}): run this as the user the hub runs as, on its own machine"
            ) from error

    @override
    async def batches(self, since: int, until: int) -> AsyncIterator[Sequence[Input]]:
        after = await self._reader.read(partial(rank_at, until=since - 1))
        while True:
            rows = await self._reader.read(partial(scan_rows, after=after, limit=BATCH))
            if not rows:
                return
            if rows[-1].at >= until:
                yield [row for row in rows if row.at < until]
                return
            yield rows
            after = rows[-1].rank

    @override
    async def known(self, keys: Sequence[str]) -> Mapping[str, Sequence[tuple[int, bytes]]]:
        if self._unfolded is None:
            self._unfolded = await self._reader.read(_unfolded)
        unfolded = self._unfolded

        def work(connection: apsw.Connection) -> dict[str, list[tuple[int, bytes]]]:
            return {key: list((_stored(connection, key) | unfolded.get(key, {})).items()) for key in keys}

        return await self._reader.read(work)

    @override
    async def active(self) -> str | None:
        return await self._one("SELECT value FROM meta WHERE name = ?", "active")

    @override
    async def version(self, version: str) -> str | None:
        return await self._one("SELECT body FROM workflow_version WHERE hash = ?", version)

    @override
    async def actions(
        self, *, after: str, limit: int, state: State | None = None, account: str = "", workflow: str = ""
    ) -> Page[Intent]:
        return await self._browser.actions(
            after=after, limit=limit, state=state, account=account, workflow=workflow
        )

    async def _one(self, query: str, value: str) -> str | None:
        def work(connection: apsw.Connection) -> str | None:
            row = connection.execute(query, (value,)).fetchone()
            return str(row[0]) if row else None

        return await self._reader.read(work)

    def _span(self, connection: apsw.Connection) -> Span | None:
        newest, found = migrations()[-1][0], schema_version(connection)
        if found > newest:
            raise StoreTooNew(self._path, found, newest)
        row = connection.execute(
            "SELECT (SELECT at FROM input ORDER BY rank LIMIT 1), (SELECT at FROM input ORDER BY rank DESC LIMIT 1)"
        ).fetchone()
        return None if row is None or row[0] is None else Span(int(row[0]), int(row[1]))


def _stored(connection: apsw.Connection, key: str) -> dict[int, bytes]:
    rows = connection.execute(
        "SELECT kind, value FROM state WHERE partition = ? AND key = ? AND kind IN (?, ?) AND name = ''",
        (partition_of(key), key, *_KINDS),
    )
    return {int(kind): bytes(value) for kind, value in rows}


def _unfolded(connection: apsw.Connection) -> dict[str, dict[int, bytes]]:
    """Return what stands in the journal of changes and not yet in its place."""
    found: dict[str, dict[int, bytes]] = {}
    rows = connection.execute(
        "SELECT key, kind, value FROM state_change WHERE kind IN (?, ?) AND name = '' AND value IS NOT NULL ORDER BY rank",
        _KINDS,
    )
    for key, kind, value in rows:
        found.setdefault(str(key), {})[int(kind)] = bytes(value)
    return found
