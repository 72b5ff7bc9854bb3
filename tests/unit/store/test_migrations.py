"""The schema grows by numbered steps, each whole or not at all, and every way through them ends at the same tables."""

from datetime import timedelta
from pathlib import Path

import apsw
import pytest

from hub.bus.log import InputKind
from hub.clock import to_us
from hub.engine.rows import Batch, TimerKey
from hub.ids import PARTITIONS
from hub.store.sqlite import database
from hub.store.sqlite.database import FILE, migrations, open_reader, open_writer, schema_version
from hub.testing import MORNING, open_store


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


async def test_timers_of_a_first_store_fire_once_and_can_be_cancelled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, minute = to_us(MORNING), timedelta(minutes=1)
    first_only = migrations()[:1]
    with monkeypatch.context() as patch:
        patch.setattr(database, "migrations", lambda: first_only)
        older = open_writer(tmp_path / FILE)
    older.executemany(
        "INSERT INTO timer (id, partition, due, key, kind, body) VALUES (?, ?, ?, ?, 'window', ?)",
        [(f"t{i:03}", i % PARTITIONS, now + i % 5, f"key {i}", f"body {i}".encode()) for i in range(600)],
    )
    assert schema_version(older) == 1
    older.close()

    gone, kept = range(0, 600, 50), [i for i in range(600) if i % 50]
    async with open_store(tmp_path) as store:
        lease = await store.leases.take("partitions", "this process", minute)
        assert lease is not None
        cancelled = [TimerKey(i % PARTITIONS, now + i % 5, f"t{i:03}") for i in gone]
        await store.engine.commit(Batch(cancelled=cancelled), [lease])
        assert await store.engine.fire_timers(now + 5, 1_000) == len(kept)
    async with open_store(tmp_path) as store:  # and not again after a restart
        assert await store.engine.fire_timers(now + 5, 1_000) == 0
        rows = await store.log.scan(0, 1_000)

    assert {row.kind for row in rows} == {InputKind.TIMER}
    assert [(row.partition, row.key, row.ref, row.body) for row in rows] == [
        (i % PARTITIONS, f"key {i}", f"window:{now + i % 5}:t{i:03}", f"body {i}".encode())
        for i in sorted(kept, key=lambda i: (i % 5, i))
    ]


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
