"""The embedded store: everything a hub keeps, in one folder, opened and closed as one thing."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import apsw

from hub.bus.follower import Follower
from hub.clock import Clock
from hub.errors import StoreUnavailable
from hub.store.retention import Retention
from hub.store.sqlite.approvals import SqliteApprovals
from hub.store.sqlite.browse import SqliteBrowser
from hub.store.sqlite.clients import SqliteClients
from hub.store.sqlite.contacts import SqliteContacts
from hub.store.sqlite.database import FILE, Folder, open_writer
from hub.store.sqlite.devices import SqliteDevices
from hub.store.sqlite.engine import SqliteEngineStore
from hub.store.sqlite.feed import SqliteFeed
from hub.store.sqlite.health import SqliteHealths
from hub.store.sqlite.journal import Journal, recover
from hub.store.sqlite.keys import SqliteKeys
from hub.store.sqlite.lease import SqliteLeases
from hub.store.sqlite.log import SqliteLog
from hub.store.sqlite.messages import SqliteMessages
from hub.store.sqlite.numbering import Numbering
from hub.store.sqlite.outbox import SqliteDeliveries, SqliteEndpoints, SqliteIntents
from hub.store.sqlite.places import SqlitePlaces
from hub.store.sqlite.profiles import SqliteProfiles
from hub.store.sqlite.prune import Pruner
from hub.store.sqlite.reader import Reader
from hub.store.sqlite.replays import SqliteReplays
from hub.store.sqlite.switches import PUSHED, SqliteSwitches
from hub.store.sqlite.tokens import SqliteTickets, SqliteTokens
from hub.store.sqlite.writer import Writer


@dataclass(frozen=True, slots=True)
class SqliteStore:
    folder: Path
    writer: Writer
    reader: Reader
    log: SqliteLog
    engine: SqliteEngineStore
    journal: Journal
    deliveries: SqliteDeliveries
    endpoints: SqliteEndpoints
    healths: SqliteHealths
    intents: SqliteIntents
    leases: SqliteLeases
    keys: SqliteKeys
    approvals: SqliteApprovals
    clients: SqliteClients
    profiles: SqliteProfiles
    contacts: SqliteContacts
    messages: SqliteMessages
    devices: SqliteDevices
    browser: SqliteBrowser
    pruner: Pruner
    places: SqlitePlaces
    switches: SqliteSwitches
    pushed: SqliteSwitches
    feed: SqliteFeed
    tokens: SqliteTokens
    tickets: SqliteTickets
    replays: SqliteReplays

    def follow(self, positions: Sequence[int]) -> Follower:
        """Return a consumer's place in the log that hears of every commit."""
        follower = Follower(self.log, positions)
        self.log.listen(follower.offer)
        return follower

    def wal_bytes(self) -> int:
        """Return the size of the write-ahead log: it grows while a long read holds it."""
        wal = self.folder / f"{FILE}-wal"
        return wal.stat().st_size if wal.exists() else 0

    async def problem(self) -> str | None:
        """Return why nothing could be written now, by writing something."""
        try:
            await self.writer.submit(_touch)
        except StoreUnavailable as error:
            return str(error)
        return None


def _touch(connection: apsw.Connection) -> None:
    connection.execute("INSERT OR REPLACE INTO meta VALUES ('writable', strftime('%s'))")


@asynccontextmanager
async def open_sqlite(
    path: Path, clock: Clock, retention: Retention | None = None, *, pace_seconds: float = 0.0
) -> AsyncIterator[SqliteStore]:
    """Open the store in a data folder; raises ConfigError when the folder cannot be used.

    While many append at once, commits begin at least `pace_seconds` apart.
    """
    folder = Folder(path)
    try:
        connection = open_writer(folder.database)
        try:
            recover(connection)
            writer = Writer(connection, asyncio.get_running_loop(), pace_seconds=pace_seconds)
            reader = Reader(folder.database)
            numbering = Numbering(connection)
            writer.rolled_back.append(numbering.forget)
            log = SqliteLog(writer, reader, numbering, clock)
            writer.crowded = log.is_crowded
            journal = Journal(writer)
            intents = SqliteIntents(writer, reader, log)
            store = SqliteStore(
                folder=path,
                writer=writer,
                reader=reader,
                log=log,
                engine=SqliteEngineStore(writer, reader, log, journal, clock, told_intents=intents.told),
                journal=journal,
                deliveries=SqliteDeliveries(writer, reader),
                endpoints=SqliteEndpoints(writer, reader),
                healths=SqliteHealths(writer, reader),
                intents=intents,
                leases=SqliteLeases(writer, clock),
                keys=SqliteKeys(writer, reader),
                approvals=SqliteApprovals(reader),
                clients=SqliteClients(writer, reader, log),
                profiles=SqliteProfiles(writer, reader, log),
                contacts=SqliteContacts(writer, reader),
                messages=SqliteMessages(writer, reader),
                devices=SqliteDevices(writer, reader),
                browser=SqliteBrowser(reader),
                places=SqlitePlaces(writer, reader),
                switches=SqliteSwitches(writer, reader),
                pushed=SqliteSwitches(writer, reader, PUSHED),
                feed=SqliteFeed(reader),
                tokens=SqliteTokens(writer, reader),
                tickets=SqliteTickets(writer),
                replays=SqliteReplays(writer, reader),
                pruner=Pruner(writer, numbering, clock, retention or Retention()),
            )
            try:
                yield store
            finally:
                await writer.close()
                reader.close()
        finally:
            connection.close()
    finally:
        folder.close()
