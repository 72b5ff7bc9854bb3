"""What the owner of partitions promises on PostgreSQL: late ones write nothing, numbers go on, nothing is heard of twice."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import asyncpg
import pytest
from conformance.backends import HOUR, PostgresBackend, assert_numbered_without_gaps, error_of, rows_of
from conformance.following import every_row_comes_once
from conformance.test_engine_store import a_timer, everything

from hub.bus.follower import Follower
from hub.bus.log import Input, Mark
from hub.errors import LeaseLost, StoreRefused, StoreUnavailable
from hub.ids import PARTITIONS
from hub.testing import a_trade_closed, an_account, an_account_state, an_input, awaited

Write = Callable[[PostgresBackend], Awaitable[Any]]


@asynccontextmanager
async def successor(of: PostgresBackend) -> AsyncIterator[PostgresBackend]:
    """Another process, which took over after the first one's lease ran out."""
    await of.clock.advance(HOUR)
    other = await PostgresBackend(of.dsn, of.clock, owner="another process").open()
    try:
        yield other
    finally:
        await other.close()


async def dump(postgres: PostgresBackend) -> dict[str, list[Any]]:
    """Return everything in the tables an owner writes."""
    tables = "input head fact fact_hashed sequence entity mark position state series timer level run trace intent arrival"

    async def work(connection: Any) -> dict[str, list[Any]]:
        return {
            name: await connection.fetch(f"SELECT * FROM {name} ORDER BY 1, 2") for name in tables.split()
        }

    return await postgres.store.database.read(work)


# --- the fence

WRITES: dict[str, Write] = {
    "append": lambda hub: hub.log.append([a_trade_closed()], marks=[Mark("s", "a", b"1")]),
    "append of an entity": lambda hub: hub.log.append([an_account_state("vip")]),
    "admit": lambda hub: hub.store.log.admit([a_trade_closed()], {("kafka:t", 3): 9}),
    "admit of a place alone": lambda hub: hub.store.log.admit([], {("kafka:t", 3): 9}),
    "fire_timers": lambda hub: hub.engine.fire_timers(2**60, 10),
    "take_arrivals": lambda hub: hub.store.log.take_arrivals(10),
}


@pytest.mark.parametrize("name", WRITES)
async def test_an_owner_that_slept_through_its_lease_writes_nothing(
    postgres: PostgresBackend, name: str
) -> None:
    await postgres.decide(timers=[a_timer("t1")])
    await postgres.log.append([a_trade_closed()])
    async with successor(postgres):
        await postgres.engine.activate("m1", [an_input(5)])
        before = await dump(postgres)

        with pytest.raises(LeaseLost, match="another process"):
            await WRITES[name](postgres)

        assert await dump(postgres) == before


async def test_a_commit_of_a_late_owner_writes_nothing(postgres: PostgresBackend) -> None:
    old = await postgres.lease()
    async with successor(postgres) as other:
        before = await dump(postgres)

        with pytest.raises(LeaseLost, match="another process"):
            await postgres.engine.commit(everything(), [old])

        assert await dump(postgres) == before
        await other.engine.commit(everything(), [await other.lease()])


async def test_a_take_over_waits_for_a_transaction_in_hand_and_the_next_one_is_late(
    postgres: PostgresBackend,
) -> None:
    lease = await postgres.lease()
    inside, go_on = asyncio.Event(), asyncio.Event()

    async def slowly(connection: Any) -> None:
        inside.set()
        await go_on.wait()
        await connection.execute("INSERT INTO position VALUES ('slow', 0, 1)")

    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        slow = group.create_task(postgres.store.database.transact(slowly, [lease]))
        await inside.wait()
        await postgres.clock.advance(HOUR)
        taking = group.create_task(postgres.leases.take("partitions", "another process", HOUR))
        await _somebody_waits_for_a_lock(postgres)
        assert not taking.done()
        go_on.set()

    taken = taking.result()
    assert slow.result() is None
    assert taken is not None
    assert taken.epoch == lease.epoch + 1
    assert (await postgres.engine.positions("slow"))[0] == 1
    assert isinstance(await error_of(postgres.store.database.transact(slowly, [lease])), LeaseLost)


