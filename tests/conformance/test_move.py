"""A hub that moved from its folder to PostgreSQL is the same hub, whatever happened on the way."""

import asyncio
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conformance.backends import PostgresBackend, SqliteBackend
from moving_kit import (
    LONG_AGO,
    OTHERS,
    POSTED,
    TRADES,
    YEARS,
    Stopwatch,
    carry,
    dump,
    live_in,
    opened,
    said_by,
    tell,
)
from processes.services import Postgres, in_a_thread
from typing_extensions import override

from hub.clock import ManualClock, to_us
from hub.errors import ConfigError, StoreRefused, StoreUnavailable
from hub.events.facts import Fact
from hub.moving.move import Move
from hub.moving.source import Batch, Key, Source, open_source
from hub.moving.tables import TABLES, Table
from hub.moving.target import open_target
from hub.store.postgres.database import open_database
from hub.store.postgres.migrate import where
from hub.store.sqlite.database import MOVED, open_writer
from hub.testing import MORNING, a_trade_closed, an_account, an_account_state, an_endpoint, an_input

LATER = MORNING + YEARS
DYING = """
import signal, sys
from pathlib import Path
from hub.commands.migrate import interruptible
from moving_kit import Stopwatch, carry
folder, dsn, batches, by = sys.argv[1:]
signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever runs the tests in the background ignores it
watching = Stopwatch(die_after=int(batches), by=signal.Signals[by])
sys.exit(interruptible(carry(Path(folder), dsn, watching=watching)))
"""
TESTS = Path(__file__).parents[1]


