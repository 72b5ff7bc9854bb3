"""A transaction on PostgreSQL says the same few statements for three rows and for three hundred."""

from conformance.backends import PostgresBackend
from conformance.test_engine_store import a_level, a_run, a_timer, a_trace

from hub.bus.log import InputKind, NewInput
from hub.engine.rows import Batch, SeriesRow, StateRow, TimerKey
from hub.ids import PARTITIONS
from hub.testing import a_trade_closed, an_account, an_account_state, an_intent


async def test_the_number_of_statements_does_not_grow_with_the_rows(postgres: PostgresBackend) -> None:
    lease = await postgres.lease()
    said: list[str] = []
    await _listen_to_statements(postgres, said)
    counts: list[list[int]] = []

    # The first time warms up: the driver asks what types there are, and the heads become known.
    for first, rows in ((1, 300), (1_001, 3), (2_001, 300)):
        accounts = [an_account(login=first + i) for i in range(rows)]
        facts = [a_trade_closed(account) for account in accounts]
        counts.append([])
        for write in (
            postgres.log.append([*facts, *(an_account_state("vip", account) for account in accounts)]),
            postgres.engine.commit(a_batch(rows, f"{first}"), [lease]),
            postgres.store.log.admit(facts, {("kafka:t", p): rows for p in range(PARTITIONS)}),
            postgres.engine.fire_timers(2**60, rows),
        ):
            said.clear()
            await write
            counts[-1].append(len(said))

    assert counts[1] == counts[2]
    assert max(counts[1]) < 25


def a_batch(rows: int, name: str) -> Batch:
    names = [f"{name}-{i}" for i in range(rows)]
    return Batch(
        positions={i % PARTITIONS: 1 for i in range(rows)},
        states=[StateRow(0, each, 1, "a", None if each.endswith("0") else b"1") for each in names],
        series=[SeriesRow(0, each, "day", 10, "a", None if each.endswith("0") else "1") for each in names],
        timers=[a_timer(each) for each in names],
        cancelled=[TimerKey(0, 0, each) for each in names],
        levels=[a_level(each, state="gone" if each.endswith("0") else "new") for each in names],
        runs=[a_run(each) for each in names],
        intents=[an_intent(each) for each in names],
        facts=[a_trade_closed(an_account("live-2", i + 1)) for i in range(rows)],
        traces=[a_trace(i, name=name) for i in range(rows)],
        mail=[
            NewInput(i % PARTITIONS, InputKind.MAIL, "client=1", each, b"{}") for i, each in enumerate(names)
        ],
    )


async def _listen_to_statements(postgres: PostgresBackend, said: list[str]) -> None:
    pool = postgres.store.database._pool
    connections = [await pool.acquire() for _ in range(4)]

    for connection in connections:
        connection.add_query_logger(lambda record: said.append(record.query))
    for connection in connections:
        await pool.release(connection)
