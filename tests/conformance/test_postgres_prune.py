"""The log goes by whole months and the rest by age; nothing that dedupe or numbering still needs goes with it."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from conformance.backends import PostgresBackend

from hub.clock import MICROSECOND, ManualClock
from hub.dispatch.outbox import DeliveryState
from hub.engine.rows import TraceRow
from hub.store.postgres import prune
from hub.store.postgres.database import Connection
from hub.store.postgres.prune import Month, PostgresPruner
from hub.store.retention import Retention
from hub.testing import a_delivery, a_deposit, a_trade_closed, an_endpoint, settled

DAY = timedelta(days=1)
NOVEMBER = datetime(2026, 11, 20, tzinfo=UTC)


@pytest.fixture
async def november(postgres: PostgresBackend) -> AsyncIterator[PostgresBackend]:
    """Yield a store on the twentieth of November that no month was made for yet."""
    await postgres.close()
    backend = PostgresBackend(postgres.dsn, ManualClock(NOVEMBER))
    await backend.open()
    yield backend
    for table in await ranges(backend):
        await backend.sql(f"DROP TABLE {table}")
    await backend.close()


async def ranges(postgres: PostgresBackend) -> list[str]:
    rows = await postgres.store.database.read(
        lambda connection: connection.fetch(
            "SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid "
            "WHERE inhparent = 'input'::regclass AND relname <> 'input_rest' ORDER BY 1"
        )
    )
    return [row["relname"] for row in rows]


async def rows_of(postgres: PostgresBackend, table: str) -> int:
    found: int = await postgres.store.database.read(
        lambda connection: connection.fetchval(f"SELECT count(*) FROM {table}")
    )
    return found


def pruner(postgres: PostgresBackend, **retention: timedelta) -> PostgresPruner:
    return PostgresPruner(postgres.store.database, postgres.clock, Retention(**retention))


async def prune_until_done(postgres: PostgresBackend) -> None:
    """Prune as a hub does, again and again: a lock that somebody holds for long is left to the next time."""
    for _ in range(20):
        await pruner(postgres).prune()
        if await ranges(postgres):
            return


async def test_months_are_made_ahead_and_rows_find_theirs(november: PostgresBackend) -> None:
    await prune_until_done(november)
    await pruner(november).prune()

    assert await ranges(november) == ["input_2026_11", "input_2026_12", "input_2027_01"]
    await november.log.append([a_trade_closed()])
    await november.clock.advance(12 * DAY)
    await november.log.append([a_trade_closed(), a_trade_closed()])
    counts = [await rows_of(november, table) for table in ("input_2026_11", "input_2026_12", "input_rest")]
    assert counts == [1, 2, 0]
    assert len(await november.log.scan(0, 9)) == 3


async def test_a_month_that_began_without_a_range_stays_with_the_rest(november: PostgresBackend) -> None:
    fact = a_trade_closed()
    await november.log.append([fact])
    await prune_until_done(november)

    assert await ranges(november) == ["input_2026_12", "input_2027_01"]
    assert await november.log.find(fact.key) is not None


async def test_a_month_is_dropped_when_all_of_it_is_too_old(november: PostgresBackend) -> None:
    await pruner(november).prepare()
    old, new = a_trade_closed(), a_trade_closed()
    await november.log.append([old])
    await november.clock.advance(15 * DAY)
    await november.log.append([new])
    short = pruner(november, input=10 * DAY)
    await short.prune()
    assert "input_2026_11" in await ranges(november)  # its last days are younger than that

    await november.clock.advance(10 * DAY)
    await short.prune()

    assert "input_2026_11" not in await ranges(november)
    assert [row.ref for row in await november.log.scan(0, 9)] == [new.envelope.id]
    [answer] = await november.log.append([old])
    assert answer.duplicate
    await november.log.append([a_trade_closed()])
    assert [(row.n, row.sequence) for row in await november.log.scan(0, 9)] == [(2, 2), (3, 3)]


async def test_the_rest_and_everything_else_goes_by_its_own_age(november: PostgresBackend) -> None:
    hashed = a_deposit(ticket=None)
    await november.endpoints.create(an_endpoint("ep_1"))
    for n in (1, 2):
        now = november.clock.now_us()
        await november.log.append([hashed] if n == 1 else [a_trade_closed()])
        delivery = a_delivery(n=n, due=now)
        await november.deliveries.fan_out({}, [delivery])
        await november.deliveries.settle([settled(delivery, DeliveryState.DELIVERED)])
        await november.decide(traces=[TraceRow(0, n, "0", "bonus", "key", now, "fired", b"")])
        await november.clock.advance(2 * DAY)
    short = pruner(november, input=3 * DAY, attempts=DAY, traces=3 * DAY, hashed_keys=3 * DAY)

    assert await short.prune() == 5
    assert await short.prune() == 0

    assert len(await november.log.scan(0, 9)) == 1
    assert await rows_of(november, "attempt") == 0
    assert [row.n for row in await november.engine.traces(workflow="bonus", key="key", limit=9)] == [2]
    [answer] = await november.log.append([hashed])
    assert not answer.duplicate


async def test_what_waits_for_an_endpoint_that_is_gone_is_cancelled(november: PostgresBackend) -> None:
    await november.endpoints.create(an_endpoint("ep_2"))
    await november.deliveries.fan_out(
        {}, [a_delivery(name, n=n) for name in ("ep_1", "ep_2", "ep_3") for n in (1, 2)]
    )

    assert await pruner(november).prune() == 4

    assert len(await november.deliveries.waiting("ep_2", after=(0, -1, -1), limit=9)) == 2
    assert await rows_of(november, "waiting") == 2


async def test_two_do_not_prune_at_once(november: PostgresBackend) -> None:
    await november.deliveries.fan_out({}, [a_delivery()])

    async def while_another_prunes(connection: Connection) -> int:
        await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended('prune', 0))")
        return await pruner(november).prune()

    assert await november.store.database.transact(while_another_prunes) == 0
    assert await ranges(november) == []
    assert await pruner(november).prune() == 1


async def test_whoever_reads_the_log_for_long_keeps_months_as_they_are_and_nothing_else(
    november: PostgresBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    await pruner(november).prune()
    await november.deliveries.fan_out({}, [a_delivery()])
    await november.clock.advance(100 * DAY)
    monkeypatch.setattr(prune, "_PATIENCE", "SET LOCAL lock_timeout = '10ms'")

    async def while_it_is_read(connection: Connection) -> int:
        await connection.fetch("SELECT * FROM input")
        return await pruner(november, input=DAY).prune()

    assert await november.store.database.read(while_it_is_read) == 1
    assert await ranges(november) == ["input_2026_11", "input_2026_12", "input_2027_01"]
    await pruner(november, input=DAY).prune()
    assert await ranges(november) == ["input_2027_02", "input_2027_03", "input_2027_04"]


@pytest.mark.parametrize(
    ("month", "following", "days"),
    [
        (Month(2026, 11), Month(2026, 12), 30),
        (Month(2026, 12), Month(2027, 1), 31),
        (Month(2028, 2), Month(2028, 3), 29),
    ],
)
def test_months_follow_one_another_without_a_gap(month: Month, following: Month, days: int) -> None:
    assert month.following == following
    assert following.start_us - month.start_us == days * DAY // MICROSECOND
