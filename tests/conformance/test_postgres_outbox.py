"""What is told twice because an answer was lost changes nothing, and who lost a lease writes nothing."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from conformance.backends import PostgresBackend, error_of

from hub.bus.lease import Lease
from hub.bus.log import InputKind
from hub.clock import ManualClock, to_us
from hub.control.keys import ApiKey
from hub.dispatch.outbox import DeliveryState, Move
from hub.engine.rows import Batch
from hub.errors import LeaseLost, StoreRefused, StoreUnavailable
from hub.ingest.directory import PutOutcome, StoredClient
from hub.intents.intent import Intent, State
from hub.store.postgres import endpoints
from hub.store.postgres.batch import write_batch
from hub.store.postgres.database import Connection, Database
from hub.store.postgres.endpoints import PostgresEndpoints
from hub.store.postgres.intents import PostgresIntents
from hub.store.postgres.lease import PostgresLeases
from hub.store.postgres.outbox import PostgresDeliveries
from hub.testing import MORNING, a_delivery, an_endpoint, an_input, an_intent, settled

NOW = to_us(MORNING)
START = (0, -1, -1)
HOUR = timedelta(hours=1)


def nothing(_: Collection[Any]) -> Sequence[Lease]:
    return ()


class DeafTo(Database):
    """Commits, and then says that no answer came: once, when it is told to."""

    def __init__(self, database: Database) -> None:
        super().__init__(database._pool)
        self.deaf = False

    async def transact(self, work: Any, fence: Sequence[Lease] = ()) -> Any:
        answer = await super().transact(work, fence)
        if self.deaf:
            self.deaf = False
            raise StoreUnavailable("the connection went away")
        return answer


async def twice(database: DeafTo, write: Callable[[], Awaitable[Any]]) -> Any:
    """Do it and hear no answer, then do it again."""
    database.deaf = True
    assert isinstance(await error_of(write()), StoreUnavailable)
    return await write()


async def add(database: Database, *intents: Intent) -> None:
    await database.transact(lambda connection: write_batch(connection, Batch(intents=list(intents))))


async def count(database: Database, table: str) -> int:
    found: int = await database.read(lambda connection: connection.fetchval(f"SELECT count(*) FROM {table}"))
    return found


@pytest.fixture
def database(postgres: PostgresBackend) -> Database:
    return postgres.store.database


@pytest.fixture
def deaf(database: Database) -> DeafTo:
    return DeafTo(database)


# --- told twice


async def test_a_fan_out_told_twice_brings_back_nothing_that_was_delivered_meanwhile(deaf: DeafTo) -> None:
    deliveries = PostgresDeliveries(deaf, nothing, nothing)
    tried = settled(a_delivery(n=2), DeliveryState.WAITING, due=NOW + 5)

    async def fan_out() -> None:
        await deliveries.fan_out({0: 2}, [a_delivery(n=1)], [tried])

    deaf.deaf = True
    assert isinstance(await error_of(fan_out()), StoreUnavailable)
    # Its endpoint's owner is another process and fast.
    await deliveries.settle(
        [
            settled(a_delivery(n=1), DeliveryState.DELIVERED),
            settled(tried.delivery, DeliveryState.DELIVERED),
        ]
    )
    await fan_out()

    assert await deliveries.waiting("ep_1", after=START, limit=9) == []
    assert len(await deliveries.attempts("ep_1", 0, 2)) == 2


async def test_a_late_repetition_moves_no_position_back(database: Database) -> None:
    deliveries = PostgresDeliveries(database, nothing, nothing)
    await deliveries.fan_out({0: 5, 1: 1}, [])
    await deliveries.fan_out({0: 4, 1: 2}, [])

    assert (await deliveries.fanned_out())[:2] == [5, 2]


async def test_results_settled_twice_are_settled_once(deaf: DeafTo) -> None:
    deliveries = PostgresDeliveries(deaf, nothing, nothing)
    first, second = a_delivery(n=1), a_delivery(n=2)
    await deliveries.fan_out({0: 2}, [first, second])
    results = [
        settled(first, DeliveryState.WAITING, due=NOW + 5),
        settled(second, DeliveryState.DELIVERED),
    ]

    await twice(deaf, lambda: deliveries.settle(results))

    assert await deliveries.waiting("ep_1", after=START, limit=9) == [results[0].delivery]
    assert await deliveries.attempts("ep_1", 0, 1) == [results[0].attempt]
    assert await deliveries.attempts("ep_1", 0, 2) == [results[1].attempt]


@pytest.mark.parametrize("counted", [True, False])
async def test_a_move_told_twice_was_made_and_its_outcome_is_left_once(deaf: DeafTo, counted: bool) -> None:
    intents = PostgresIntents(deaf, nothing)
    intent = an_intent("i1", state=State.UNKNOWN)
    await add(deaf, intent)
    outcome = an_input(kind=InputKind.OUTCOME, ref="i1")
    after = intent._replace(state=State.APPLIED, ticket=7) if counted else intent._replace(due=NOW + 9)
    move = Move(intent, after, outcome)

    assert await twice(deaf, lambda: intents.move([move])) == [True]

    assert await count(deaf, "arrival") == 1
    assert await intents.get("i1") == after
    if counted:
        assert await intents.move([move]) == [False]
        assert await PostgresIntents(deaf, nothing).move([move]) == [False]


async def test_a_move_that_another_made_is_not_taken_for_our_own(deaf: DeafTo) -> None:
    intents = PostgresIntents(deaf, nothing)
    intent = an_intent("i1")
    await add(deaf, intent)
    ours = Move(intent, intent._replace(state=State.SENDING, attempts=1, sent_at=NOW + 1))
    theirs = Move(intent, intent._replace(state=State.SENDING, attempts=1, sent_at=NOW + 2))

    assert await PostgresIntents(deaf, nothing).move([theirs]) == [True]

    assert await twice(deaf, lambda: intents.move([ours])) == [False]


# --- fenced


async def test_whoever_lost_a_lease_writes_nothing(database: Database) -> None:
    clock = ManualClock(MORNING)
    leases = PostgresLeases(database, clock)
    mine: dict[str, Lease] = {}
    for name in ("partition:0", "endpoint:ep_1", "server:live-1"):
        taken = await leases.take(name, "me", HOUR)
        assert taken is not None
        mine[name] = taken
    deliveries = PostgresDeliveries(
        database,
        lambda partitions: [mine[f"partition:{p}"] for p in partitions],
        lambda endpoints: [mine[f"endpoint:{e}"] for e in endpoints],
    )
    intents = PostgresIntents(database, lambda servers: [mine[f"server:{s}"] for s in servers])
    intent = an_intent("i1")
    await add(database, intent)
    await deliveries.fan_out({0: 1}, [a_delivery(n=1)])
    await clock.advance(2 * HOUR)
    for name in mine:
        assert await leases.take(name, "another", HOUR) is not None

    refused = [
        await error_of(deliveries.fan_out({0: 2}, [a_delivery(n=2)])),
        await error_of(deliveries.settle([settled(a_delivery(n=1), DeliveryState.DELIVERED)])),
        await error_of(intents.move([Move(intent, intent._replace(state=State.SENDING))])),
    ]

    assert [type(error) for error in refused] == [LeaseLost] * 3
    assert await deliveries.waiting("ep_1", after=START, limit=9) == [a_delivery(n=1)]
    assert (await deliveries.fanned_out())[0] == 1
    assert await count(database, "attempt") == 0
    assert await intents.get("i1") == intent


# --- owned servers


async def test_only_intents_of_owned_servers_are_due(database: Database) -> None:
    await add(
        database,
        an_intent("a", account="live-1:7", due=NOW - 1),
        an_intent("b", account="live-2:7", due=NOW - 9),
        an_intent("c", account="eu:live:7", due=NOW - 2, priority=0),
        an_intent("d", account="", due=NOW - 3),
        an_intent("e", account="live-1:8", state=State.SENDING),
    )
    owned: list[str] | None = ["live-1", "eu:live", ""]
    intents = PostgresIntents(database, nothing, owned=lambda: owned)

    assert [i.key for i in await intents.due(NOW, 9)] == ["c", "d", "a"]
    assert [i.key for i in await intents.due(NOW, 2)] == ["c", "d"]
    assert intents.next_due() == NOW - 3
    assert [i.key for i in await intents.in_state(State.SENDING, 9)] == ["e"]
    owned = ["live-2"]
    assert [i.key for i in await intents.due(NOW, 9)] == ["b"]
    assert await intents.in_state(State.SENDING, 9) == []
    owned = []
    assert await intents.due(NOW, 9) == []
    assert intents.next_due() is None
    owned = None
    assert [i.key for i in await intents.due(NOW, 9)] == ["c", "b", "d", "a"]
    assert intents.next_due() == NOW - 9


async def test_news_of_intents_of_others_change_nothing_and_unreadable_news_make_it_look(
    database: Database,
) -> None:
    intents = PostgresIntents(database, nothing, owned=lambda: ["live-1"])
    assert await intents.due(NOW, 9) == []

    intents.heard('{"live-2": 5}')
    intents.told([an_intent("i1", account="live-2:7")])
    assert intents.next_due() is None
    intents.heard('{"live-2": 5, "live-1": 7}')
    assert intents.next_due() == 7
    intents.told([an_intent("i1", due=6)])
    assert intents.next_due() == 6
    intents.heard("[hello]")
    assert intents.next_due() == 0


class Slow(Database):
    """Reads at once and answers only when it may."""

    def __init__(self, database: Database) -> None:
        super().__init__(database._pool)
        self.looked, self.may_answer = asyncio.Event(), asyncio.Event()

    async def read(self, work: Any) -> Any:
        answer = await super().read(work)
        self.looked.set()
        await self.may_answer.wait()
        return answer


async def test_what_comes_while_a_look_is_on_its_way_is_not_forgotten(database: Database) -> None:
    slow = Slow(database)
    intents = PostgresIntents(slow, nothing)
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        look = group.create_task(intents.due(NOW, 10))
        await slow.looked.wait()
        intents.told([an_intent("i1", due=NOW + 5), an_intent("i2", due=NOW + 9)])
        slow.may_answer.set()

    assert look.result() == []
    assert intents.next_due() == NOW + 5


# --- content that cannot be stored, and bounds


async def test_text_that_cannot_be_stored_is_refused_with_all_it_came_with(database: Database) -> None:
    result = settled(a_delivery(n=1), DeliveryState.DELIVERED)
    bad = result._replace(attempt=result.attempt._replace(response="a\0b"))
    deliveries = PostgresDeliveries(database, nothing, nothing)

    refused = [
        await error_of(deliveries.fan_out({0: 2}, [a_delivery(n=2)], [bad])),
        await error_of(deliveries.settle([result, bad])),
        await error_of(PostgresEndpoints(database).create(an_endpoint("ep\0"))),
    ]

    assert [type(error) for error in refused] == [StoreRefused] * 3
    assert [await count(database, table) for table in ("waiting", "attempt", "endpoint", "position")] == [
        0
    ] * 4


async def test_an_outcome_that_cannot_be_left_takes_its_move_back(database: Database) -> None:
    intents = PostgresIntents(database, nothing)
    intent = an_intent("i1", state=State.SENDING)
    await add(database, intent)
    bad = replace(an_input(kind=InputKind.OUTCOME), partition=99_999)

    error = await error_of(intents.move([Move(intent, intent._replace(state=State.APPLIED), bad)]))

    assert isinstance(error, StoreRefused)
    assert await intents.get("i1") == intent


async def test_much_that_waits_for_a_deleted_endpoint_is_cancelled_bit_by_bit(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoints, "_CHUNK", 3)
    await PostgresEndpoints(database).create(an_endpoint("ep_1"))
    deliveries = PostgresDeliveries(database, nothing, nothing)
    await deliveries.fan_out({}, [a_delivery(name, n=n) for n in range(8) for name in ("ep_1", "ep_2")])

    assert await PostgresEndpoints(database).delete("ep_1")

    assert await deliveries.waiting("ep_1", after=START, limit=9) == []
    assert len(await deliveries.waiting("ep_2", after=START, limit=9)) == 8


async def test_an_account_that_was_let_go_in_the_middle_is_asked_for_again(postgres: PostgresBackend) -> None:
    # Stands for another client that had it when it was asked for, and no longer a statement later.
    await postgres.sql(
        "CREATE FUNCTION skip() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'; "
        "CREATE TRIGGER skip BEFORE INSERT ON client_account FOR EACH ROW EXECUTE FUNCTION skip()"
    )
    try:
        client = StoredClient("c1", 1, b"{}", NOW, NOW)
        assert await postgres.store.clients.put(client, ["live-1:1"], []) == PutOutcome("stale")
        assert await postgres.store.clients.get("c1") is None
    finally:
        await postgres.sql("DROP FUNCTION skip CASCADE")


async def test_the_latest_use_of_a_key_counts_whoever_tells_it_last(postgres: PostgresBackend) -> None:
    keys = postgres.store.keys
    await keys.add(ApiKey("key_1", b"hash", "name", (), (), NOW))
    await keys.used({"key_1": 9})
    await keys.used({"key_1": 7})

    assert [key.last_used for key in await keys.all()] == [9]


class Counting(Database):
    def __init__(self, database: Database) -> None:
        super().__init__(database._pool)
        self.statements = 0

    async def transact(self, work: Any, fence: Sequence[Lease] = ()) -> Any:
        async def counted(connection: Connection) -> Any:
            with connection.query_logger(self._count):
                return await work(connection)

        return await super().transact(counted, fence)

    def _count(self, _: object) -> None:
        self.statements += 1


async def test_no_write_takes_more_statements_for_more_rows(database: Database) -> None:
    async def statements(rows: int) -> list[int]:
        counting = Counting(database)
        deliveries, intents = (
            PostgresDeliveries(counting, nothing, nothing),
            PostgresIntents(counting, nothing),
        )
        each: list[int] = []
        first = rows * 1_000
        new = [a_delivery(n=first + n) for n in range(rows)]
        tried = [settled(a_delivery("ep_2", n=first + n), DeliveryState.WAITING, due=1) for n in range(rows)]
        wanted = [an_intent() for _ in range(rows)]
        await add(database, *wanted)
        moves = [
            Move(i, i._replace(state=State.SENDING), an_input(n, kind=InputKind.OUTCOME))
            for n, i in enumerate(wanted)
        ]
        for write in (
            lambda: deliveries.fan_out({0: first + rows}, new, tried),
            lambda: deliveries.settle([settled(d, DeliveryState.WAITING, due=NOW + 1) for d in new]),
            lambda: intents.move(moves),
        ):
            counting.statements = 0
            await write()
            each.append(counting.statements)
        return each

    assert await statements(1) == await statements(50)


async def test_two_who_settle_the_same_delivery_at_once_leave_it_once(database: Database) -> None:
    deliveries = PostgresDeliveries(database, nothing, nothing)
    delivery = a_delivery(n=1)
    await deliveries.fan_out({0: 1}, [delivery])

    async with asyncio.TaskGroup() as group:
        for later in range(4):
            group.create_task(
                deliveries.settle([settled(delivery, DeliveryState.WAITING, due=NOW + 1 + later)])
            )

    assert len(await deliveries.waiting("ep_1", after=START, limit=9)) == 1
