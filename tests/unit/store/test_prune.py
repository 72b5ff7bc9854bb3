"""Pruning takes what is old and nothing that numbering, dedupe or a reader still needs."""

from datetime import timedelta
from pathlib import Path

from hub.clock import ManualClock
from hub.dispatch.outbox import DeliveryState
from hub.engine.rows import Batch, TraceRow
from hub.store.retention import Retention
from hub.testing import MORNING, a_delivery, a_deposit, a_trade_closed, an_input, open_store, settled

DAY = timedelta(days=1)


async def test_only_what_is_older_than_its_retention_goes(tmp_path: Path) -> None:
    clock = ManualClock(MORNING)
    async with open_store(tmp_path, clock, Retention(input=10 * DAY)) as store:
        old, new = a_trade_closed(), a_trade_closed()
        await store.log.append([old])
        await clock.advance(11 * DAY)
        await store.log.append([new])

        assert await store.pruner.prune() == 1
        assert await store.pruner.prune() == 0

        assert [row.ref for row in await store.log.scan(0, 10)] == [new.envelope.id]


async def test_a_numbered_fact_stays_a_duplicate_after_its_row_is_gone(tmp_path: Path) -> None:
    clock = ManualClock(MORNING)
    async with open_store(tmp_path, clock, Retention(input=DAY, hashed_keys=DAY)) as store:
        numbered, hashed = a_trade_closed(deal=5_001), a_deposit(ticket=None)
        await store.log.append([numbered, hashed])
        await clock.advance(2 * DAY)
        await store.log.append([], inputs=[an_input()])
        await store.pruner.prune()

        other_content = a_trade_closed(deal=5_001, lots="9")
        answers = await store.log.append([numbered, other_content, hashed])

        assert [answer.duplicate for answer in answers] == [True, True, False]
        assert await store.log.find(numbered.key) is None


async def test_numbers_go_on_after_everything_was_pruned(tmp_path: Path) -> None:
    clock = ManualClock(MORNING)
    async with open_store(tmp_path, clock, Retention(input=DAY)) as store:
        await store.log.append([a_trade_closed() for _ in range(700)])
        await clock.advance(3 * DAY)
        await store.pruner.prune()
        [last] = await store.log.scan(0, 10)
    async with open_store(tmp_path, clock) as store:
        await store.log.append([a_trade_closed()])
        rows = await store.log.scan(0, 10)

    assert (last.n, last.sequence, last.rank) == (700, 700, 700)
    assert [(row.n, row.sequence, row.rank) for row in rows] == [(700, 700, 700), (701, 701, 701)]


async def test_reading_goes_on_behind_what_was_pruned(tmp_path: Path) -> None:
    clock = ManualClock(MORNING)
    async with open_store(tmp_path, clock, Retention(input=DAY)) as store:
        await store.log.append([], inputs=[an_input(i % 2) for i in range(300)])
        await clock.advance(3 * DAY)
        await store.log.append([], inputs=[an_input(i % 2) for i in range(100)])
        await store.pruner.prune()

        rows = await store.log.read(1, 0, 1_000)
        start = await store.log.start([150] * 64)

        assert [row.n for row in rows] == list(range(151, 201))
        assert len(await store.log.scan(start, 1_000)) == 100


async def test_attempts_and_traces_go_at_their_own_age(tmp_path: Path) -> None:
    clock = ManualClock(MORNING)
    async with open_store(tmp_path, clock, Retention(attempts=DAY, traces=3 * DAY)) as store:
        lease = await store.leases.take("partitions", "me", timedelta(days=99))
        assert lease is not None
        for n in (1, 2):
            now = clock.now_us()
            delivery = a_delivery(n=n, due=now)
            await store.deliveries.fan_out({}, [delivery])
            await store.deliveries.settle([settled(delivery, DeliveryState.DELIVERED)])
            trace = TraceRow(0, n, "0", "bonus", "key", now, "fired", b"")
            await store.engine.commit(Batch(traces=[trace]), [lease])
            await clock.advance(2 * DAY)

        assert await store.pruner.prune() == 2

        assert await store.deliveries.attempts("ep_1", 0, 1) == []
        assert len(await store.deliveries.attempts("ep_1", 0, 2)) == 1
        assert [trace.n for trace in await store.engine.traces(workflow="bonus", key="key", limit=9)] == [2]
