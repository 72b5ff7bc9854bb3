"""The directory of clients on PostgreSQL: several processes may change it, and each account's owner is told by arrivals."""

from collections.abc import Sequence
from typing import final

import structlog
from typing_extensions import override

from hub.errors import HubError, StoreUnavailable
from hub.events.facts import Fact
from hub.ingest.directory import ClientStore, PutOutcome, StoredClient
from hub.store.postgres.arrivals import send
from hub.store.postgres.database import Connection, Database
from hub.store.postgres.endpoints import rows_in
from hub.store.postgres.notices import notify_arrivals

_COLUMNS = "id, version, body, created_at, updated_at"

log = structlog.get_logger(__name__)


class _NotStored(HubError):
    """Takes the transaction back, for a reason that is an answer."""

    def __init__(self, outcome: PutOutcome) -> None:
        super().__init__(outcome.state)
        self.outcome = outcome


@final
class PostgresClients(ClientStore):
    def __init__(self, database: Database) -> None:
        self._database = database

    @override
    async def get(self, client_id: str) -> StoredClient | None:
        row = await self._database.read(
            lambda connection: connection.fetchrow(f"SELECT {_COLUMNS} FROM client WHERE id = $1", client_id)
        )
        return StoredClient(*row) if row else None

    @override
    async def list(self, *, after: str, limit: int) -> Sequence[StoredClient]:
        rows = await self._database.read(
            lambda connection: connection.fetch(
                f"SELECT {_COLUMNS} FROM client WHERE id > $1 ORDER BY id LIMIT $2", after, limit
            )
        )
        return [StoredClient(*row) for row in rows]

    @override
    async def put(self, client: StoredClient, accounts: Sequence[str], facts: Sequence[Fact]) -> PutOutcome:
        async def work(connection: Connection) -> None:
            await _write_client(connection, client)
            await _link(connection, client.id, sorted(set(accounts)))
            await send(connection, facts, [])

        try:
            await self._database.transact(work)
        except _NotStored as answer:
            return answer.outcome
        try:
            await notify_arrivals(self._database, [fact.partition for fact in facts])
        except StoreUnavailable as problem:
            # It is stored. The owners look at what arrived from time to time in any case.
            log.warning("client.untold", client=client.id, reason=str(problem))
        return PutOutcome("stored")


async def _write_client(connection: Connection, client: StoredClient) -> None:
    # The row's lock makes one of two who change it at the same time wait, and then see that it came second.
    if client.version == 1:
        statement = f"INSERT INTO client ({_COLUMNS}) VALUES ($1, $2, $3, $4, $5) ON CONFLICT (id) DO NOTHING"
    else:
        statement = (
            "UPDATE client SET version = $2, body = $3, created_at = $4, updated_at = $5 "
            "WHERE id = $1 AND version = $2 - 1"
        )
    if not rows_in(await connection.execute(statement, *client)):
        raise _NotStored(PutOutcome("stale"))


async def _link(connection: Connection, client_id: str, accounts: Sequence[str]) -> None:
    await connection.execute(
        "DELETE FROM client_account WHERE client = $1 AND account <> ALL($2::text[])", client_id, accounts
    )
    # Sorted, so that two who want the same accounts wait for each other and not in a circle.
    await connection.execute(
        "INSERT INTO client_account (account, client) SELECT account, $2 FROM unnest($1::text[]) AS account "
        "ON CONFLICT (account) DO NOTHING",
        accounts,
        client_id,
    )
    linked = await connection.fetch(
        "SELECT account, client FROM client_account WHERE account = ANY($1::text[]) ORDER BY account",
        accounts,
    )
    for account, owner in linked:
        if owner != client_id:
            raise _NotStored(PutOutcome("taken", account, owner))
    if len(linked) < len(accounts):  # let go of by another client just now: it is free when we come again
        raise _NotStored(PutOutcome("stale"))