async def end_in_the_middle(folder: Path, dsn: str, batches: int, by: signal.Signals) -> tuple[int, str]:
    """Return how a move ended that got a signal after so many batches, and what it said."""
    moving = await asyncio.create_subprocess_exec(
        sys.executable, "-c", DYING, str(folder), dsn, str(batches), by.name,
        env={"PYTHONPATH": f"{TESTS}:{TESTS.parent}"}, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    _, said = await moving.communicate()
    assert moving.returncode is not None
    return moving.returncode, said.decode()


@pytest.fixture
async def dsn(postgres_server: Postgres) -> str:
    return await postgres_server.create_database()


@pytest.fixture
async def folder(tmp_path: Path) -> Path:
    await live_in(tmp_path / "data")
    return tmp_path / "data"


async def test_the_moved_hub_says_what_the_hub_in_the_folder_said(folder: Path, dsn: str) -> None:
    watching = Stopwatch()

    compared = await carry(folder, dsn, watching=watching, keep=True)

    here = SqliteBackend(folder)
    here.clock = ManualClock(LATER)
    await here.open()
    async with opened(dsn, ManualClock(LATER)) as there:
        before, after = await said_by(here), await said_by(there)
    await here.close()
    for what, said in before.items():
        assert after[what] == said, what
    assert [each.table for each in compared if not each.is_same] == []
    assert {
        each.table for each in compared if each.there.rows == 0
    } == set()  # there was something of everything
    moving, comparing = watching.begun
    assert sum(watching.rows.values()) == moving[1] + comparing[1]


async def test_the_moved_hub_goes_on_where_it_was(folder: Path, dsn: str) -> None:
    await carry(folder, dsn)
    mine = a_trade_closed(an_account(login=7001), deal=99_000)
    pruned = a_trade_closed(
        an_account(login=7004), deal=99_001
    )  # the first events of both are no longer in the log
    # Its new machine's clock is behind; the log's moments go on from the last one all the same.
    async with opened(dsn, ManualClock(MORNING)) as hub:
        before = await hub.log.read(mine.partition, 0, 10_000)
        last = max(row.rank for row in await hub.log.scan(0, 10_000))

        again = await hub.log.append(
            [*LONG_AGO, *TRADES, an_account_state("std")], inputs=[an_input(7, unique="once")]
        )
        new = await hub.log.append([mine, pruned])

        assert all(appended.duplicate and not appended.mismatch for appended in again)
        assert not any(appended.duplicate for appended in new)
        assert [await number_of(hub, fact) for fact in (mine, pruned)] == [numbered("7001"), numbered("7004")]
        rows = await hub.log.read(mine.partition, before[-1].n, 10)
        assert [row.n for row in rows] == [before[-1].n + 1 + place for place in range(len(rows))]
        assert all(row.rank > last for row in rows)
        assert all(row.at >= before[-1].at for row in rows)
        assert await hub.engine.fire_timers(to_us(LATER) + 1_000, 100) == 12


async def test_intents_are_found_by_the_server_they_are_for(folder: Path, dsn: str) -> None:
    await carry(folder, dsn)

    assert {tuple(row) for row in await tell(dsn, "SELECT key, server FROM intent")} == {
        ("i1", "live-1"), ("i2", "mt:4"), ("i3", ""),
    }  # fmt: skip


async def number_of(hub: PostgresBackend, fact: Fact) -> int | None:
    row = await hub.log.find(fact.key)
    assert row is not None
    return row.sequence


def numbered(login: str) -> int:
    """Return the number the next event of an account gets, after all that was told of it."""
    told = [*LONG_AGO, *TRADES, *POSTED, *OTHERS]
    return 1 + len([fact for fact in told if fact.account == f"live-1:{login}"])


async def test_the_old_log_stands_in_months_and_goes_by_months(folder: Path, dsn: str) -> None:
    await carry(folder, dsn)
    clock = ManualClock(LATER)
    async with opened(dsn, clock) as hub:
        await hub.store.pruner.prepare()
        assert await tell(dsn, "SELECT FROM input_rest") == []
        assert await hub.log.scan(0, 1)

        await clock.advance(YEARS)
        await hub.store.pruner.prune()

        assert await hub.log.scan(0, 1) == []


async def test_a_duplicate_that_says_something_else_is_still_told_of(folder: Path, dsn: str) -> None:
    await carry(folder, dsn)
    async with opened(dsn, ManualClock(LATER)) as hub:
        [other] = await hub.log.append([a_trade_closed(an_account(login=7000), deal=1_000, profit="99")])

    assert (other.duplicate, other.mismatch) == (True, True)


# --- interrupted


@pytest.mark.parametrize("batches", [1, 40, 97, 150])  # the last one while both sides are compared
async def test_a_move_killed_in_the_middle_goes_on_to_the_same_end(
    folder: Path, postgres_server: Postgres, batches: int
) -> None:
    straight, broken = await postgres_server.create_database(), await postgres_server.create_database()
    await carry(folder, straight, keep=True)

    ended, _ = await end_in_the_middle(folder, broken, batches, signal.SIGKILL)

    assert ended == -signal.SIGKILL
    with pytest.raises(ConfigError, match="half of a hub"):
        async with open_database(broken):
            pass
    watching = Stopwatch()
    compared = await carry(folder, broken, watching=watching, keep=True)

    assert all(each.is_same for each in compared)
    expected, result = await dump(straight), await dump(broken)
    for table, rows in expected.items():
        assert result[table] == rows, table
    assert sum(watching.rows.values()) == sum(rows for _, rows in watching.begun)
    async with open_database(broken):
        pass


class Cutting(Stopwatch):
    """Has the server cut the move's connection while it is under way."""

    def __init__(self, dsn: str) -> None:
        super().__init__()
        self._dsn = dsn

    @override
    def advance(self, table: str, rows: int) -> None:
        super().advance(table, rows)
        if self.batches == 50:
            in_a_thread(self._cut)

    async def _cut(self) -> None:
        await tell(
            self._dsn,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name = 'hub migrate' AND datname = current_database()",
        )


async def test_a_lost_connection_is_told_and_the_move_goes_on_over_another(folder: Path, dsn: str) -> None:
    with pytest.raises(StoreUnavailable, match="run the same command again") as caught:
        await carry(folder, dsn, watching=Cutting(dsn))

    assert not isinstance(caught.value, StoreRefused)
    watching = Stopwatch()
    assert all(each.is_same for each in await carry(folder, dsn, watching=watching))
    assert sum(watching.rows.values()) == sum(rows for _, rows in watching.begun)


async def test_a_move_that_is_stopped_says_that_it_can_go_on_and_can(folder: Path, dsn: str) -> None:
    ended, said = await end_in_the_middle(folder, dsn, 30, signal.SIGINT)

    assert (ended, said) == (130, "stopped: run the same command again, and it goes on from where it is\n")
    assert all(each.is_same for each in await carry(folder, dsn))


async def test_a_batch_and_the_place_it_ends_at_are_written_together(folder: Path, dsn: str) -> None:
    with open_source(folder) as source:
        async with open_target(dsn) as target:
            await Move(source, target, Stopwatch()).begin()
            table = TABLES[0]
            nothing = await target.progress(table)
            [batch, *_] = source.batches(table, None, 10)
            await tell(dsn, "DROP TABLE meta")  # the place cannot be written

            with pytest.raises(Exception, match="meta"):
                await target.write(table, batch, nothing)

    assert await tell(dsn, "SELECT * FROM input") == []


async def test_a_move_killed_between_its_last_two_steps_leaves_no_hub_that_can_run_until_it_is_finished(
    folder: Path, dsn: str
) -> None:
    await carry(folder, dsn, finish=False)
    with open_source(folder) as source:
        source.mark_moved(where(dsn))

    with pytest.raises(ConfigError, match="was moved to"):
        await SqliteBackend(folder).open()
    with pytest.raises(ConfigError, match="half of a hub"):
        async with open_database(dsn):
            pass
    assert all(each.is_same for each in await carry(folder, dsn))
    async with open_database(dsn):
        pass


async def test_a_finished_move_asked_for_again_changes_nothing(folder: Path, dsn: str) -> None:
    await carry(folder, dsn)
    before = await dump(dsn)

    with open_source(folder) as source:
        async with open_target(dsn) as target:
            assert not await Move(source, target, Stopwatch()).begin()

    assert await dump(dsn) == before


# --- compared


@pytest.mark.parametrize(
    ("table", "damage"),
    [
        ("state", "UPDATE state SET value = '9' WHERE key = 'key-3'"),
        ("input", "DELETE FROM input WHERE rank = (SELECT max(rank) FROM input)"),
        ("sequence", "INSERT INTO sequence VALUES ('live-1:1', 1)"),
        ("api_key", "UPDATE api_key SET expires_at = NULL"),
        ("meta", "UPDATE meta SET value = '{}' WHERE name = 'active'"),
    ],
)
async def test_what_was_changed_on_the_way_is_found_and_the_move_is_not_finished(
    folder: Path, dsn: str, table: str, damage: str
) -> None:
    await carry(folder, dsn, finish=False)
    await tell(dsn, damage)

    compared = await carry(folder, dsn)

    assert [each.table for each in compared if not each.is_same] == [table]
    assert not (folder / MOVED).exists()
    with pytest.raises(ConfigError, match="half of a hub"):
        async with open_database(dsn):
            pass


class Forgetful(Source):
    """Passes a row over whenever it reads the runs."""

    @override
    def batches(self, table: Table, after: Key | None, most: int) -> Iterator[Batch]:
        for batch in super().batches(table, after, most):
            yield batch._replace(records=batch.records[1:]) if table.name == "run" else batch


async def test_a_row_that_the_move_does_not_read_is_missed_all_the_same(folder: Path, dsn: str) -> None:
    with open_source(folder) as source:
        async with open_target(dsn) as target:
            move = Move(Forgetful(source._folder, source._connection), target, Stopwatch())
            await move.begin()
            await move.carry_over()
            compared = await move.compare()

    assert [(each.table, each.expected, each.here.rows) for each in compared if not each.is_same] == [
        ("run", 3, 2)
    ]


# --- refused


async def test_a_folder_that_was_moved_is_refused_and_one_that_is_kept_is_not(
    folder: Path, postgres_server: Postgres
) -> None:
    await carry(folder, await postgres_server.create_database(), keep=True)
    hub = await SqliteBackend(folder).open()
    await hub.close()

    await carry(folder, await postgres_server.create_database())

    with pytest.raises(ConfigError, match=r"was moved to postgresql://\S+: run it there"):
        await SqliteBackend(folder).open()
    with pytest.raises(ConfigError, match=r"was moved to .* before"):
        await carry(folder, await postgres_server.create_database())
    (folder / MOVED).unlink()
    hub = await SqliteBackend(folder).open()
    await hub.close()


async def test_a_database_somebody_used_is_refused(folder: Path, dsn: str) -> None:
    with open_source(folder):
        async with open_target(dsn):
            pass  # it has the tables now
    async with opened(dsn, ManualClock(MORNING)) as hub:
        await hub.endpoints.create(an_endpoint())

    with pytest.raises(ConfigError, match=r"is not empty \(there are rows in endpoint, lease\)"):
        await carry(folder, dsn)


async def test_a_database_of_something_else_is_left_alone(folder: Path, dsn: str) -> None:
    await tell(dsn, "CREATE TABLE invoices (id int)")

    with pytest.raises(ConfigError, match="it has a table invoices"):
        await carry(folder, dsn)

    assert await tell(dsn, "SELECT to_regclass('input')") == [(None,)]


async def test_a_hub_that_ran_again_after_its_move_began_does_not_go_on_with_it(
    folder: Path, dsn: str
) -> None:
    await carry(folder, dsn, finish=False)
    hub = SqliteBackend(folder)
    hub.clock = ManualClock(LATER)
    await hub.open()
    await hub.log.append([a_trade_closed()])
    await hub.close()

    with pytest.raises(ConfigError, match="of another hub or of this one before it ran again"):
        await carry(folder, dsn)


async def test_a_running_hub_and_an_empty_folder_are_refused(folder: Path, tmp_path: Path, dsn: str) -> None:
    hub = await SqliteBackend(folder).open()

    with pytest.raises(ConfigError, match="in use by another hub"):
        await carry(folder, dsn)
    with pytest.raises(ConfigError, match="there is no hub in"):
        await carry(tmp_path / "elsewhere", dsn)

    await hub.close()
    assert not (tmp_path / "elsewhere").exists()


async def test_two_moves_into_one_database_do_not_meet(folder: Path, dsn: str) -> None:
    async with open_target(dsn):
        with pytest.raises(ConfigError, match=r"another move into .* is under way"):
            await carry(folder, dsn)


async def test_a_row_postgresql_cannot_hold_is_named_and_nothing_is_lost_by_it(
    folder: Path, dsn: str
) -> None:
    connection = open_writer(folder / "hub.db")
    connection.execute("UPDATE state SET name = 'a' || char(0) || 'b' WHERE key = 'key-17'")

    with pytest.raises(
        StoreRefused, match=r"state row partition=17, key='key-17'.* its name contains the character NUL"
    ):
        await carry(folder, dsn)

    connection.execute("UPDATE state SET name = 'ab' WHERE key = 'key-17'")
    connection.close()
    assert all(each.is_same for each in await carry(folder, dsn))


async def test_a_number_too_large_for_its_column_is_named(folder: Path, dsn: str) -> None:
    connection = open_writer(folder / "hub.db")
    connection.execute("UPDATE intent SET looks = 1 << 40 WHERE key = 'i2'")
    connection.close()

    with pytest.raises(StoreRefused, match=r"intent row key='i2' cannot be stored"):
        await carry(folder, dsn)


async def test_a_written_down_twice_attempt_is_carried_over_once(folder: Path, dsn: str) -> None:
    connection = open_writer(folder / "hub.db")
    columns = "endpoint, partition, n, number, event_id, state, at, outcome, status, error, latency_us, response, due, created_at"
    connection.execute(f"INSERT INTO attempt ({columns}) SELECT {columns} FROM attempt WHERE rank = 1")
    [before] = connection.execute("SELECT count(*) FROM attempt").fetchall()
    connection.close()

    compared = {each.table: each for each in await carry(folder, dsn)}

    assert compared["attempt"].is_same
    assert compared["attempt"].there.rows == int(str(before[0])) - 1
