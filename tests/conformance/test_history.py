"""What backtests and questions about the past read of a store that runs: the record in order, and one key's inputs."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from conformance.backends import PostgresBackend, SqliteBackend, StoreBackend

from hub.bus.log import Input
from hub.clock import SystemClock, to_us
from hub.engine.account_rows import AccountRow
from hub.engine.past import History
from hub.engine.record import Record, Span, steady
from hub.engine.rows import StateRow
from hub.engine.values import Kind, encode_value
from hub.ids import partition_of
from hub.store.postgres.history import PostgresHistory
from hub.store.postgres.record import PostgresRecord
from hub.store.sqlite.history import SqliteHistory
from hub.store.sqlite.record import open_record
from hub.testing import MORNING, a_trade_closed, an_account, an_intent

SECOND = timedelta(seconds=1)
START = to_us(MORNING)
KEY = "live-1:7001"


@asynccontextmanager
async def record_of(store: StoreBackend) -> AsyncIterator[Record]:
    if isinstance(store, PostgresBackend):
        yield PostgresRecord(store.store.database)
    else:
        assert isinstance(store, SqliteBackend)
        with open_record(store.folder) as record:
            yield record


def history_of(store: StoreBackend) -> History:
    if isinstance(store, PostgresBackend):
        return PostgresHistory(store.store.database)
    assert isinstance(store, SqliteBackend)
    return SqliteHistory(store.store.reader, SystemClock())


async def a_log(store: StoreBackend, count: int = 30) -> list[str]:
    """Store an event a second, of three accounts in turn."""
    told = []
    for number in range(count):
        fact = a_trade_closed(an_account(login=7_000 + number % 3))
        await store.log.append([fact])
        told.append(fact.envelope.id)
        await store.clock.advance(SECOND)
    return told


async def rows(record: Record, since: int, until: int) -> list[Input]:
    return [row async for batch in record.batches(since, until) for row in batch]


async def test_the_record_is_read_in_order_and_between_two_moments(store: StoreBackend) -> None:
    told = await a_log(store)

    async with record_of(store) as record:
        assert await record.span() == Span(START, START + 29_000_000)
        assert [row.ref for row in await rows(record, 0, 2**60)] == told
        assert [row.ref for row in await rows(record, START + 5_000_000, START + 8_000_000)] == told[5:8]
        assert await rows(record, START + 60_000_000, 2**60) == []


async def test_an_empty_log_has_no_span(store: StoreBackend) -> None:
    async with record_of(store) as record:
        assert await record.span() is None
        assert await rows(record, 0, 2**60) == []


async def test_what_hardly_changes_of_an_account_is_known_from_its_state(store: StoreBackend) -> None:
    row = AccountRow("live-1", 7001, type="real", currency="EUR", open_positions=3, enabled=False)
    where = partition_of("live-1", 7001)
    await store.decide(states=[StateRow(where, KEY, Kind.ACCOUNT, "", encode_value(row))])

    async with record_of(store) as record:
        found = await record.known([KEY, "live-1:9"])

    account, client = steady(KEY, found.get(KEY, ()))
    assert account == AccountRow("live-1", 7001, type="real", currency="EUR")
    assert client is None
    assert steady("live-1:9", found.get("live-1:9", ())) == (None, None)


async def test_versions_the_live_ones_and_intents_are_read_too(store: StoreBackend) -> None:
    await store.engine.save_version("abc", "bonus", "the text")
    await store.engine.activate('{"workflows":[{"id":"bonus","hash":"abc","mode":"live"}]}', [])
    intent = an_intent()
    await store.add_intents(intent)

    async with record_of(store) as record:
        assert await record.version("abc") == "the text"
        assert await record.version("nothing") is None
        assert '"bonus"' in (await record.active() or "")
        page = await record.actions(after="", limit=10, workflow=intent.workflow)
        assert [each.key for each in page.items] == [intent.key]


async def test_a_keys_inputs_are_found_up_to_an_event_or_a_moment(store: StoreBackend) -> None:
    told = await a_log(store)
    mine = told[1::3]
    history = history_of(store)
    fourth = next(row for row in await store.log.scan(0, 1_000) if row.ref == mine[3])

    up_to_it = await history.told(KEY, until=2**60, last=fourth, most=100)
    till_then = await history.told(KEY, until=START + 8_000_000, last=None, most=100)
    nothing = await history.told(KEY, until=START - 1, last=None, most=100)

    assert [row.ref for row in up_to_it.inputs] == mine[:4]
    assert [row.ref for row in till_then.inputs] == mine[:3]
    assert up_to_it.complete
    assert list(nothing.inputs) == []


async def test_a_bounded_look_says_that_there_is_more(store: StoreBackend) -> None:
    told = await a_log(store)

    found = await history_of(store).told(KEY, until=2**60, last=None, most=4)

    assert [row.ref for row in found.inputs] == told[1::3][-4:]
    assert not found.complete
