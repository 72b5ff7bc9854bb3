"""The ingest role: each source is followed by one process, which tells the owners of the partitions what happens there."""

from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from hub.bus.kafka.ends import topic_ends
from hub.bus.lease import Lease
from hub.bus.log import Teller
from hub.clock import Clock
from hub.config import Settings
from hub.ending import GiveUp
from hub.ingest.base_currency import BaseCurrency
from hub.ingest.samples import Sink, Wanted
from hub.ingest.symbols import SymbolClasses
from hub.parts import connector
from hub.scaled.admission import consumer
from hub.scaled.process import Process
from hub.scaled.stored import StoredByOwners
from hub.stages import Service, Stages
from hub.store.postgres.database import Connection
from hub.store.postgres.marks import SourceFence
from hub.store.postgres.positions import read_positions


@dataclass(slots=True)
class IngestRole:
    settings: Settings
    teller: Teller
    samples: Sink
    symbols: SymbolClasses
    base: BaseCurrency
    positions: Wanted
    clock: Clock
    stored: StoredByOwners
    give_up: GiveUp

    def names(self) -> Collection[str]:
        return frozenset(source.name for source in self.settings.sources)

    @asynccontextmanager
    async def begin(self, names: frozenset[str]) -> AsyncIterator[Service]:
        connectors = [
            connector(
                source,
                self.teller,
                self.clock,
                self.samples,
                self.symbols,
                self.base,
                self.positions,
                self.stored.wait,
            )
            for source in self.settings.sources
            if source.name in names
        ]
        yield Stages((connectors,), lambda: None, give_up=self.give_up)


def add(
    process: Process,
    tell: Callable[[SourceFence], Teller],
    samples: Sink,
    symbols: SymbolClasses,
    base: BaseCurrency,
    positions: Wanted,
) -> None:
    """Let the process own connectors."""

    def owned(sources: Collection[str]) -> Sequence[Lease]:
        # A connector remembers things under its own name, or its own and that of an account.
        return ownership.fence(
            {
                name
                for name in role.names()
                if any(source == name or source.startswith(f"{name}:") for source in sources)
            }
        )

    stored = stored_by_owners(process)
    process.problems.append(stored.problem)
    role = IngestRole(
        process.settings,
        tell(owned),
        samples,
        symbols,
        base,
        positions,
        process.clock,
        stored,
        process.give_up,
    )
    ownership = process.work_in_shifts("connector", role.names, role.begin)


def stored_by_owners(process: Process) -> StoredByOwners:
    """Return what tells when the owners of all partitions have stored what was told to them.

    Connectors tell the live lane, and wait for it alone: an import fills the other one for hours.
    """
    kafka, database = process.kafka, process.database

    async def positions() -> dict[tuple[str, int], int]:
        async def work(connection: Connection) -> dict[tuple[str, int], int]:
            reached = await read_positions(connection, consumer(kafka.live))
            return {(kafka.live, partition): n for partition, n in enumerate(reached)}

        return await database.read(work)

    return StoredByOwners(lambda: topic_ends(kafka, (kafka.live,)), positions, process.clock)
