"""What the broker says about accounts, on PostgreSQL: the owner of each account's partition is told by arrivals."""

from collections.abc import Sequence
from typing import Literal, final

import structlog
from typing_extensions import override

from hub.errors import HubError, StoreUnavailable
from hub.events.facts import Fact
from hub.ingest.profiles import ProfileStore, StoredProfile
from hub.store.postgres.arrivals import send
from hub.store.postgres.database import Connection, Database
from hub.store.postgres.endpoints import rows_in
from hub.store.postgres.notices import notify_arrivals

_COLUMNS = "account, version, body, created_at, updated_at"

log = structlog.get_logger(__name__)


class _Stale(HubError):
    """Takes the transaction back: another change came first."""


@final
class PostgresProfiles(ProfileStore):
    def __init__(self, database: Database) -> None:
        self._database = database

    @override
    async def get(self, account: str) -> StoredProfile | None:
        row = await self._database.read(
            lambda connection: connection.fetchrow(
                f"SELECT {_COLUMNS} FROM account_profile WHERE account = $1", account
            )
        )
        return StoredProfile(*row) if row else None

    @override
    async def put(self, profile: StoredProfile, facts: Sequence[Fact]) -> Literal["stored", "stale"]:
        async def work(connection: Connection) -> None:
            await _write(connection, profile)
            await send(connection, facts, [])

        try:
            await self._database.transact(work)
        except _Stale:
            return "stale"
        try:
            await notify_arrivals(self._database, [fact.partition for fact in facts])
        except StoreUnavailable as problem:
            # It is stored. The owners look at what arrived from time to time in any case.
            log.warning("profile.untold", account=profile.account, reason=str(problem))
        return "stored"


async def _write(connection: Connection, profile: StoredProfile) -> None:
    # The row's lock makes one of two who change it at the same time wait, and then see that it came second.
    if profile.version == 1:
        statement = f"INSERT INTO account_profile ({_COLUMNS}) VALUES ($1, $2, $3, $4, $5) ON CONFLICT (account) DO NOTHING"
    else:
        statement = (
            "UPDATE account_profile SET version = $2, body = $3, created_at = $4, updated_at = $5 "
            "WHERE account = $1 AND version = $2 - 1"
        )
    if not rows_in(await connection.execute(statement, *profile)):
        raise _Stale("another change came first")
