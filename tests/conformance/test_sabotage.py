"""Every check of durability is worth something: it passes over the store and goes red once the safety is taken out."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import apsw
import pytest
from conformance.backends import SqliteBackend, assert_numbered_without_gaps, error_of
from conformance.sabotage import (
    CarelessWriter,
    HalfheartedWriter,
    HastyWriter,
    StubbornWriter,
    sick_disk,
    store_with,
)

from hub.bus.log import Mark
from hub.store.sqlite.database import open_writer
from hub.store.sqlite.writer import Writer
from hub.testing import a_delivery, a_trade_closed

# --- each check of a safety sees when the safety is gone


async def check_acknowledged_is_committed(sqlite: SqliteBackend) -> None:
    fact = a_trade_closed()
    await sqlite.log.append([fact])
    other = apsw.Connection(str(sqlite.folder / "hub.db"), flags=apsw.SQLITE_OPEN_READONLY)
    refs = other.execute("SELECT ref FROM input").fetchall()
    other.close()
    assert refs == [(fact.envelope.id,)]


async def check_a_failure_leaves_nothing(sqlite: SqliteBackend) -> None:
    await _fault_on(sqlite, "position")
    await error_of(sqlite.deliveries.fan_out({0: 1}, [a_delivery(n=1)]))
    assert await sqlite.deliveries.waiting("ep_1", after=(0, 0, 0), limit=10) == []


async def check_numbers_start_again_from_what_is_committed(sqlite: SqliteBackend) -> None:
    await _fault_on(sqlite, "mark")
    await error_of(sqlite.log.append([a_trade_closed()], marks=[Mark("s", "a", b"1")]))
    fact = a_trade_closed()
    await sqlite.log.append([fact])
    await assert_numbered_without_gaps(sqlite.log, [fact])
    [row] = await sqlite.log.scan(0, 10)
    assert (row.n, row.sequence, row.rank) == (1, 1, 1)


async def check_commits_wait_for_the_disk(sqlite: SqliteBackend) -> None:
    await sqlite.log.append([a_trade_closed()])
    settings = {}

    def look(connection: apsw.Connection) -> None:
        for pragma in ("synchronous", "journal_mode"):
            settings[pragma] = connection.execute(f"PRAGMA {pragma}").fetchall()[0][0]

    await sqlite.store.writer.submit(look)
    assert settings == {"synchronous": 2, "journal_mode": "wal"}


async def _fault_on(sqlite: SqliteBackend, table: str) -> None:
    trigger = f"CREATE TRIGGER fault BEFORE INSERT ON {table} BEGIN SELECT RAISE(ABORT, 'fault'); END"
    await sqlite.store.writer.submit(lambda connection: connection.execute(trigger).fetchall())


CHECKS = [
    (check_acknowledged_is_committed, HastyWriter),
    (check_a_failure_leaves_nothing, HalfheartedWriter),
    (check_numbers_start_again_from_what_is_committed, StubbornWriter),
    (check_commits_wait_for_the_disk, CarelessWriter),
]


@pytest.mark.parametrize("check", [check for check, _ in CHECKS])
async def test_the_writer_keeps_its_promise(
    sqlite: SqliteBackend, check: Callable[[SqliteBackend], Awaitable[None]]
) -> None:
    await check(sqlite)


@pytest.mark.parametrize(("check", "sabotaged"), CHECKS)
async def test_the_check_goes_red_without_the_safety(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    check: Callable[[SqliteBackend], Awaitable[None]],
    sabotaged: type[Writer],
) -> None:
    async with store_with(sabotaged, tmp_path / "data", monkeypatch) as sqlite:
        with pytest.raises(AssertionError):
            await check(sqlite)


def test_a_sick_disk_is_healthy_until_it_is_told_otherwise(tmp_path: Path) -> None:
    with sick_disk() as disk:
        connection = open_writer(tmp_path / "hub.db")
        connection.execute("CREATE TABLE t (x)").fetchall()
        disk.ill = "xSync"
        with pytest.raises(apsw.IOError):
            connection.execute("INSERT INTO t VALUES (1)").fetchall()
        disk.ill = None
        connection.execute("INSERT INTO t VALUES (2)").fetchall()
        assert connection.execute("SELECT x FROM t").fetchall() == [(2,)]
        connection.close()
