"""The pool of connections to PostgreSQL: one transaction a call, and every failure told as one of ours."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import asyncpg
import structlog
from asyncpg.pool import PoolConnectionProxy
from asyncpg.transaction import Transaction

from hub.bus.lease import Lease
from hub.ending import insist_on_ending
from hub.errors import ConfigError, HubError, StoreError, StoreRefused, StoreUnavailable
from hub.store.postgres.fence import prove
from hub.store.postgres.migrate import check_schema, where
from hub.store.postgres.session import LIMITS, NAME, STATEMENT_SECONDS, Session, begun, end_stuck

if TYPE_CHECKING:
    Connection: TypeAlias = PoolConnectionProxy[asyncpg.Record]
else:
    Connection: TypeAlias = PoolConnectionProxy

T = TypeVar("T")
Work: TypeAlias = Callable[[Connection], Awaitable[T]]

_CONNECT_SECONDS = 10.0
# Silence for longer than the server gives a statement is a lost server.
_ANSWER_SECONDS = STATEMENT_SECONDS + 5.0
_FAREWELL_SECONDS = 0.5  # for what a transaction that failed has still to say; then its connection is dropped
# Classes of SQLSTATE that are about the content: data, integrity, and what is too large for an index.
_CONTENT = ("22", "23", "54")

log = structlog.get_logger(__name__)


class Database:
    """Everything here may be asked for again after StoreUnavailable: a commit whose answer was lost may have happened."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self._pool = pool

    async def transact(self, work: Work[T], fence: Sequence[Lease] = ()) -> T:
        """Do the work in one transaction that proves its leases first.

        Raises LeaseLost when one of them is somebody else's now, StoreRefused for content that can never be stored,
        StoreUnavailable for everything else; nothing was stored then, unless the answer to the commit was lost.
        """
        # Whatever the server's default: the epochs must be read after their locks were had.
        async with self._transaction(isolation="read_committed") as connection:
            await prove(connection, fence)
            return await work(connection)

    async def read(self, work: Work[T]) -> T:
        """Do the work on one unchanging picture of the database."""
        async with self._transaction(isolation="repeatable_read", readonly=True) as connection:
            return await work(connection)

    async def fetch(self, query: str, *values: object) -> list[asyncpg.Record]:
        """Return the rows of one statement, which sees one picture by itself."""
        async with self._connection() as connection:
            return await connection.fetch(query, *values)

    @asynccontextmanager
    async def _transaction(self, **kind: Any) -> AsyncIterator[Connection]:
        async with self._connection() as connection:
            transaction = connection.transaction(**kind)
            try:
                await transaction.start()
                yield connection
                await transaction.commit()
            except BaseException as error:
                await _give_up(connection, transaction, error)
                raise

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        """Lend a connection; whatever happens to it is told as one of ours."""
        try:
            connection = await self._pool.acquire(timeout=_CONNECT_SECONDS)
            try:
                yield connection
            except TimeoutError:
                _drop(connection)  # it may have been lost, and would then be waited for once more
                raise
            finally:
                await self._pool.release(connection, timeout=_FAREWELL_SECONDS)
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
        insist_on_ending()  # what failed then was the roll-back
        if isinstance(error, TimeoutError | asyncpg.ConnectionDoesNotExistError):
            # The way to the server may have gone under all connections alike. The next question makes a new one.
            await self._pool.expire_connections()
        if isinstance(error, asyncpg.LockNotAvailableError | asyncpg.QueryCanceledError):
            await self._make_way()
        return failure(error)

    async def _make_way(self) -> None:
        """End who holds locks and is not there, so that asking again gets further than before."""
        with contextlib.suppress(Exception):  # why it was asked is told by the caller, and asked again
            async with self._pool.acquire(timeout=_CONNECT_SECONDS) as connection:
                if ended := await end_stuck(connection):
                    log.warning("store.stuck_sessions_ended", sessions=ended)

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
        **LIMITS,
        "application_name": NAME,
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
            init=begun,
            connection_class=Session,
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


async def _give_up(connection: Connection, transaction: Transaction, error: BaseException) -> None:
    """Roll back if the server answers; a connection without an answer is dropped, and the server drops the transaction."""
    if isinstance(error, TimeoutError):
        _drop(connection)
        return
    try:
        async with asyncio.timeout(_FAREWELL_SECONDS):
            await transaction.rollback()
    except Exception:
        _drop(connection)


def _drop(connection: Connection) -> None:
    with contextlib.suppress(asyncpg.InterfaceError):  # one that has ended is not lent any more
        connection.terminate()


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
