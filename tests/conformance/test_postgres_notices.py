"""What one process writes the others hear of, and after every gap they are told to look for themselves."""

import asyncio
import json
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from conformance.backends import PostgresBackend

from hub.bus.lease import Lease
from hub.bus.log import InputKind
from hub.clock import SystemClock, to_us
from hub.control.keys import ApiKey
from hub.dispatch.outbox import DeliveryState, Move
from hub.ids import PARTITIONS
from hub.ingest.directory import StoredClient
from hub.intents.intent import State
from hub.store.postgres.listen import Listener
from hub.store.postgres.notices import (
    ARRIVALS,
    ENDPOINTS,
    INTENTS,
    KEYS,
    WAITING,
    notify,
    notify_intents,
    read_intents,
    read_waiting,
    waiting_payload,
)
from hub.store.postgres.outbox import PostgresDeliveries
from hub.testing import (
    MORNING,
    a_delivery,
    a_trade_closed,
    an_endpoint,
    an_input,
    an_intent,
    settled,
)

NOW = to_us(MORNING)


def nothing(_: Collection[Any]) -> Sequence[Lease]:
    return ()


class Ear:
    """Hears as another process would."""

    def __init__(self, dsn: str, clock: Any = None) -> None:
        self.notices: list[tuple[str, str]] = []
        self.gaps = 0
        self.stopping = asyncio.Event()
        self.listener = Listener(dsn, clock or SystemClock(), on_notice=self._notice, on_gap=self._gap)

    def _notice(self, channel: str, payload: str) -> None:
        self.notices.append((channel, payload))
        if payload == "stumble":
            raise ValueError("a bug of the hearer")

    def _gap(self) -> None:
        self.gaps += 1

    async def until(self, condition: Any) -> None:
        async with asyncio.timeout(10):
            while not condition():
                await asyncio.sleep(0.005)

    async def all_until(self, database: Any) -> list[tuple[str, str]]:
        """Return what was heard up to now: notices come in the order of their commits."""
        await notify(database, KEYS, ["the end"])
        await self.until(lambda: (KEYS, "the end") in self.notices)
        heard = [notice for notice in self.notices if notice != (KEYS, "the end")]
        self.notices.clear()
        return heard


@asynccontextmanager
async def listening(ear: Ear) -> AsyncIterator[Ear]:
    async with asyncio.TaskGroup() as group:
        group.create_task(ear.listener.run(ear.stopping))
        try:
            await ear.until(lambda: ear.gaps == 1)
            yield ear
        finally:
            ear.stopping.set()


@pytest.fixture
async def ear(postgres: PostgresBackend) -> AsyncIterator[Ear]:
    async with listening(Ear(postgres.dsn)) as ear:
        yield ear


async def test_others_hear_of_deliveries_that_wait(postgres: PostgresBackend, ear: Ear) -> None:
    new = [a_delivery("ep_2", n=3, due=NOW + 9), *(a_delivery("ep_1", n=n) for n in (2, 1, 4))]
    over = settled(a_delivery("ep_3", n=4), DeliveryState.DELIVERED)
    again = settled(a_delivery("ep_4", n=5), DeliveryState.WAITING, due=NOW + 1)

    await postgres.deliveries.fan_out({0: 5}, new, [over, again])
    await postgres.deliveries.fan_out({0: 6}, [], [settled(a_delivery(n=6), DeliveryState.DELIVERED)])

    [(channel, payload)] = await ear.all_until(postgres.store.database)
    assert channel == WAITING
    assert read_waiting(payload) == {
        "ep_1": (NOW, 0, 1),
        "ep_2": (NOW + 9, 0, 3),
        "ep_4": (NOW + 1, 0, 5),
    }


async def test_whoever_hears_of_deliveries_from_their_writer_is_told_of_none(
    postgres: PostgresBackend, ear: Ear
) -> None:
    deliveries = PostgresDeliveries(
        postgres.store.database, lambda _: (), lambda _: (), hears=lambda endpoint: endpoint == "ep_1"
    )

    await deliveries.fan_out({0: 2}, [a_delivery("ep_1", n=1), a_delivery("ep_2", n=2)])
    await deliveries.fan_out({0: 3}, [a_delivery("ep_1", n=3)])

    [(channel, payload)] = await ear.all_until(postgres.store.database)
    assert (channel, read_waiting(payload)) == (WAITING, {"ep_2": (NOW, 0, 2)})


