"""How facts and inputs come to the owner of their partition: from outside with their place, from other processes in order."""

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any

import pytest
from conformance.backends import HOUR, PostgresBackend, assert_numbered_without_gaps, error_of, rows_of
from conformance.test_engine_store import a_level, a_timer

from hub.bus.lease import Lease
from hub.bus.log import Input, InputKind, NewInput
from hub.clock import to_us
from hub.engine.keys import partition_of
from hub.engine.rows import Batch
from hub.errors import LeaseLost, StoreRefused
from hub.events.facts import Fact
from hub.ids import PARTITIONS
from hub.store.postgres.arrivals import send
from hub.testing import MORNING, a_trade_closed, an_account, an_input
from hub.testing.postgres import PostgresStore, open_postgres

NOW = to_us(MORNING)
PLACE = ("kafka:live", 3)


async def sql(postgres: PostgresBackend, statement: str, *values: object) -> list[Any]:
    return await postgres.store.database.transact(lambda connection: connection.fetch(statement, *values))


async def refs(postgres: PostgresBackend) -> list[str]:
    return [row.ref for row in await postgres.log.scan(0, 1_000)]


def a_fact_of(*partitions: int) -> Fact:
    """Return a fact that belongs into one of these partitions."""
    for login in range(1, 10_000):
        fact = a_trade_closed(an_account(login=login))
        if fact.partition in partitions:
            return fact
    raise AssertionError(partitions)


# --- admitted from outside


async def test_facts_and_the_place_they_were_read_to_are_stored_together(postgres: PostgresBackend) -> None:
    facts = [a_trade_closed() for _ in range(3)]

    answers = await postgres.store.log.admit(facts, {PLACE: 17, ("kafka:bulk", 3): 2})
    again = await postgres.store.log.admit(facts[1:], {PLACE: 18})

    assert [answer.duplicate for answer in answers + again] == [False] * 3 + [True] * 2
    assert (await postgres.engine.positions("kafka:live"))[3] == 18
    assert (await postgres.engine.positions("kafka:bulk"))[3] == 2
    await assert_numbered_without_gaps(postgres.log, facts)


@pytest.mark.parametrize("table", ["position", "input", "fact", "head"])
async def test_a_fault_on_the_way_leaves_neither_facts_nor_place(
    postgres: PostgresBackend, table: str
) -> None:
    await postgres.sql(f"ALTER TABLE {table} ADD CONSTRAINT fault CHECK (false) NOT VALID")
    try:
        failed = await error_of(postgres.store.log.admit([a_trade_closed()], {PLACE: 17}))
    finally:
        await postgres.sql(f"ALTER TABLE {table} DROP CONSTRAINT fault")

    assert isinstance(failed, StoreRefused)
    assert "fault" in str(failed)
    assert sum(await postgres.engine.positions("kafka:live")) == 0
    assert await refs(postgres) == []
    [answer] = await postgres.store.log.admit([a_trade_closed()], {PLACE: 17})
    assert not answer.duplicate
    assert (await postgres.engine.positions("kafka:live"))[3] == 17


# --- left by other processes


async def test_what_was_left_becomes_rows_once_and_in_order(postgres: PostgresBackend) -> None:
    facts = [a_trade_closed() for _ in range(2)]
    partition, account = facts[0].partition, facts[0].account

    async def leave(connection: Any) -> None:
        await send(connection, facts[:1], [an_input(partition, ref="outcome", key=account)])
        await send(connection, facts[1:])
        await send(
            connection, inputs=[an_input(partition, kind=InputKind.OUTCOME, ref="last", body=b"\0\xff")]
        )

    await postgres.store.database.transact(leave)

    counts = [await postgres.store.log.take_arrivals(3) for _ in range(3)]

    assert counts == [3, 1, 0]
    rows = await rows_of(postgres.log, partition)
    assert [row.ref for row in rows] == [facts[0].envelope.id, "outcome", facts[1].envelope.id, "last"]
    assert [row.sequence for row in rows] == [1, None, 2, None]
    assert (rows[-1].kind, rows[-1].body) == (InputKind.OUTCOME, b"\0\xff")
    assert await sql(postgres, "SELECT * FROM arrival") == []


async def test_what_is_left_in_a_transaction_that_fails_is_not_left(postgres: PostgresBackend) -> None:
    async def leave(connection: Any) -> None:
        await send(connection, inputs=[an_input(1)])
        raise LeaseLost("too late")

    assert isinstance(await error_of(postgres.store.database.transact(leave)), LeaseLost)
    assert await postgres.store.log.take_arrivals(10) == 0


