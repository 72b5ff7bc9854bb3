"""The database layer: what is refused is told from what may be asked again, and nobody works on a schema it does not know."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
from conformance.backends import error_of
from processes.services import Postgres

from hub.bus.lease import Lease
from hub.errors import ConfigError, LeaseLost, StoreRefused, StoreUnavailable
from hub.store.postgres.database import Database, open_database
from hub.store.postgres.migrate import migrate, migrations

NEWEST = migrations()[-1][0]


@pytest.fixture
async def fresh(postgres_server: Postgres) -> str:
    """Return the DSN of a database without anything."""
    return await postgres_server.create_database()


@pytest.fixture
async def database(migrated: str) -> AsyncIterator[Database]:
    async with open_database(migrated, connections=2) as database:
        await marks(database)  # whoever used it before may have left some
        yield database


async def say(dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(dsn)
    await connection.execute(statement)
    await connection.close()


async def opened(dsn: str) -> None:
    async with open_database(dsn):
        pass


# --- schema


async def test_a_database_is_used_after_its_migration_and_not_before(fresh: str) -> None:
    with pytest.raises(ConfigError, match="has no hub schema yet: run `hub migrate`"):
        await opened(fresh)

    assert await migrate(fresh) == NEWEST
    assert await migrate(fresh) == NEWEST
    await opened(fresh)


async def test_several_may_migrate_at_once(fresh: str) -> None:
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        tasks = [group.create_task(migrate(fresh)) for _ in range(3)]

    assert [task.result() for task in tasks] == [NEWEST] * 3


async def test_a_migration_that_fails_leaves_nothing(fresh: str) -> None:
    await say(fresh, "CREATE TABLE trace (x int)")  # in the way of one of ours

    with pytest.raises(StoreUnavailable, match="trace"):
        await migrate(fresh)

    await say(fresh, "DROP TABLE trace")
    assert await migrate(fresh) == NEWEST


async def test_a_newer_schema_is_left_alone(fresh: str) -> None:
    await migrate(fresh)
    await say(fresh, "UPDATE meta SET value = '99' WHERE name = 'schema'")

    for use in (opened, migrate):
        with pytest.raises(ConfigError, match=r"newer hub \(schema 99"):
            await use(fresh)


async def test_text_is_ordered_by_its_bytes(database: Database) -> None:
    query = (
        "SELECT attname FROM pg_attribute a JOIN pg_class r ON r.oid = attrelid JOIN pg_collation c ON c.oid = attcollation "
        "WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND collname <> 'C'"
    )

    assert await database.read(lambda connection: connection.fetch(query)) == []


# --- addresses


@pytest.mark.parametrize(
    ("dsn", "error"),
    [
        ("postgresql://ann:secret@127.0.0.1:1/hub", StoreUnavailable),
        ("postgresql://ann:secret@127.0.0.1:none/hub", ConfigError),
        ("postgresql://ann:secret@[127/hub", ConfigError),
        ("mysql://ann:secret@127.0.0.1/hub", ConfigError),
    ],
)
async def test_an_address_that_does_not_do_is_told_without_the_password(
    dsn: str, error: type[Exception]
) -> None:
    for use in (opened, migrate):
        with pytest.raises(error) as caught:
            await use(dsn)
        assert "secret" not in str(caught.value)
        assert "secret" not in str(caught.value.__cause__)


async def test_a_database_that_is_not_there_is_the_operators_to_correct(postgres_server: Postgres) -> None:
    with pytest.raises(ConfigError, match="the name of the database"):
        await opened(postgres_server.dsn("nobody_made_this"))


# --- transactions


async def touch(connection: Any, value: str = "x") -> None:
    await connection.execute("INSERT INTO mark VALUES ('s', $1, 'v')", value)


async def marks(database: Database) -> int:
    count = await database.read(lambda connection: connection.fetchval("SELECT count(*) FROM mark"))
    await database.transact(lambda connection: connection.execute("DELETE FROM mark"))
    return int(count)


@pytest.mark.parametrize("value", ["a\0b", "a\ud800", 7])
async def test_content_that_can_never_be_stored_is_refused_and_nothing_stays(
    database: Database, value: Any
) -> None:
    async def work(connection: Any) -> None:
        await touch(connection)
        await touch(connection, value)

    error = await error_of(database.transact(work))

    assert isinstance(error, StoreRefused)
    assert repr(value) not in str(error)
    assert await marks(database) == 0


async def test_a_row_that_is_there_already_is_refused(database: Database) -> None:
    async def twice(connection: Any) -> None:
        await touch(connection)
        await touch(connection)

    assert isinstance(await error_of(database.transact(twice)), StoreRefused)
    assert await marks(database) == 0


async def test_a_read_writes_nothing_and_sees_one_moment(database: Database) -> None:
    async def work(connection: Any) -> list[int]:
        count = "SELECT count(*) FROM mark"
        before = await connection.fetchval(count)
        await database.transact(touch)
        return [before, await connection.fetchval(count)]

    assert await database.read(work) == [0, 0]
    assert isinstance(await error_of(database.read(touch)), StoreUnavailable)
    assert await marks(database) == 1


async def test_a_lease_of_nobody_proves_nothing(database: Database) -> None:
    error = await error_of(database.transact(touch, [Lease("never taken", "ann", 1, 0)]))

    assert isinstance(error, LeaseLost)
    assert "never taken belongs to nobody" in str(error)
    assert await marks(database) == 0


async def test_a_connection_that_breaks_inside_a_transaction_leaves_nothing_and_the_next_one_works(
    database: Database,
) -> None:
    async def work(connection: Any) -> None:
        await touch(connection)
        await connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    error = await error_of(database.transact(work))

    assert isinstance(error, StoreUnavailable)
    assert not isinstance(error, StoreRefused)
    await database.transact(touch)
    assert await marks(database) == 1


async def test_a_transaction_given_up_leaves_nothing(database: Database) -> None:
    async def work(connection: Any) -> None:
        await touch(connection)
        await connection.execute("SELECT pg_sleep(30)")

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await database.transact(work)

    assert await marks(database) == 0


async def test_what_is_acknowledged_is_on_disk_whatever_the_databases_default(fresh: str) -> None:
    await migrate(fresh)
    await say(fresh, f'ALTER DATABASE "{fresh.rpartition("/")[2]}" SET synchronous_commit = off')

    async with open_database(fresh) as database:
        for _ in range(2):
            assert (
                await database.transact(lambda connection: connection.fetchval("SHOW synchronous_commit"))
                == "on"
            )


async def test_a_stopped_process_does_not_hold_up_others_for_long(database: Database) -> None:
    setting = await database.transact(
        lambda connection: connection.fetchval("SHOW idle_in_transaction_session_timeout")
    )

    assert setting == "5s"