async def test_others_hear_of_endpoints_and_keys_that_change(postgres: PostgresBackend, ear: Ear) -> None:
    changed: list[int] = []
    postgres.store.endpoints.changed = lambda: changed.append(1)
    await postgres.endpoints.create(an_endpoint("ep_1"))
    await postgres.endpoints.replace(an_endpoint("ep_1"), an_endpoint("ep_1", state="disabled"))
    await postgres.endpoints.delete("ep_1")
    await postgres.store.keys.add(ApiKey("key_1", b"hash", "name", (), (), NOW))
    await postgres.store.keys.remove("key_1")

    assert await ear.all_until(postgres.store.database) == [(ENDPOINTS, "ep_1")] * 3 + [(KEYS, "key_1")] * 2
    assert len(changed) == 3


async def test_owners_hear_of_what_was_left_for_them(postgres: PostgresBackend, ear: Ear) -> None:
    intents = [an_intent(f"i{n}", state=State.SENDING) for n in range(3)]
    await postgres.add_intents(*intents)
    moves = [
        Move(
            intent,
            intent._replace(state=State.APPLIED),
            an_input(partition, kind=InputKind.OUTCOME, ref=intent.key),
        )
        for intent, partition in zip(intents, (5, 3, 5), strict=True)
    ]
    fact = a_trade_closed()

    await postgres.intents.move(moves)
    await postgres.store.clients.put(StoredClient("c1", 1, b"{}", NOW, NOW), [], [fact])

    heard = await ear.all_until(postgres.store.database)
    assert heard == [(ARRIVALS, "3"), (ARRIVALS, "5"), (ARRIVALS, str(fact.partition))]


async def test_dispatchers_hear_of_intents_that_are_to_be_carried_out(
    postgres: PostgresBackend, ear: Ear
) -> None:
    wanted = [an_intent(due=7), an_intent(due=5), an_intent(account="", due=9)]
    await notify_intents(postgres.store.database, [*wanted, an_intent(state=State.SHADOW, account="x:1")])
    await notify_intents(postgres.store.database, [an_intent(state=State.SHADOW)])

    [(channel, payload)] = await ear.all_until(postgres.store.database)
    assert (channel, read_intents(payload)) == (INTENTS, {"live-1": 5, "": 9})


async def test_a_connection_that_is_lost_is_made_again_and_the_gap_is_told(
    postgres: PostgresBackend, ear: Ear
) -> None:
    await postgres.sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE application_name = 'hub notices' AND datname = current_database()"
    )
    await ear.until(lambda: ear.gaps == 2)

    await notify(postgres.store.database, ENDPOINTS, ["ep_1"])

    assert await ear.all_until(postgres.store.database) == [(ENDPOINTS, "ep_1")]


async def test_a_hearer_that_fails_hears_the_next(postgres: PostgresBackend, ear: Ear) -> None:
    await notify(postgres.store.database, ENDPOINTS, ["stumble"])
    await notify(postgres.store.database, ENDPOINTS, ["ep_1"])

    assert (await ear.all_until(postgres.store.database))[-1] == (ENDPOINTS, "ep_1")


class Hasty(SystemClock):  # type: ignore[misc]  # final for the hub, not for a test that watches it
    """Sleeps no longer than it must to let others run, and remembers for how long it was to sleep."""

    def __init__(self) -> None:
        self.waits: list[float] = []

    async def sleep(self, duration: timedelta) -> None:
        self.waits.append(duration.total_seconds())
        await asyncio.sleep(0)


async def test_a_server_that_is_away_is_tried_again_less_and_less_often() -> None:
    clock = Hasty()
    ear = Ear("postgresql://nobody@127.0.0.1:1/none", clock)

    async with asyncio.TaskGroup() as group:
        group.create_task(ear.listener.run(ear.stopping))
        await ear.until(lambda: len(clock.waits) > 8)
        ear.stopping.set()

    assert clock.waits[:8] == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]
    assert ear.gaps == 0


def test_more_than_a_notice_can_say_is_told_as_everything() -> None:
    many = [a_delivery(f"ep_{n:060}", partition=n % PARTITIONS) for n in range(200)]

    assert waiting_payload(many) == "{}"
    assert json.loads(waiting_payload(many[:1])) == {f"ep_{0:060}": [NOW, 0, 1]}


NONSENSE = ["", "[", "[1]", '{"a": "x"}', '{"a": [1, 2]}', '{"a": null}', "\ud800"]


@pytest.mark.parametrize("payload", NONSENSE)
def test_a_notice_that_says_nothing_is_read_as_everything(payload: str) -> None:
    assert read_waiting(payload) == {}
    assert read_intents(payload) == {}