async def test_a_fact_left_twice_is_a_duplicate_and_a_unique_input_is_taken_once(
    postgres: PostgresBackend,
) -> None:
    fact, unique = a_trade_closed(), an_input(3, unique="outcome:1")
    await postgres.log.append([fact])
    for _ in range(2):
        await postgres.store.database.transact(lambda connection: send(connection, [fact], [unique]))

    assert await postgres.store.log.take_arrivals(10) == 4

    assert len(await refs(postgres)) == 2


async def test_arrivals_are_told_to_listeners(postgres: PostgresBackend) -> None:
    heard: list[Input] = []
    postgres.store.log.listen(heard.extend)
    await postgres.store.database.transact(lambda connection: send(connection, inputs=[an_input(1, ref="x")]))

    await postgres.store.log.take_arrivals(10)

    assert [row.ref for row in heard] == ["x"]
    assert postgres.log.heads()[1] == 1


@pytest.mark.parametrize("fault", ["unreadable", "refused by the database"])
async def test_one_that_can_never_be_taken_is_set_aside_and_the_others_go_on(
    postgres: PostgresBackend, fault: str
) -> None:
    inputs = [an_input(1, ref=str(i)) for i in range(4)]
    await postgres.store.database.transact(lambda connection: send(connection, inputs=inputs[:2]))
    bad = an_input(1, ref="a\0b")
    await postgres.store.database.transact(lambda connection: send(connection, inputs=[bad]))
    if fault == "unreadable":
        await sql(postgres, "UPDATE arrival SET body = '?' WHERE rank = (SELECT max(rank) FROM arrival)")
    await postgres.store.database.transact(lambda connection: send(connection, inputs=inputs[2:]))

    while await postgres.store.log.take_arrivals(10):
        pass

    rows = await rows_of(postgres.log, 1)
    assert [(row.n, row.ref) for row in rows] == [(1, "0"), (2, "1"), (3, "2"), (4, "3")]
    [aside] = await sql(postgres, "SELECT partition, refused FROM arrival")
    assert aside["partition"] == 1
    assert ("upgrade" if fault == "unreadable" else "refused") in aside["refused"]


# --- several owners


class Half:
    """Every second partition, under one lease."""

    def __init__(self, rest: int) -> None:
        self.rest = rest
        self.lease: Lease | None = None

    def fence(self, partitions: Collection[int]) -> Sequence[Lease]:
        if self.lease is None or any(partition % 2 != self.rest for partition in partitions):
            raise LeaseLost("not ours")
        return [self.lease]

    def partitions(self) -> Sequence[int]:
        return range(self.rest, PARTITIONS, 2)


@pytest.fixture
async def halves(postgres: PostgresBackend) -> AsyncIterator[list[PostgresStore]]:
    """Two processes, of the even partitions and of the odd ones."""
    async with AsyncExitStack() as stack:
        stores = []
        for rest in (0, 1):
            owned = Half(rest)
            store = await stack.enter_async_context(
                open_postgres(
                    postgres.dsn,
                    postgres.clock,
                    partitions=owned,
                    endpoints=postgres.owned,
                    servers=postgres.owned,
                    lease_clock=postgres.clock,
                    connections=3,
                )
            )
            owned.lease = await store.leases.take(f"half:{rest}", f"process {rest}", HOUR)
            await store.log.open()
            stores.append(store)
        yield stores


async def test_a_fact_that_belongs_elsewhere_is_left_for_its_owner(halves: list[PostgresStore]) -> None:
    even, odd = halves
    mine, theirs = a_fact_of(*range(0, 64, 2)), a_fact_of(*range(1, 64, 2))

    answers = await even.log.append(
        [theirs, mine], inputs=[an_input(2, ref="mine"), an_input(5, ref="theirs")]
    )

    assert [answer.id for answer in answers] == [theirs.envelope.id, mine.envelope.id]
    assert [row.ref for row in await even.log.scan(0, 10)] == [mine.envelope.id, "mine"]
    assert await even.log.take_arrivals(10) == 0
    assert await odd.log.take_arrivals(10) == 2
    assert {row.ref for row in await odd.log.scan(0, 10)} == {theirs.envelope.id, "theirs"}
    assert len(await even.log.scan(0, 10)) == 2


