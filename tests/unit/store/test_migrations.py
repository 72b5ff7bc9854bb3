"""The schema grows by numbered steps, each whole or not at all, and every way through them ends at the same tables."""

from pathlib import Path

import apsw
import pytest

from hub.ids import PARTITIONS
from hub.store import database
from hub.store.database import FILE, migrations, open_reader, open_writer, schema_version


def schema(connection: apsw.Connection) -> list[tuple[str, str]]:
    return list(connection.execute("SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name"))


def test_migrations_are_numbered_from_one_without_gaps() -> None:
    assert [number for number, _ in migrations()] == list(range(1, len(migrations()) + 1))


def test_an_empty_folder_ends_at_the_newest_schema(tmp_path: Path) -> None:
    connection = open_writer(tmp_path / FILE)

    assert schema_version(connection) == migrations()[-1][0]
    assert connection.execute("SELECT value FROM meta WHERE name = 'partitions'").fetchall() == [
        (str(PARTITIONS),)
    ]
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()


@pytest.mark.parametrize("done", range(len(migrations()) + 1))
def test_every_older_store_ends_at_the_same_schema(tmp_path: Path, done: int) -> None:
    older = apsw.Connection(str(tmp_path / "older.db"))
    for number, text in migrations()[:done]:
        older.execute(text).fetchall()
        older.execute(f"PRAGMA user_version = {number}").fetchall()
    older.close()

    grown, fresh = open_writer(tmp_path / "older.db"), open_writer(tmp_path / "fresh.db")

    assert schema(grown) == schema(fresh)
    assert schema_version(grown) == schema_version(fresh)
    grown.close()
    fresh.close()


def test_every_table_is_strict(tmp_path: Path) -> None:
    connection = open_writer(tmp_path / FILE)

    lax = [name for name, sql in schema(connection) if sql.startswith("CREATE TABLE") and "STRICT" not in sql]

    assert lax == []
    connection.close()


def test_opening_again_changes_nothing(tmp_path: Path) -> None:
    first = open_writer(tmp_path / FILE)
    before = schema(first)
    first.execute("INSERT INTO meta VALUES ('kept', 'yes')").fetchall()
    first.close()

    second = open_writer(tmp_path / FILE)

    assert schema(second) == before
    assert second.execute("SELECT value FROM meta WHERE name = 'kept'").fetchall() == [("yes",)]
    second.close()


def test_a_migration_that_fails_half_way_leaves_the_store_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = open_writer(tmp_path / FILE)
    before, version = schema(first), schema_version(first)
    first.close()
    broken = [
        *migrations(),
        (version + 1, "CREATE TABLE extra (x INTEGER) STRICT; CREATE TABLE meta (y INTEGER) STRICT;"),
    ]
    with monkeypatch.context() as patch:
        patch.setattr(database, "migrations", lambda: broken)
        with pytest.raises(Exception, match="meta already exists"):
            open_writer(tmp_path / FILE)

    second = open_writer(tmp_path / FILE)

    assert schema(second) == before
    assert schema_version(second) == version
    second.close()


def test_a_writer_waits_for_the_disk_and_a_reader_cannot_write(tmp_path: Path) -> None:
    writer = open_writer(tmp_path / FILE)
    reader = open_reader(tmp_path / FILE)

    assert writer.execute("PRAGMA journal_mode").fetchall() == [("wal",)]
    assert writer.execute("PRAGMA synchronous").fetchall() == [(2,)]
    assert writer.execute("PRAGMA auto_vacuum").fetchall() == [(2,)]
    with pytest.raises(apsw.ReadOnlyError):
        reader.execute("INSERT INTO meta VALUES ('a', 'b')")
    reader.close()
    writer.close()