async def test_an_owner_that_stops_inside_a_transaction_is_waited_for_so_long_and_no_longer(
    postgres: PostgresBackend,
) -> None:
    lease = await postgres.lease()
    inside, go_on = asyncio.Event(), asyncio.Event()

    async def stopped(connection: Any) -> None:
        await connection.execute("SET LOCAL idle_in_transaction_session_timeout = '200ms'")
        await connection.execute("INSERT INTO position VALUES ('stopped', 0, 1)")
        inside.set()
        await go_on.wait()
        await connection.execute("INSERT INTO position VALUES ('stopped', 1, 1)")

    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        sleeper = group.create_task(error_of(postgres.store.database.transact(stopped, [lease])))
        await inside.wait()
        await postgres.clock.advance(HOUR)
        taken = await postgres.leases.take("partitions", "another process", HOUR)
        go_on.set()

    assert taken is not None
    assert isinstance(sleeper.result(), StoreUnavailable)
    assert sum(await postgres.engine.positions("stopped")) == 0


async def _somebody_waits_for_a_lock(postgres: PostgresBackend) -> None:
    query = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    while not await postgres.store.database.read(lambda connection: connection.fetchval(query)):
        await asyncio.sleep(0.005)


# --- numbers over a change of owner


async def test_numbers_go_on_over_owners_that_come_and_go(postgres: PostgresBackend) -> None:
    facts = [a_trade_closed(an_account(login=7001 + i % 3)) for i in range(9)]

    await postgres.log.append(facts[:3])
    async with successor(postgres) as other:
        await other.log.append(facts[3:6])
        await other.clock.advance(HOUR)
        await postgres.lease()  # with everything it knew from before still in memory
        await postgres.log.append(facts[6:])

    await postgres.store.log.open()
    await assert_numbered_without_gaps(postgres.log, facts)
    rows = await postgres.log.scan(0, 100)
    assert [row.ref for row in rows] == [fact.envelope.id for fact in facts]


async def test_time_does_not_go_back_under_an_owner_whose_clock_is_behind(postgres: PostgresBackend) -> None:
    await postgres.clock.advance(HOUR * 3)
    await postgres.log.append([], inputs=[an_input(1)])
    behind = PostgresBackend(postgres.dsn)  # the same owner, by a clock three hours behind
    await behind.open()

    await behind.log.append([], inputs=[an_input(1)])
    await behind.close()

    first, second = await rows_of(postgres.log, 1)
    assert second.at >= first.at


# --- a commit whose end nobody told


async def break_after_commit(postgres: PostgresBackend, write: Write) -> None:
    """Write, and lose the connection just as the commit comes back."""
    transact = postgres.store.database.transact

    async def lost(work: Any, fence: Any = ()) -> None:
        postgres.store.database.transact = transact
        await transact(work, fence)
        raise StoreUnavailable("the connection broke")

    postgres.store.database.transact = lost
    with pytest.raises(StoreUnavailable, match="broke"):
        await write(postgres)


@pytest.mark.parametrize("next_write", ["append", "the same again", "take_arrivals", "commit"])
async def test_what_was_stored_without_our_knowing_is_heard_of_before_anything_newer(
    postgres: PostgresBackend, next_write: str
) -> None:
    heard_at_once: list[Input] = []
    postgres.store.log.listen(heard_at_once.extend)
    follower = postgres.store.follow([0] * PARTITIONS)
    await _rely_on_memory(follower, postgres)
    fact = a_trade_closed()
    await break_after_commit(postgres, lambda hub: hub.log.append([fact], inputs=[an_input(1, ref="lost")]))

    expected = ["lost", fact.envelope.id]
    match next_write:
        case "append":
            await postgres.log.append([], inputs=[an_input(1, ref="newer")])
            expected.append("newer")
        case "the same again":
            [answer] = await postgres.log.append([fact])
            assert answer.duplicate
        case "take_arrivals":
            assert await postgres.store.log.take_arrivals(1) == 0
        case _:
            await postgres.decide(positions={1: 1})

    async with asyncio.timeout(10):
        heard = [row.ref for row in await follower.take(10)]
    assert sorted(heard[:2]) == sorted(expected[:2])
    assert heard[2:] == expected[2:]
    assert follower.backlog() == 0
    assert [row.ref for row in heard_at_once] == ["first", *heard]


