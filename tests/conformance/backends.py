"""The backends the suites of this folder run over, each behind one small face that can be closed and opened again."""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Collection, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any, Self

import asyncpg

from hub.bus.lease import Lease, Leases
from hub.bus.log import Input, InputKind, Log
from hub.bus.memory import MemoryLeases
from hub.clock import ManualClock
from hub.dispatch.health import Healths
from hub.dispatch.memory import MemoryDeliveries, MemoryEndpoints, MemoryIntents
from hub.dispatch.memory_health import MemoryHealths
from hub.dispatch.outbox import Deliveries, Endpoints, Intents
from hub.engine.memory import MemoryEngineStore, MemoryLog
from hub.engine.rows import Batch, EngineStore
from hub.errors import HubError, LeaseLost
from hub.events.facts import Fact
from hub.ids import PARTITIONS
from hub.intents.intent import Intent
from hub.store.sqlite.store import SqliteStore
from hub.testing import MORNING, open_store
from hub.testing.postgres import PostgresStore, open_postgres

HOUR = timedelta(hours=1)


class StoreBackend(ABC):
    """A whole store; `reopen` is a restart of the process as far as the store can tell."""

    durable = True
    store: SqliteStore | PostgresStore

    def __init__(self) -> None:
        self.clock = ManualClock(MORNING)
        self._stack = AsyncExitStack()

    @abstractmethod
    async def open(self) -> Self: ...

    async def close(self) -> None:
        await self._stack.aclose()

    async def reopen(self) -> None:
        await self.close()
        await self.open()

    @abstractmethod
    async def take_in(self) -> None:
        """Take what was left for the owner, in a store where others leave things."""

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
    def healths(self) -> Healths:
        return self.store.healths

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


class SqliteBackend(StoreBackend):
    """On a real file."""

    store: SqliteStore

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    async def open(self) -> Self:
        self.store = await self._stack.enter_async_context(open_store(self.folder, self.clock))
        return self

    async def take_in(self) -> None:
        """Nothing is left here: one process owns everything."""


class AllUnderOneLease:
    """Everything is owned, as long as one lease stands."""

    def __init__(self) -> None:
        self.lease: Lease | None = None

    def fence(self, names: Collection[Any]) -> Sequence[Lease]:
        if self.lease is None:
            raise LeaseLost("nothing is owned yet: take the lease first")
        return [self.lease] if names else []

    def partitions(self) -> Sequence[int]:
        return range(PARTITIONS)


class PostgresBackend(StoreBackend):
    """On a real server, as the one process that owns everything, or the one that took it over."""

    store: PostgresStore

    def __init__(self, dsn: str, clock: ManualClock | None = None, owner: str = "this process") -> None:
        super().__init__()
        self.dsn = dsn
        self.owner = owner
        self.clock = clock or self.clock
        self.owned = AllUnderOneLease()

    async def open(self) -> Self:
        self.store = await self._stack.enter_async_context(
            open_postgres(
                self.dsn,
                self.clock,
                partitions=self.owned,
                endpoints=self.owned,
                servers=self.owned,
                lease_clock=self.clock,
                connections=4,
            )
        )
        await self.lease()
        await self.store.log.open()
        await self.take_in()
        return self

    async def take_in(self) -> None:
        while await self.store.log.take_arrivals(1_000):
            pass

    async def lease(self, owner: str | None = None, duration: timedelta = HOUR) -> Lease:
        self.owned.lease = await super().lease(owner or self.owner, duration)
        return self.owned.lease

    async def outcomes(self) -> list[tuple[str, bytes]]:
        await self.store.log.take_arrivals(10_000)  # as the owner of their partitions does
        return await super().outcomes()

    async def sql(self, statement: str) -> None:
        await self.store.database.transact(lambda connection: connection.execute(statement))


async def clear(dsn: str) -> None:
    """Empty every table but for what the migrations wrote: rows are few, so deleting them is the quickest."""
    connection = await asyncpg.connect(dsn)
    try:
        tables = await connection.fetch(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') "
            "AND NOT relispartition AND relname <> 'meta'"
        )
        await connection.execute("".join(f"DELETE FROM {row['relname']};" for row in tables))
        # Months another test's clock has come to.
        months = await connection.fetch(
            "SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid "
            "WHERE inhparent = 'input'::regclass AND relname <> 'input_rest'"
        )
        for row in months:
            await connection.execute(f"DROP TABLE {row['relname']}")
        await connection.execute("DELETE FROM meta WHERE name NOT IN ('schema', 'partitions')")
    finally:
        await connection.close()


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
        self.healths = MemoryHealths(self.endpoints)
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


Dispatch = StoreBackend | MemoryDispatch


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
