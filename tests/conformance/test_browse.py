"""What the API's lists rely on: pages hold everything once, in order, and end; keys and clients are kept as written."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, TypeVar

import pytest
from conformance.backends import StoreBackend, error_of

from hub.bus.log import InputKind
from hub.bus.pages import BadCursor, Page
from hub.clock import to_us
from hub.control.keys import ApiKey, Scope
from hub.dispatch.outbox import Delivery, DeliveryState
from hub.engine.rows import RunRow
from hub.ingest.directory import PutOutcome, StoredClient
from hub.intents.intent import State
from hub.testing import (
    MORNING,
    a_delivery,
    a_deposit,
    a_trade_closed,
    an_account,
    an_endpoint,
    an_input,
    an_intent,
    settled,
)

T = TypeVar("T")
NOW = to_us(MORNING)
SECOND = timedelta(seconds=1)
LONGEST_CURSOR = 512  # what the API lets through


async def everything(page_after: Callable[[str], Awaitable[Page[T]]]) -> list[T]:
    """Read page after page until there are no more."""
    found: list[T] = []
    after = ""
    for _ in range(100):
        page = await page_after(after)
        found += page.items
        if page.next is None:
            return found
        assert len(page.next) <= LONGEST_CURSOR
        assert page.next != after
        after = page.next
    raise AssertionError("the pages do not end")


# --- events


async def events(store: StoreBackend, limit: int = 3, **filters: Any) -> list[str]:
    rows = await everything(lambda after: store.store.browser.events(after=after, limit=limit, **filters))
    return [row.ref for row in rows]


async def some_events(store: StoreBackend) -> list[str]:
    """Store events of several accounts, a second apart, between inputs that are none."""
    told: list[str] = []
    for number in range(10):
        facts = [
            a_trade_closed(an_account(login=7_000 + number % 4))
            if number % 3
            else a_deposit(an_account(login=7_000))
        ]
        await store.log.append(facts, inputs=[an_input(number), an_input(number + 1)])
        told.append(facts[0].envelope.id)
        await store.clock.advance(SECOND)
    return told


async def test_every_event_is_listed_once_in_the_order_the_hub_learned_them(store: StoreBackend) -> None:
    told = await some_events(store)

    assert await events(store) == told
    assert await events(store, limit=1) == told
    assert await events(store, limit=500) == told
    assert await events(store, newest_first=True) == told[::-1]
    assert await events(store, limit=1, newest_first=True) == told[::-1]


async def test_events_are_filtered_by_type_and_account(store: StoreBackend) -> None:
    told = await some_events(store)

    trades = [ref for number, ref in enumerate(told) if number % 3]
    of_7001 = [told[1], told[5]]
    assert await events(store, types=["trade.*"]) == trades
    assert await events(store, types=["trade.closed"], newest_first=True) == trades[::-1]
    assert await events(store, types=["trade.opened"]) == []
    assert await events(store, account="live-1:7001", limit=1) == of_7001
    assert await events(store, account="live-1:7001", newest_first=True) == of_7001[::-1]
    assert await events(store, account="live-1:7009") == []
    assert await events(store, account="live-1:7001", types=["balance.*"]) == []


async def test_a_page_of_events_holds_no_more_than_asked(store: StoreBackend) -> None:
    told = await some_events(store)

    page = await store.store.browser.events(after="", limit=4)

    assert [row.ref for row in page.items] == told[:4]
    assert all(row.kind == InputKind.EVENT and row.body for row in page.items)


async def test_what_comes_after_a_page_stands_behind_its_cursor(store: StoreBackend) -> None:
    told = await some_events(store)
    page = await store.store.browser.events(after="", limit=9)
    assert page.next is not None
    late = a_trade_closed(an_account(login=9_999))
    await store.log.append([late])

    rest = await store.store.browser.events(after=page.next, limit=9)

    assert [row.ref for row in rest.items] == [told[9], late.envelope.id]


CURSORS = ["!", "-1", "1" * 30, "²", "AQ==", "A" * 428, "w:a", "a:x", "x:y:z"]


@pytest.mark.parametrize("cursor", CURSORS)
async def test_a_cursor_of_somebody_else_is_refused(store: StoreBackend, cursor: str) -> None:
    browser = store.store.browser

    assert isinstance(await error_of(browser.events(after=cursor, limit=3)), BadCursor)


@pytest.mark.parametrize("cursor", ["zz", "b:1", "w:a", "a:x", "w:a,1,2,x", "a:" + "1" * 30])
async def test_a_cursor_of_deliveries_that_makes_no_sense_is_refused(
    store: StoreBackend, cursor: str
) -> None:
    assert isinstance(await error_of(store.store.browser.deliveries(after=cursor, limit=3)), BadCursor)


# --- deliveries


async def deliveries(store: StoreBackend, **filters: Any) -> list[tuple[str, int, str]]:
    found: list[Delivery] = await everything(
        lambda after: store.store.browser.deliveries(after=after, limit=2, **filters)
    )
    return [(each.endpoint, each.n, each.state.value) for each in found]


async def some_deliveries(store: StoreBackend) -> str:
    """Leave three waiting, one of them tried before, and three that are over; return the event of the first row."""
    row = await store.add_event(a_trade_closed())
    for name in ("ep_1", "ep_2", "ep_3"):
        await store.endpoints.create(an_endpoint(name))
    new = [
        a_delivery(name, partition=row.partition, n=n, event_id=row.ref if n == 1 else "evt_y")
        for n in (1, 2)
        for name in ("ep_1", "ep_2", "ep_3")
    ]
    await store.deliveries.fan_out({row.partition: 2}, new)
    await store.deliveries.settle([settled(new[0], DeliveryState.WAITING, due=NOW + 5)])
    await store.deliveries.settle([settled(new[1], DeliveryState.DELIVERED)])
    await store.deliveries.settle([settled(new[2], DeliveryState.EXHAUSTED)])
    await store.deliveries.settle([settled(new[3], DeliveryState.DELIVERED)])
    return row.ref


async def test_what_waits_is_listed_first_and_then_what_is_over_the_newest_first(store: StoreBackend) -> None:
    await some_deliveries(store)

    waiting = [("ep_1", 1, "waiting"), ("ep_2", 2, "waiting"), ("ep_3", 2, "waiting")]
    over = [("ep_1", 2, "delivered"), ("ep_3", 1, "exhausted"), ("ep_2", 1, "delivered")]
    assert await deliveries(store) == waiting + over
    assert await deliveries(store, state="waiting") == waiting
    assert await deliveries(store, state="delivered") == [over[0], over[2]]
    assert await deliveries(store, endpoint="ep_3") == [waiting[2], over[1]]
    assert await deliveries(store, endpoint="ep_9") == []


async def test_deliveries_are_listed_since_a_moment(store: StoreBackend) -> None:
    await some_deliveries(store)
    row = (await store.store.browser.events(after="", limit=1)).items[0]
    day = 24 * 3600 * 1_000_000
    late = [
        a_delivery("ep_1", row.partition, n, event_id="evt_z", due=NOW + 3 * day)._replace(
            created_at=NOW + 3 * day
        )
        for n in (7, 8)
    ]
    await store.deliveries.fan_out({row.partition: 8}, late)
    await store.deliveries.settle([settled(late[0], DeliveryState.DELIVERED)])

    new = [("ep_1", 8, "waiting"), ("ep_1", 7, "delivered")]
    assert await deliveries(store, since=NOW + 1) == new
    assert await deliveries(store, since=NOW + 3 * day) == new
    assert await deliveries(store, since=NOW + 3 * day + 1) == []
    assert len(await deliveries(store, since=NOW)) == 8


async def test_the_deliveries_of_an_event_are_found(store: StoreBackend) -> None:
    event_id = await some_deliveries(store)

    async def of_event(**filters: Any) -> list[tuple[str, int, str]]:
        page = await store.store.browser.deliveries(after="", limit=9, event_id=event_id, **filters)
        return sorted((each.endpoint, each.n, each.state.value) for each in page.items)

    assert await of_event() == [("ep_1", 1, "waiting"), ("ep_2", 1, "delivered"), ("ep_3", 1, "exhausted")]
    assert await of_event(state="exhausted") == [("ep_3", 1, "exhausted")]
    assert await of_event(endpoint="ep_2") == [("ep_2", 1, "delivered")]
    assert (await store.store.browser.deliveries(after="", limit=9, event_id="evt_none")).items == []


async def test_a_delivery_is_shown_as_it_stands_with_its_attempts(store: StoreBackend) -> None:
    await some_deliveries(store)
    row = (await store.store.browser.events(after="", limit=1)).items[0]
    browser, partition = store.store.browser, row.partition

    tried, over = [await browser.delivery(name, partition, 1) for name in ("ep_1", "ep_2")]

    assert tried is not None
    assert over is not None
    assert (tried.state, tried.attempts, tried.due) == (DeliveryState.WAITING, 1, NOW + 5)
    assert (over.state, over.attempts) == (DeliveryState.DELIVERED, 1)
    assert [attempt.number for attempt in await browser.attempts("ep_1", partition, 1)] == [1]
    assert await browser.delivery("ep_1", partition, 9) is None
    assert await browser.delivery("ep_1", 99_999, 1) is None


# --- actions and runs


async def test_actions_are_listed_the_newest_first_and_filtered(store: StoreBackend) -> None:
    intents = [
        an_intent(
            f"i{number}",
            account="live-1:7001" if number % 2 else "live-2:7001",
            state=State.PARKED if number > 3 else State.READY,
        )._replace(at=NOW + number // 2, workflow="other" if number == 0 else "bonus")
        for number in range(6)
    ]
    await store.add_intents(*intents)

    async def actions(**filters: Any) -> list[str]:
        found = await everything(lambda after: store.store.browser.actions(after=after, limit=2, **filters))
        return [intent.key for intent in found]

    assert await actions() == ["i5", "i4", "i3", "i2", "i1", "i0"]
    assert await actions(account="live-1:7001") == ["i5", "i3", "i1"]
    assert await actions(state=State.PARKED) == ["i5", "i4"]
    assert await actions(workflow="other") == ["i0"]
    assert await actions(account="live-2:7001", state=State.READY, workflow="bonus") == ["i2"]
    assert await store.store.browser.get("i3") == intents[3]
    assert await store.store.browser.get("i9") is None
    assert isinstance(await error_of(store.store.browser.actions(after="x:y", limit=2)), BadCursor)


async def test_runs_are_listed_the_newest_first_and_filtered(store: StoreBackend) -> None:
    runs = [
        RunRow(
            number % 2, f"r{number}", "a" if number % 2 else "b", "bonus", "v1", "done", NOW + number, b"{}"
        )
        for number in range(5)
    ]
    runs.append(RunRow(0, "r5", "a", "other", "v1", "running", NOW, b"{}"))
    await store.decide(runs=runs)

    async def listed(**filters: Any) -> list[str]:
        found = await everything(lambda after: store.store.browser.runs(after=after, limit=2, **filters))
        assert all(run in runs for run in found)
        return [run.id for run in found]

    assert await listed() == ["r4", "r3", "r2", "r1", "r5", "r0"]
    assert await listed(workflow="bonus", key="a") == ["r3", "r1"]
    assert await listed(workflow="other") == ["r5"]
    assert await listed(key="b", state="done") == ["r4", "r2", "r0"]


async def test_the_last_number_of_an_account_is_known(store: StoreBackend) -> None:
    await store.log.append(
        [
            a_trade_closed(an_account(login=7_001)),
            a_trade_closed(an_account(login=7_001)),
            a_trade_closed(an_account(login=7_002)),
        ]
    )

    browser = store.store.browser
    assert await browser.sequence("live-1:7001") == 2
    assert await browser.sequence("live-1:7002") == 1
    assert await browser.sequence("live-1:7003") == 0


# --- keys


def a_key(name: str, number: int = 1) -> ApiKey:
    return ApiKey(f"key_{name}", name.encode() * 4, name, (Scope.READ, Scope.ADMIN), ("live-1",), number, NOW)


async def test_keys_are_kept_as_they_were_written(store: StoreBackend) -> None:
    keys = store.store.keys
    for key in (a_key("b", 1), a_key("a", 2)):
        await keys.add(key)
    await keys.used({"key_b": 7, "key_gone": 9})
    await keys.used({})
    await store.reopen()

    keys = store.store.keys
    assert await keys.all() == [a_key("b", 1)._replace(last_used=7), a_key("a", 2)]
    assert await keys.remove("key_b")
    assert not await keys.remove("key_b")
    assert await keys.all() == [a_key("a", 2)]


async def test_a_name_is_given_once(store: StoreBackend) -> None:
    await store.store.keys.add(a_key("a"))

    error = await error_of(store.store.keys.add(a_key("a")._replace(id="key_other", hash=b"other")))

    assert error is not None
    assert await store.store.keys.all() == [a_key("a")]


# --- clients


def a_client(name: str = "c1", version: int = 1) -> StoredClient:
    return StoredClient(name, version, f'{{"version":{version}}}'.encode(), NOW, NOW + version)


async def test_clients_are_kept_and_listed_by_id(store: StoreBackend) -> None:
    clients = store.store.clients
    for name in ("c2", "c1", "c3"):
        assert await clients.put(a_client(name), [f"live-1:{name}"], []) == PutOutcome("stored")

    assert await clients.get("c2") == a_client("c2")
    assert await clients.get("c9") is None
    assert [each.id for each in await clients.list(after="", limit=2)] == ["c1", "c2"]
    assert [each.id for each in await clients.list(after="c2", limit=2)] == ["c3"]


async def test_a_change_counts_only_on_what_it_was_made_from(store: StoreBackend) -> None:
    clients = store.store.clients
    assert await clients.put(a_client(version=2), [], []) == PutOutcome("stale")
    assert await clients.put(a_client(version=1), [], []) == PutOutcome("stored")
    assert await clients.put(a_client(version=1), [], [a_trade_closed()]) == PutOutcome("stale")
    assert await clients.put(a_client(version=2), [], []) == PutOutcome("stored")
    late = a_client(version=2)._replace(body=b"{}")
    assert await clients.put(late, [], [a_trade_closed()]) == PutOutcome("stale")
    assert await clients.put(a_client(version=4), [], [a_trade_closed()]) == PutOutcome("stale")

    assert await clients.get("c1") == a_client(version=2)
    assert await events(store) == []


async def test_an_account_has_one_client_until_it_lets_go_of_it(store: StoreBackend) -> None:
    clients = store.store.clients
    fact = a_trade_closed()
    await clients.put(a_client("c1"), ["live-1:1", "live-1:2"], [])

    refused = await clients.put(a_client("c2"), ["live-1:3", "live-1:2"], [fact])
    assert refused == PutOutcome("taken", "live-1:2", "c1")
    assert await clients.get("c2") is None

    await clients.put(a_client("c1", 2), ["live-1:1"], [])
    assert await clients.put(a_client("c2"), ["live-1:3", "live-1:2"], [fact]) == PutOutcome("stored")
    await store.reopen()
    assert await events(store) == [fact.envelope.id]


async def test_of_many_who_change_a_client_at_once_one_does(store: StoreBackend) -> None:
    clients = store.store.clients
    facts = [a_trade_closed() for _ in range(4)]

    async with asyncio.TaskGroup() as group:
        puts = [
            group.create_task(clients.put(a_client(), [f"live-1:{n}"], [fact]))
            for n, fact in enumerate(facts)
        ]

    assert sorted(put.result().state for put in puts) == ["stale"] * 3 + ["stored"]
    await store.reopen()
    assert len(await events(store)) == 1


async def test_of_many_who_want_an_account_at_once_one_gets_it(store: StoreBackend) -> None:
    clients = store.store.clients

    async with asyncio.TaskGroup() as group:
        puts = [
            group.create_task(clients.put(a_client(f"c{n}"), accounts, []))
            for n, accounts in enumerate((["live-1:1", "live-1:2"], ["live-1:2", "live-1:1"], ["live-1:2"]))
        ]

    assert sorted(put.result().state for put in puts) == ["stored", "taken", "taken"]
