"""The folder a hub moves out of: nobody runs in it meanwhile, and nothing it says changes."""

from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import apsw

from hub.errors import ConfigError, HubError, StoreRefused, StoreUnavailable
from hub.ids import PARTITIONS
from hub.moving.tables import Table
from hub.store.postgres.notices import server_of
from hub.store.sqlite.append import write_sequences
from hub.store.sqlite.database import FILE, Folder, open_writer
from hub.store.sqlite.journal import recover
from hub.store.sqlite.numbering import Numbering

Key: TypeAlias = tuple[Any, ...]
Record: TypeAlias = tuple[Any, ...]
_BATCH_BYTES = 8 << 20


class Batch(NamedTuple):
    """`after` is the key of the last record: where the next batch goes on."""

    after: Key
    records: list[Record]


class Span(NamedTuple):
    """The moments of the first and the last row of the log."""

    first: int
    last: int


class Source:
    def __init__(self, folder: Folder, connection: apsw.Connection) -> None:
        self._folder = folder
        self._connection = connection

    @property
    def path(self) -> Path:
        return self._folder.path

    @property
    def moved_to(self) -> str | None:
        """Return where this hub went, if it was moved before."""
        return self._folder.moved_to

    def mark_moved(self, where: str) -> None:
        self._folder.mark_moved(where)

    def identity(self) -> str:
        """Return what tells this hub, as it stands now, from every other, and from itself after it ran again.

        Whoever runs a hub takes the lease on its folder, under a name nobody else ever has.
        """
        with _reading(self.path, "what it is"):
            seen = [
                self._connection.execute(query).fetchall()
                for query in (
                    "SELECT * FROM lease ORDER BY name",
                    "SELECT rank, at, ref FROM input ORDER BY rank DESC LIMIT 1",
                    "SELECT coalesce(max(rank), 0) FROM attempt",
                    "SELECT coalesce(max(rank), 0) FROM trace",
                    "SELECT id FROM api_key ORDER BY id",
                )
            ]
        return sha256(repr(seen).encode()).hexdigest()[:32]

    def count(self, table: Table) -> int:
        with _reading(self.path, table.name):
            row = self._connection.execute(table.counting).fetchone()
        assert row is not None
        return int(row[0])

    def span(self) -> Span | None:
        with _reading(self.path, "input"):
            row = self._connection.execute(
                "SELECT (SELECT at FROM input ORDER BY rank LIMIT 1), (SELECT at FROM input ORDER BY rank DESC LIMIT 1)"
            ).fetchone()
        return None if row is None or row[0] is None else Span(int(row[0]), int(row[1]))

    def batches(self, table: Table, after: Key | None, most: int) -> Iterator[Batch]:
        """Yield what comes after a key, up to `most` records at a time, or as many as fit into memory."""
        width = table.key_columns
        last: Key = after or ()
        with _reading(self.path, table.name):
            records: list[Record] = []
            size = 0
            for row in self._connection.execute(table.reading(going_on=after is not None), after or ()):
                last, record = row[:width], row[width:]
                records.append(record)
                size += sum(len(value) for value in record if value.__class__ in {str, bytes})
                if len(records) >= most or size >= _BATCH_BYTES:
                    yield Batch(last, records)
                    records, size = [], 0
            if records:
                yield Batch(last, records)


@contextmanager
def open_source(path: Path) -> Iterator[Source]:
    """Take the folder for ourselves and put everything in it into its place; raises ConfigError when it cannot be moved."""
    if not (path / FILE).is_file():
        raise ConfigError(f"there is no hub in {path} (no {FILE}): name its data folder with --data")
    folder = Folder(path, even_moved=True)
    try:
        connection = open_writer(folder.database)
        try:
            with _reading(path, "what its last run left"):
                recover(connection)
                with connection:
                    write_sequences(connection, Numbering(connection))
                partitions = connection.execute("SELECT value FROM meta WHERE name = 'partitions'").fetchone()
            if partitions != (str(PARTITIONS),):
                raise ConfigError(
                    f"{path} is divided into {partitions[0] if partitions else 'unknown'} partitions and not {PARTITIONS}: "
                    "this hub cannot move it"
                )
            connection.create_scalar_function("server_of", _server_of, 1, deterministic=True)
            yield Source(folder, connection)
        finally:
            connection.close()
    finally:
        folder.close()


def _server_of(*values: Any) -> str:
    return server_of(str(values[0]))


@contextmanager
def _reading(path: Path, what: str) -> Iterator[None]:
    try:
        yield
    except HubError:
        raise
    except UnicodeDecodeError as error:
        raise StoreRefused(
            f"{path}: a row of {what} holds text that is not UTF-8: restore the folder from a backup"
        ) from error
    except apsw.Error as error:
        raise StoreUnavailable(
            f"{path}: {what} cannot be read ({error}): free disk space there, or restore the folder from a backup"
        ) from error
