"""The backends the suites of this folder run over, each behind one small face that can be closed and opened again."""

from collections.abc import Awaitable, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

from hub.bus.lease import Lease, Leases
from hub.bus.log import Input, InputKind, Log
from hub.bus.memory import MemoryLeases
from hub.clock import ManualClock
from hub.dispatch.memory import MemoryDeliveries, MemoryEndpoints, MemoryIntents
from hub.dispatch.outbox import Deliveries, Endpoints, Intents
from hub.engine.memory import MemoryEngineStore, MemoryLog
from hub.engine.rows import Batch, EngineStore
from hub.errors import HubError
from hub.events.facts import Fact
from hub.ids import PARTITIONS
from hub.intents.intent import Intent
from hub.store.sqlite.store import SqliteStore
from hub.testing import MORNING, open_store

HOUR = timedelta(hours=1)


class SqliteBackend:
    """The store on a real file; `reopen` is a restart of the process as far as the store can tell."""

    durable = True

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = ManualClock(MORNING)
        self._stack = AsyncExitStack()
        self.store: SqliteStore

    async def open(self) -> "SqliteBackend":
        self.store = await self._stack.enter_async_context(open_store(self.folder, self.clock))
        return self

    async def close(self) -> None:
        await self._stack.aclose()

    async def reopen(self) -> None:
        await self.close()
        await self.open()

    @property
    def log(self) -> Log:
        return self.store.log

    @property
    def engine(self) -> EngineStore:
        return self.store.engine

    @property
    def leases(self) -> Leases:
        return self.store.leases

    @property
    def deliveries(self) -> Deliveries:
        return self.store.deliveries

    @property
    def endpoints(self) -> Endpoints:
        return self.store.endpoints

    @property
    def intents(self) -> Intents:
        return self.store.intents

    async def lease(self, owner: str = "this process", duration: timedelta = HOUR) -> Lease:
        lease = await self.leases.take("partitions", owner, duration)
        assert lease is not None
        return lease

    async def intent(self, key: str) -> Intent | None:
        return await self.intents.get(key)

    async def decide(self, **rows: Any) -> None:
        """Commit one batch of the engine."""
        await self.engine.commit(Batch(**rows), [await self.lease()])

    async def add_intents(self, *intents: Intent) -> None:
        await self.decide(intents=list(intents))

    async def add_event(self, fact: Fact) -> Input:
        await self.log.append([fact])
        found = await self.log.find(fact.key)
        assert found is not None
        return found

    async def outcomes(self) -> list[tuple[str, bytes]]:
        rows = await self.log.scan(0, 10_000)
        return [(row.ref, row.body) for row in rows if row.kind == InputKind.OUTCOME]


class MemoryHub:
    """The log and the engine's store in memory; they outlive a `reopen`, because there is nothing to close."""

    durable = False

    def __init__(self) -> None:
        self.clock = ManualClock(MORNING)
        self.log = MemoryLog(self.clock)
        self.engine = MemoryEngineStore(self.log)
        self.leases = MemoryLeases(self.clock)

    async def open(self) -> "MemoryHub":
        return self

    async def close(self) -> None:
        pass

    async def reopen(self) -> None:
        pass

    async def lease(self, owner: str = "this process", duration: timedelta = HOUR) -> Lease:
        lease = await self.leases.take("partitions", owner, duration)
        assert lease is not None
        self.engine.epoch = lease.epoch
        return lease

    async def intent(self, key: str) -> Intent | None:
        return self.engine.intents.get(key)

    async def decide(self, **rows: Any) -> None:
        await self.engine.commit(Batch(**rows), [await self.lease()])

    async def add_intents(self, *intents: Intent) -> None:
        await self.decide(intents=list(intents))


class MemoryDispatch:
    """Dispatch's memory twins."""

    durable = False

    def __init__(self) -> None:
        self.clock = ManualClock(MORNING)
        self.deliveries = MemoryDeliveries()
        self.endpoints = MemoryEndpoints(self.deliveries)
        self.intents = MemoryIntents()
        self._n = [0] * PARTITIONS

    async def open(self) -> "MemoryDispatch":
        return self

    async def close(self) -> None:
        pass

    async def reopen(self) -> None:
        pass

    async def add_intents(self, *intents: Intent) -> None:
        self.intents.add(*intents)

    async def add_event(self, fact: Fact) -> Input:
        self._n[fact.partition] += 1
        row = Input(
            fact.partition,
            self._n[fact.partition],
            0,
            InputKind.EVENT,
            fact.account,
            fact.envelope.id,
            1,
            b"{}",
        )
        self.deliveries.inputs[row.partition, row.n] = row
        return row

    async def outcomes(self) -> list[tuple[str, bytes]]:
        return [(item.ref, item.body) for item in self.intents.told]


class MemoryLeasing:
    """Leases without a store."""

    durable = False

    def __init__(self) -> None:
        self.clock = ManualClock(MORNING)
        self.leases = MemoryLeases(self.clock)

    async def open(self) -> "MemoryLeasing":
        return self

    async def close(self) -> None:
        pass

    async def reopen(self) -> None:
        pass


Dispatch = SqliteBackend | MemoryDispatch


async def error_of(awaitable: Awaitable[Any]) -> HubError | None:
    try:
        await awaitable
    except HubError as error:
        return error
    return None


async def rows_of(log: Log, partition: int) -> list[Input]:
    return await log.read(partition, 0, 100_000)


async def assert_numbered_without_gaps(log: Log, facts: Sequence[Fact]) -> None:
    """Every fact stands once; every partition counts 1, 2, 3…; every account's events count 1, 2, 3… in that order."""
    stored: list[str] = []
    sequences: dict[str, list[int]] = {}
    heads = log.heads()
    for partition in range(PARTITIONS):
        rows = await rows_of(log, partition)
        assert [row.n for row in rows] == list(range(1, len(rows) + 1))
        assert heads[partition] == len(rows)
        stored += [row.ref for row in rows if row.kind == InputKind.EVENT]
        for row in rows:
            if row.sequence is not None:
                sequences.setdefault(row.key, []).append(row.sequence)
    assert sorted(stored) == sorted({fact.envelope.id for fact in facts})
    assert all(numbers == list(range(1, len(numbers) + 1)) for numbers in sequences.values())
