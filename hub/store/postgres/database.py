"""The pool of connections to PostgreSQL: one transaction a call, and every failure told as one of ours."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from hub.bus.lease import Lease
from hub.errors import ConfigError, HubError, StoreError, StoreRefused, StoreUnavailable
from hub.store.postgres.fence import prove
from hub.store.postgres.migrate import check_schema, where

if TYPE_CHECKING:
    Connection: TypeAlias = PoolConnectionProxy[asyncpg.Record]
else:
    Connection: TypeAlias = PoolConnectionProxy

T = TypeVar("T")
Work: TypeAlias = Callable[[Connection], Awaitable[T]]

_CONNECT_SECONDS = 10.0
_STATEMENT_SECONDS = 20.0
_ANSWER_SECONDS = 25.0  # longer than the server gives a statement: silence beyond it is a lost server
_PAUSE_SECONDS = 5.0  # a process that stopped in the middle holds its fence so long and no longer
# Classes of SQLSTATE that are about the content: data, integrity, and what is too large for an index.
_CONTENT = ("22", "23", "54")


class Database:
    """Everything here may be asked for again after StoreUnavailable: a commit whose answer was lost may have happened."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self._pool = pool

    async def transact(self, work: Work[T], fence: Sequence[Lease] = ()) -> T:
        """Do the work in one transaction that proves its leases first.

        Raises LeaseLost when one of them is somebody else's now, StoreRefused for content that can never be stored,
        StoreUnavailable for everything else; nothing was stored then, unless the answer to the commit was lost.
        """
        try:
            async with (
                self._pool.acquire(timeout=_CONNECT_SECONDS) as connection,
                # Whatever the server's default: the epochs must be read after their locks were had.
                connection.transaction(isolation="read_committed"),
            ):
                await prove(connection, fence)
                return await work(connection)
        except HubError:
            raise
        except Exception as error:
            raise await self._failure(error) from error

    async def read(self, work: Work[T]) -> T:
        """Do the work on one unchanging picture of the database."""
        try:
            async with (
                self._pool.acquire(timeout=_CONNECT_SECONDS) as connection,
                connection.transaction(isolation="repeatable_read", readonly=True),
            ):
                return await work(connection)
        except HubError:
            raise
        except Exception as error:
            raise await self._failure(error) from error

    async def fetch(self, query: str, *values: object) -> list[asyncpg.Record]:
        """Return the rows of one statement, which sees one picture by itself."""
        try:
            async with self._pool.acquire(timeout=_CONNECT_SECONDS) as connection:
                return await connection.fetch(query, *values)
        except HubError:
            raise
        except Exception as error:
            raise await self._failure(error) from error

    async def problem(self) -> str | None:
        """Return why nothing could be written now, by writing something."""
        try:
            await self.transact(_touch)
        except StoreError as error:
            return str(error)
        return None

    async def _failure(self, error: Exception) -> HubError:
        _insist_on_ending()
        if isinstance(error, TimeoutError):
            # Silence: the way to the server may have gone under all connections alike. The next question makes a new one.
            await self._pool.expire_connections()
        return failure(error)

    async def close(self) -> None:
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                await self._pool.close()
        except TimeoutError:
            self._pool.terminate()


@asynccontextmanager
async def open_database(dsn: str, *, connections: int = 8) -> AsyncIterator[Database]:
    """Open a pool on a database that has this hub's schema; raises ConfigError where the operator must act."""
    settings = {
        "application_name": "hub",
        "idle_in_transaction_session_timeout": f"{_PAUSE_SECONDS:.0f}s",
        "statement_timeout": f"{_STATEMENT_SECONDS:.0f}s",
        "jit": "off",  # the statements are small: compiling them takes longer than they do
        # Every statement names its rows by key. The planner would read whole tables all the same, as long as it has no
        # statistics, or old ones: of a table that was empty a minute ago.
        "enable_seqscan": "off",
        "enable_hashjoin": "off",
        "enable_mergejoin": "off",
        "timezone": "UTC",
    }
    # What the hub acknowledged must be on disk, whatever the server's default is.
    if await check_schema(dsn, _CONNECT_SECONDS) == "off":
        settings["synchronous_commit"] = "on"
    try:
        pool = await asyncpg.create_pool(
            dsn,
            min_size=1,
            max_size=connections,
            timeout=_CONNECT_SECONDS,
            command_timeout=_ANSWER_SECONDS,
            server_settings=settings,
            reset=_keep,
        )
    except Exception as error:
        raise failure(error) from error
    if pool is None:
        raise ConfigError(f"no connections to {where(dsn)}: allow at least one")
    database = Database(pool)
    try:
        yield database
    except BaseException:
        # Whoever fails must not wait for those who still hold a connection.
        pool.terminate()
        raise
    else:
        await database.close()


def _insist_on_ending() -> None:
    """Raise CancelledError when this task was told to end: what failed then was the roll-back, which must not hide it."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


async def _touch(connection: Connection) -> None:
    await connection.execute(
        "INSERT INTO meta VALUES ('writable', clock_timestamp()::text) "
        "ON CONFLICT (name) DO UPDATE SET value = excluded.value"
    )


async def _keep(_: Any) -> None:
    """Leave a connection as it is between two uses: no transaction here outlives its call, nor changes a setting."""


def failure(error: Exception) -> HubError:
    """Return what went wrong as one of ours: the content's fault, or the connection's and the server's."""
    if isinstance(error, HubError):
        return error
    if isinstance(error, asyncpg.PostgresError):
        state = error.sqlstate or ""
        said = _said(error)
        if state.startswith(_CONTENT):
            return StoreRefused(f"the database refused a transaction: {said}")
        if state == "53100":
            return StoreUnavailable(
                "the database's disk is full: nothing was stored; free some space there and it goes on by itself"
            )
        return StoreUnavailable(f"the database cannot do this now ({said}): ask again")
    if isinstance(error, asyncpg.InterfaceError | asyncpg.InternalClientError | OSError):
        reason = str(error).partition("\n")[0] or type(error).__name__
        return StoreUnavailable(f"the database cannot be reached ({reason}): ask again")
    return StoreRefused(f"a transaction was refused: {type(error).__name__}: {error}")


def _said(error: asyncpg.PostgresError) -> str:
    text = str(error.args[0] if error.args else "").partition("\n")[0]
    if text.startswith("invalid input for query argument"):
        text = text.partition(":")[0]  # the rest is the value, which may be a secret
    return f"{type(error).__name__}: {text[:200]}"