async def test_mail_reaches_the_owner_of_its_key_in_the_order_it_was_sent(
    postgres: PostgresBackend, halves: list[PostgresStore]
) -> None:
    even, odd = halves
    key = next(key for n in range(99) if partition_of(key := f"client={n}") % 2)
    for n in range(3):
        mail = [NewInput(partition_of(key), InputKind.MAIL, key, f"evt_{n}.{i}", b"{}") for i in range(2)]
        await even.engine.commit(Batch(positions={0: n + 1}, mail=mail), ())
        await odd.log.take_arrivals(3)

    while await odd.log.take_arrivals(10):
        pass

    told = [row for row in await odd.log.scan(0, 10) if row.kind == InputKind.MAIL]
    assert [row.ref for row in told] == [f"evt_{n}.{i}" for n in range(3) for i in range(2)]
    assert {(row.key, row.partition) for row in told} == {(key, partition_of(key))}
    assert await sql(postgres, "SELECT * FROM arrival") == []


async def test_an_owner_admits_nothing_for_a_partition_of_another(halves: list[PostgresStore]) -> None:
    even, _ = halves

    with pytest.raises(LeaseLost):
        await even.log.admit([a_fact_of(2)], {("kafka:live", 2): 5, ("kafka:live", 3): 5})

    assert await even.log.scan(0, 10) == []
    assert sum(await even.engine.positions("kafka:live")) == 0


async def test_each_owner_sees_its_own_partitions(halves: list[PostgresStore]) -> None:
    even, odd = halves
    for store, partition in ((even, 2), (odd, 3)):
        await store.log.append([], inputs=[an_input(partition) for _ in range(3)])

    assert {row.partition for row in await even.log.scan(0, 10)} == {2}
    assert {row.partition for row in await odd.log.scan(0, 10)} == {3}
    assert [even.log.heads()[2], even.log.heads()[3]] == [3, 0]
    start = await even.log.start(even.log.heads())
    assert await even.log.scan(start, 10) == []
    assert len(await even.log.scan(await even.log.start([0, 0, 1] + [0] * 61), 10)) == 2


async def test_levels_and_timers_are_those_of_the_owned_partitions(
    postgres: PostgresBackend, halves: list[PostgresStore]
) -> None:
    even, odd = halves
    await postgres.decide(
        timers=[a_timer("t2", NOW, 2), a_timer("t3", NOW, 3), a_timer("later", NOW + 9, 3)],
        levels=[a_level("l0"), a_level("l1")._replace(partition=1)],
    )

    assert [level.level_id for level in await even.engine.levels()] == ["l0"]
    assert [level.level_id for level in await odd.engine.levels()] == ["l1"]
    assert await even.engine.fire_timers(NOW, 10) == 1
    assert even.engine.next_timer() is None
    assert await odd.engine.fire_timers(NOW, 10) == 1
    assert odd.engine.next_timer() == NOW + 9
    assert [row.partition for row in await odd.log.scan(0, 10)] == [3]


async def test_activating_tells_every_owner(halves: list[PostgresStore]) -> None:
    even, odd = halves
    await even.engine.activate(
        "m1", [an_input(p, kind=InputKind.ACTIVATED, ref="m1") for p in range(PARTITIONS)]
    )

    assert [await store.log.take_arrivals(100) for store in (even, odd)] == [32, 32]

    assert await odd.engine.active() == "m1"
    assert [len(await store.log.scan(0, 100)) for store in (even, odd)] == [32, 32]


async def test_one_name_told_to_two_owners_at_once_is_taken_by_one(halves: list[PostgresStore]) -> None:
    async with asyncio.timeout(20):
        for turn in range(10):
            async with asyncio.TaskGroup() as group:
                for store, partition in zip(halves, (2, 3), strict=True):
                    group.create_task(_tell(store, partition, f"approval:{turn}"))

    rows = [row for store in halves for row in await store.log.scan(0, 100)]
    assert len(rows) == 10
    for partition in (2, 3):
        assert [row.n for row in rows if row.partition == partition] == list(
            range(1, 1 + sum(row.partition == partition for row in rows))
        )


async def _tell(store: PostgresStore, partition: int, unique: str) -> None:
    await store.log.append([], inputs=[an_input(partition, unique=unique)])


async def test_ranks_of_one_partition_grow_with_its_numbers_whoever_owned_it(
    postgres: PostgresBackend, halves: list[PostgresStore]
) -> None:
    even, odd = halves
    await postgres.log.append([], inputs=[an_input(2), an_input(3)])
    for _ in range(3):
        await odd.log.append([], inputs=[an_input(3)])
        await even.log.append([], inputs=[an_input(2), an_input(2)])
    await postgres.clock.advance(timedelta(seconds=1))

    for partition in (2, 3):
        rows = await postgres.log.read(partition, 0, 100)
        assert [row.rank for row in rows] == sorted({row.rank for row in rows})
