"""One connection to the database a hub moves into, and what goes wrong on it told as one of ours."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeAlias

import asyncpg

from hub.errors import ConfigError, HubError, StoreRefused
from hub.store.postgres.database import failure
from hub.store.postgres.migrate import connect, where

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

_CONNECT_SECONDS = 10.0
_ANSWER_SECONDS = 600.0  # a whole table is looked at in one statement here and there


async def open_connection(dsn: str) -> Connection:
    connection = await connect(dsn, _CONNECT_SECONDS, answer_within=_ANSWER_SECONDS)
    with telling(where(dsn)):
        # What is told to be stored must be on disk, whatever the server's default is; and a large table takes its time.
        await connection.execute(
            "SELECT set_config('application_name', 'hub migrate', false), set_config('statement_timeout', '0', false), "
            "set_config('jit', 'off', false), set_config('synchronous_commit', "
            "CASE current_setting('synchronous_commit') WHEN 'off' THEN 'on' ELSE current_setting('synchronous_commit') END, "
            "false)"
        )
    return connection


async def refuse_strangers(dsn: str) -> None:
    """Refuse a database that has tables and none of ours, before ours are put beside them."""
    connection = await open_connection(dsn)
    try:
        with telling(where(dsn)):
            strange = await connection.fetchval(
                "SELECT relname FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p') "
                "AND to_regclass('meta') IS NULL ORDER BY relname LIMIT 1"
            )
    finally:
        await connection.close(timeout=_CONNECT_SECONDS)
    if strange is not None:
        raise ConfigError(
            f"{where(dsn)} belongs to something else (it has a table {strange}): name an empty database"
        )


@contextmanager
def telling(name: str) -> Iterator[None]:
    try:
        yield
    except HubError:
        raise
    except Exception as error:
        told = failure(error)
        if isinstance(told, StoreRefused):
            raise told from error
        raise type(told)(
            f"{name}: {told}; run the same command again, and the move goes on from where it is"
        ) from error
