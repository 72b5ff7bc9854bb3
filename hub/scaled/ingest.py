"""The ingest role: each source is followed by one process, which tells the owners of the partitions what happens there."""

from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from hub.bus.lease import Lease
from hub.bus.log import Teller
from hub.clock import Clock
from hub.config import Settings
from hub.ingest.samples import SampleSink
from hub.ingest.symbols import SymbolClasses
from hub.parts import connector
from hub.scaled.process import Process
from hub.stages import Service, Stages
from hub.store.postgres.marks import SourceFence


@dataclass(slots=True)
class IngestRole:
    settings: Settings
    teller: Teller
    samples: SampleSink
    symbols: SymbolClasses
    clock: Clock

    def names(self) -> Collection[str]:
        return frozenset(source.name for source in self.settings.sources)

    @asynccontextmanager
    async def begin(self, names: frozenset[str]) -> AsyncIterator[Service]:
        connectors = [
            connector(source, self.teller, self.clock, self.samples, self.symbols)
            for source in self.settings.sources
            if source.name in names
        ]
        yield Stages((connectors,), lambda: None)


def add(
    process: Process, tell: Callable[[SourceFence], Teller], samples: SampleSink, symbols: SymbolClasses
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

    role = IngestRole(process.settings, tell(owned), samples, symbols, process.clock)
    ownership = process.work_in_shifts("connector", role.names, role.begin)