async def _rely_on_memory(follower: Follower, postgres: PostgresBackend) -> None:
    """Bring a follower to where it reads nothing from the store any more."""
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        taking = group.create_task(follower.take(10))
        while follower._behind:
            await asyncio.sleep(0.002)
        await postgres.log.append([], inputs=[an_input(1, ref="first")])
    assert [row.ref for row in taking.result()] == ["first"]


@pytest.mark.parametrize("later", [False, True])
async def test_numbers_are_not_given_twice_when_a_commit_comes_late(
    postgres: PostgresBackend, later: bool
) -> None:
    """The server may still be committing what the client has given up."""
    heard: list[Input] = []
    postgres.store.log.listen(heard.extend)
    await postgres.log.append([], inputs=[an_input(1)])
    other = PostgresBackend(postgres.dsn, postgres.clock)  # the same owner under the same epoch
    await other.open()
    await other.log.append([], inputs=[an_input(1)])

    if later:  # else the row itself is in the way, and it is tried again at once
        await postgres.clock.advance(timedelta(seconds=1))
        assert isinstance(await error_of(postgres.log.append([], inputs=[an_input(1)])), StoreUnavailable)
    await postgres.log.append([], inputs=[an_input(1)])

    assert [row.n for row in await rows_of(postgres.log, 1)] == [1, 2, 3]
    assert [row.n for row in heard] == [1, 2, 3]
    await other.close()


async def test_connections_the_server_cuts_fail_one_write_and_no_more(postgres: PostgresBackend) -> None:
    facts = [a_trade_closed() for _ in range(4)]
    await postgres.log.append(facts[:1])
    await _cut_all(postgres)

    errors = [await error_of(postgres.log.append([fact])) for fact in facts[1:]]

    assert errors[-1] is None
    assert all(isinstance(error, StoreUnavailable) and "ask again" in str(error) for error in errors if error)
    await postgres.log.append(facts)
    await assert_numbered_without_gaps(postgres.log, facts)


async def _cut_all(postgres: PostgresBackend) -> None:
    connection = await asyncpg.connect(postgres.dsn)
    await connection.execute(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    await connection.close()


# --- appends together


async def test_an_append_that_can_never_be_stored_does_not_spoil_the_others(
    postgres: PostgresBackend,
) -> None:
    facts = [a_trade_closed(an_account(login=7000 + i)) for i in range(6)]
    bad = an_input(key="a\0b")

    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        good = [group.create_task(awaited(postgres.log.append([fact]))) for fact in facts[:3]]
        spoiled = group.create_task(error_of(postgres.log.append([a_trade_closed()], inputs=[bad])))
        good += [group.create_task(awaited(postgres.log.append([fact]))) for fact in facts[3:]]

    assert isinstance(spoiled.result(), StoreRefused)
    assert [task.result()[0].duplicate for task in good] == [False] * 6
    await assert_numbered_without_gaps(postgres.log, facts)


@pytest.mark.parametrize("steps", [1, 3, 6, 12, 25])
async def test_an_append_given_up_takes_no_other_with_it(postgres: PostgresBackend, steps: int) -> None:
    facts = [a_trade_closed(an_account(login=7000 + i)) for i in range(5)]

    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        given_up = group.create_task(awaited(postgres.log.append(facts[:1])))
        others = [group.create_task(awaited(postgres.log.append([fact]))) for fact in facts[1:]]
        for _ in range(steps):
            await asyncio.sleep(0)
        given_up.cancel()

    assert [len(task.result()) for task in others] == [1] * 4
    await postgres.log.append(facts)
    await assert_numbered_without_gaps(postgres.log, facts)


async def test_a_listener_that_fails_fails_no_append_and_no_other_listener(postgres: PostgresBackend) -> None:
    heard: list[Input] = []
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))

    def broken(_: object) -> None:
        raise RuntimeError("broken")

    postgres.store.log.listen(broken)
    postgres.store.log.listen(heard.extend)

    await postgres.log.append([], inputs=[an_input(1)])

    assert len(heard) == 1
    assert [str(each["exception"]) for each in complaints] == ["broken"]


async def test_a_follower_gets_every_row_once_while_others_append(postgres: PostgresBackend) -> None:
    await every_row_comes_once(postgres.store.log, tellers=10, each=8)
