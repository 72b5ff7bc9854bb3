"""What a commit costs: as many statements for two hundred rows as for two, and none of them looks at a whole table."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import apsw
import pytest

from hub.bus.lease import Lease
from hub.bus.log import Mark
from hub.clock import to_us
from hub.dispatch.outbox import DeliveryState
from hub.engine.rows import Batch, LevelRow, RunRow, SeriesRow, StateRow, TimerKey, TimerRow, TraceRow
from hub.store.sqlite.store import SqliteStore
from hub.testing import MORNING, a_delivery, a_trade_closed, an_account, open_store, settled

NOW = to_us(MORNING)
FEW, MANY = 2, 200


class Desk:
    """A store, and what its writer executes."""

    def __init__(self, store: SqliteStore, lease: Lease) -> None:
        self.store = store
        self.lease = lease
        self.statements: list[tuple[str, Any]] = []

    async def watch(self) -> None:
        def note(_: object, statement: str, values: Any) -> bool:
            self.statements.append((statement, values))
            return True

        def work(connection: apsw.Connection) -> None:
            connection.exec_trace = note

        await self.store.writer.submit(work)
        self.statements.clear()

    async def append(self, count: int) -> None:
        facts = [a_trade_closed(an_account(login=7_000 + i)) for i in range(count)]
        await self.store.log.append(facts, marks=[Mark("mt5", f"mark {i}", b"1") for i in range(count)])

    async def decide(self, count: int) -> None:
        await self.store.engine.commit(a_batch(count), [self.lease])

    async def fire(self, count: int) -> None:
        await self.store.engine.commit(Batch(timers=a_batch(count).timers), [self.lease])
        self.statements.clear()
        assert await self.store.engine.fire_timers(NOW + MANY, MANY) == count

    async def fan_out(self, count: int) -> None:
        await self.store.deliveries.fan_out(
            {i % 64: 1 for i in range(count)}, [a_delivery(n=i + 1) for i in range(count)]
        )

    async def fan_out_what_was_tried(self, count: int) -> None:
        states = (DeliveryState.DELIVERED, DeliveryState.WAITING)
        tried = [settled(a_delivery(n=i + 1), states[i % 2], due=NOW + 1) for i in range(count)]
        await self.store.deliveries.fan_out({i % 64: 1 for i in range(count)}, [], tried)

    async def settle(self, count: int) -> None:
        deliveries = [a_delivery(n=i + 1) for i in range(count)]
        await self.store.deliveries.fan_out({}, deliveries)
        self.statements.clear()
        states = (DeliveryState.DELIVERED, DeliveryState.WAITING)
        await self.store.deliveries.settle([settled(d, states[d.n % 2], due=NOW + 1) for d in deliveries])


def a_batch(count: int) -> Batch:
    rows = range(count)
    return Batch(
        positions={i % 64: 1 for i in rows},
        states=[StateRow(i % 64, f"key {i}", 3, "lots", b"{}") for i in rows],
        series=[SeriesRow(i % 64, f"key {i}", "lots", i, "ref", "1") for i in rows],
        timers=[TimerRow(i % 64, NOW + i, f"t{i}", f"key {i}", "window", b"{}") for i in rows],
        cancelled=[TimerKey(i % 64, NOW + i, f"other {i}") for i in rows],
        levels=[
            LevelRow(0, f"level {i}", "key", "equity", "below", "1", "none", 1, "gone" if i % 2 else "new")
            for i in rows
        ],
        runs=[RunRow(0, f"run {i}", "key", "bonus", "v1", "done", 1, b"{}") for i in rows],
        facts=[a_trade_closed(an_account(login=7_000 + i)) for i in rows],
        traces=[TraceRow(0, 1, f"trace {i}", "bonus", "key", 1, "fired", b"{}") for i in rows],
    )


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with open_store(tmp_path) as store:
        lease = await store.leases.take("partitions", "this process", timedelta(hours=1))
        assert lease is not None
        desk = Desk(store, lease)
        await desk.watch()
        yield desk


Commit = Callable[[Desk, int], Awaitable[None]]
COMMITS: list[tuple[Commit, int]] = [
    (Desk.append, 9),
    (Desk.decide, 18),
    (Desk.fire, 8),
    (Desk.fan_out, 4),
    (Desk.fan_out_what_was_tried, 5),
    (Desk.settle, 5),
]


@pytest.mark.parametrize("count", [FEW, MANY])
@pytest.mark.parametrize(("commit", "most"), COMMITS)
async def test_a_commit_takes_no_more_statements_for_more_rows(
    desk: Desk, commit: Commit, most: int, count: int
) -> None:
    await commit(desk, count)

    assert len(desk.statements) == most, [statement[:60] for statement, _ in desk.statements]


@pytest.mark.parametrize(("commit", "_most"), COMMITS)
async def test_no_statement_of_a_commit_looks_at_a_whole_table(
    desk: Desk, commit: Commit, _most: int
) -> None:
    await commit(desk, MANY)
    statements = [(text, values) for text, values in desk.statements if not text.endswith("LIMIT 1")]

    plans = await desk.store.writer.submit(
        lambda connection: [plan(connection, *each) for each in statements]
    )

    tables = {"input", "head", "fact", "fact_hashed", "position", "level", "timer", "run", "trace", "waiting"}
    assert plans
    assert [
        step for steps in plans for step in steps if step.split()[:2][-1] in tables and "SCAN" in step
    ] == []


def plan(connection: apsw.Connection, statement: str, values: Any) -> list[str]:
    if statement.split()[0] in {"BEGIN", "COMMIT"}:
        return []
    return [str(row[3]) for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}", values)]
