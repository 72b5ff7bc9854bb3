"""Everything a hub keeps in PostgreSQL as one thing: for tests; a process takes the parts its roles need."""

from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

from hub.bus.follower import Follower
from hub.bus.lease import Lease, Owned
from hub.clock import Clock
from hub.store.postgres.approvals import PostgresApprovals
from hub.store.postgres.browse import PostgresBrowser
from hub.store.postgres.clients import PostgresClients
from hub.store.postgres.contacts import PostgresContacts
from hub.store.postgres.database import Database, open_database
from hub.store.postgres.devices import PostgresDevices
from hub.store.postgres.endpoints import PostgresEndpoints
from hub.store.postgres.engine import PostgresEngineStore
from hub.store.postgres.feed import PostgresFeed
from hub.store.postgres.health import PostgresHealths
from hub.store.postgres.intents import PostgresIntents
from hub.store.postgres.keys import PostgresKeys
from hub.store.postgres.lease import PostgresLeases
from hub.store.postgres.log import PostgresLog
from hub.store.postgres.messages import PostgresMessages
from hub.store.postgres.outbox import PostgresDeliveries
from hub.store.postgres.profiles import PostgresProfiles
from hub.store.postgres.prune import PostgresPruner
from hub.store.postgres.replays import PostgresReplays
from hub.store.postgres.switches import PUSHED, PostgresSwitches
from hub.store.postgres.tokens import PostgresTickets, PostgresTokens
from hub.store.retention import Retention


class OwnedNames(Protocol):
    """The endpoints, or the servers, of this process."""

    def fence(self, names: Collection[str]) -> Sequence[Lease]:
        """Return the leases that prove these are ours; raises LeaseLost when one of them is not."""


@dataclass(frozen=True, slots=True)
class PostgresStore:
    database: Database
    log: PostgresLog
    engine: PostgresEngineStore
    deliveries: PostgresDeliveries
    endpoints: PostgresEndpoints
    healths: PostgresHealths
    intents: PostgresIntents
    leases: PostgresLeases
    keys: PostgresKeys
    approvals: PostgresApprovals
    clients: PostgresClients
    profiles: PostgresProfiles
    contacts: PostgresContacts
    messages: PostgresMessages
    devices: PostgresDevices
    browser: PostgresBrowser
    pruner: PostgresPruner
    switches: PostgresSwitches
    pushed: PostgresSwitches
    feed: PostgresFeed
    tokens: PostgresTokens
    tickets: PostgresTickets
    replays: PostgresReplays

    def follow(self, positions: Sequence[int]) -> Follower:
        """Return a consumer's place in the log that hears of every commit of this process."""
        follower = Follower(self.log, positions)
        self.log.listen(follower.offer)
        return follower


@asynccontextmanager
async def open_postgres(
    dsn: str,
    clock: Clock,
    *,
    partitions: Owned,
    endpoints: OwnedNames,
    servers: OwnedNames,
    lease_clock: Clock | None = None,
    retention: Retention | None = None,
    connections: int = 8,
) -> AsyncIterator[PostgresStore]:
    """Open the store of a process that owns what it says; raises ConfigError when the database cannot be used.

    Leases are by the server's clock unless `lease_clock` is given. The log's heads are known after `log.open()`.
    """
    async with open_database(dsn, connections=connections) as database:
        log = PostgresLog(database, clock, partitions)
        intents = PostgresIntents(database, servers.fence)
        yield PostgresStore(
            database=database,
            log=log,
            engine=PostgresEngineStore(database, log, partitions, clock, told_intents=intents.told),
            deliveries=PostgresDeliveries(database, partitions.fence, endpoints.fence),
            endpoints=PostgresEndpoints(database),
            healths=PostgresHealths(database, endpoints.fence),
            intents=intents,
            leases=PostgresLeases(database, lease_clock),
            keys=PostgresKeys(database),
            approvals=PostgresApprovals(database),
            clients=PostgresClients(database),
            profiles=PostgresProfiles(database),
            contacts=PostgresContacts(database),
            messages=PostgresMessages(database),
            devices=PostgresDevices(database),
            browser=PostgresBrowser(database),
            pruner=PostgresPruner(database, clock, retention),
            switches=PostgresSwitches(database),
            pushed=PostgresSwitches(database, PUSHED),
            feed=PostgresFeed(database),
            tokens=PostgresTokens(database),
            tickets=PostgresTickets(database),
            replays=PostgresReplays(database, endpoints.fence),
        )
