"""The schema in PostgreSQL: brought up to date by whoever says so, and checked by everybody else."""

from importlib import resources
from urllib.parse import urlsplit

import asyncpg

from hub.errors import ConfigError, StoreError, StoreUnavailable
from hub.ids import PARTITIONS

_LOCK = 0x6875625F6D696772  # one migration at a time; the number says "hub_migr"
_CONNECT_SECONDS = 10.0
# The operator's doing: the address, the password, the role or the database's name.
_SETTINGS = (
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidPasswordError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.InsufficientPrivilegeError,
)


def migrations() -> list[tuple[int, str]]:
    """Return (number, text) of every migration, in order."""
    folder = resources.files("hub.store.postgres") / "migrations"
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".sql"))
    return [(int(name[:4]), (folder / name).read_text()) for name in names]


async def migrate(dsn: str) -> int:
    """Apply the migrations that are missing, all or none, and return the version.

    May be called again, and by several at once: the others wait and find nothing to do.
    """
    connection = await connect(dsn, _CONNECT_SECONDS)
    try:
        async with connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
            found = await _version(connection)
            _refuse_newer(dsn, found)
            for number, text in migrations():
                if number > found:
                    await connection.execute(text)
            version = migrations()[-1][0]
            await connection.executemany(
                "INSERT INTO meta VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                [("schema", str(version)), ("partitions", str(PARTITIONS))],
            )
    except asyncpg.InsufficientPrivilegeError as error:
        raise ConfigError(
            f"the role may not make tables in {where(dsn)}: grant it CREATE on the schema, or migrate as the owner"
        ) from error
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
        raise StoreUnavailable(f"cannot migrate {where(dsn)}: {type(error).__name__}: {error}") from error
    finally:
        await connection.close()
    return version


async def check_schema(dsn: str, seconds: float) -> str:
    """Raise ConfigError unless the database has this hub's schema; return the server's synchronous_commit."""
    connection = await connect(dsn, seconds)
    try:
        found = await _version(connection)
        newest = migrations()[-1][0]
        if found < newest:
            state = "has no hub schema yet" if found == 0 else f"has schema {found}, this hub needs {newest}"
            raise ConfigError(f"{where(dsn)} {state}: run `hub migrate`")
        _refuse_newer(dsn, found)
        if await connection.fetchval("SELECT true FROM meta WHERE name = 'moving'"):
            raise ConfigError(
                f"{where(dsn)} holds half of a hub, whose move was not finished: run the same `hub migrate --data … --to …` again"
            )
        return str(await connection.fetchval("SHOW synchronous_commit"))
    except asyncpg.InsufficientPrivilegeError as error:
        raise ConfigError(
            f"the role may not read the tables of {where(dsn)}: let the hub sign in as the role that migrated it"
        ) from error
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
        raise StoreUnavailable(f"cannot use {where(dsn)}: {type(error).__name__}: {error}") from error
    finally:
        await connection.close()


def where(dsn: str) -> str:
    """Return a DSN as a person may see it: without user, password or options."""
    try:
        parts = urlsplit(dsn)
        return f"postgresql://{parts.hostname or ''}{f':{parts.port}' if parts.port else ''}{parts.path}"
    except ValueError:
        return "the database"


async def connect(
    dsn: str, seconds: float, *, answer_within: float | None = None
) -> "asyncpg.Connection[asyncpg.Record]":
    """Return one connection; every reason why there is none is told as the operator's or the server's."""
    try:
        return await asyncpg.connect(dsn, timeout=seconds, command_timeout=answer_within)
    except _SETTINGS as error:
        raise ConfigError(
            f"{where(dsn)} does not let us in ({type(error).__name__}): correct the user, the password or the name of the database"
        ) from error
    except (asyncpg.ClientConfigurationError, ValueError):
        # Not chained: the complaint may quote the DSN, and with it the password.
        raise ConfigError(
            "the database's address cannot be read: write it as postgresql://user:password@host:5432/name"
        ) from None
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
        raise _unreachable(dsn, error) from error


def _unreachable(dsn: str, error: Exception) -> StoreError:
    reason = str(error).partition("\n")[0] or type(error).__name__
    return StoreUnavailable(
        f"{where(dsn)} cannot be reached ({reason}): is PostgreSQL running there, and may this host connect?"
    )


async def _version(connection: "asyncpg.Connection[asyncpg.Record]") -> int:
    if await connection.fetchval("SELECT to_regclass('meta')") is None:
        return 0
    found = await connection.fetchval("SELECT value FROM meta WHERE name = 'schema'")
    return int(found) if found is not None else 0


def _refuse_newer(dsn: str, found: int) -> None:
    newest = migrations()[-1][0]
    if found > newest:
        raise ConfigError(
            f"{where(dsn)} was migrated by a newer hub (schema {found}, this one knows {newest}): upgrade this hub"
        )
