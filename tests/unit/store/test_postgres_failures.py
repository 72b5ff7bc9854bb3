"""How the driver's complaints become ours, and how an address is shown."""

import asyncpg
import pytest

from hub.errors import LeaseLost, StoreRefused, StoreUnavailable
from hub.store.postgres.database import failure
from hub.store.postgres.migrate import migrations, where


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.CheckViolationError("no"),
        asyncpg.NotNullViolationError("no"),
        asyncpg.CharacterNotInRepertoireError("no"),
        asyncpg.NumericValueOutOfRangeError("no"),
        asyncpg.ProgramLimitExceededError("an index row is too large"),
        TypeError("not bytes"),
    ],
)
def test_what_is_about_the_content_is_refused(error: Exception) -> None:
    assert type(failure(error)) is StoreRefused


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.ConnectionDoesNotExistError("gone"),
        asyncpg.AdminShutdownError("stopping"),
        asyncpg.CannotConnectNowError("starting"),
        asyncpg.TooManyConnectionsError("full"),
        asyncpg.DeadlockDetectedError("in a circle"),
        asyncpg.SerializationError("again"),
        asyncpg.ReadOnlySQLTransactionError("a standby"),
        asyncpg.IdleInTransactionSessionTimeoutError("stopped"),
        asyncpg.InsufficientPrivilegeError("not granted"),
        asyncpg.DiskFullError("full"),
        asyncpg.InterfaceError("closed"),
        asyncpg.InternalClientError("lost"),
        OSError("reset"),
        TimeoutError(),
    ],
)
def test_what_is_about_the_connection_or_the_server_may_be_asked_again(error: Exception) -> None:
    assert type(failure(error)) is StoreUnavailable


def test_our_own_errors_stay_what_they_are() -> None:
    lost = LeaseLost("p belongs to bob now")

    assert failure(lost) is lost


def test_a_complaint_about_a_value_does_not_repeat_it() -> None:
    told = failure(asyncpg.DataError("invalid input for query argument $3: 'whsec_secret' (expected int)"))

    assert "$3" in str(told)
    assert "secret" not in str(told)


@pytest.mark.parametrize(
    ("dsn", "shown"),
    [
        ("postgresql://ann:secret@db.example:5433/hub?sslmode=require", "postgresql://db.example:5433/hub"),
        ("postgresql://db/hub?password=secret", "postgresql://db/hub"),
        ("postgresql://ann:secret@[db", "the database"),
        ("postgresql://ann@db:99999999/hub", "the database"),
    ],
)
def test_an_address_is_shown_without_what_is_secret(dsn: str, shown: str) -> None:
    assert where(dsn) == shown


def test_migrations_are_numbered_from_one_without_gaps() -> None:
    assert [number for number, _ in migrations()] == list(range(1, len(migrations()) + 1))
