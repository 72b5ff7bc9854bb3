"""Open positions and deals of accounts: in streams, conflated, and page by page, of events and of what samples say."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from conformance.api_bench import ApiBench, an_api
from conformance.backends import StoreBackend
from conformance.feeds_bench import Heard, MemoryHistory, listening
from conformance.test_history import history_of

from hub import position_book
from hub.api.ports import AccountView
from hub.bus.pages import BadCursor
from hub.clock import to_us
from hub.control.keys import Scope
from hub.deals import Deals
from hub.engine.held import PositionRow
from hub.engine.past import Told
from hub.engine.programs import Programs
from hub.engine.rows import Batch, StateRow
from hub.engine.values import Kind, encode_value
from hub.ids import partition_of
from hub.ingest.position_board import MOST_TOLD
from hub.ingest.samples import PositionSample, Sample
from hub.parts import compile_stored
from hub.position_book import PositionBook
from hub.position_past import PositionPast, Stand
from hub.testing import MORNING, a_deposit, a_trade_closed, a_trade_opened, an_account, an_account_state

STREAM = "/v1/accounts/stream"
PAGES = "/v1/accounts/live-1/7001"
KEY = "live-1:7001"
TICK = timedelta(milliseconds=100)


def opened(position: int, login: int = 7001, **fields: Any) -> Any:
    return a_trade_opened(an_account(login=login), position=position, **fields)


def closed(position: int, login: int = 7001, **fields: Any) -> Any:
    return a_trade_closed(an_account(login=login), position=position, **fields)


def sampled(*positions: PositionSample, login: int = 7001, equity: str = "1000", at: int = 1) -> Sample:
    return Sample(
        "live-1", login, Decimal(equity), Decimal(900), Decimal(0), Decimal(100), None, None, None,
        to_us(MORNING) + at, positions=positions,
    )  # fmt: skip


@pytest.fixture
async def api() -> AsyncIterator[ApiBench]:
    """With what follows positions running."""
    async with an_api() as bench:
        bench.shelves.views[KEY] = AccountView(b'{"v":1}', None, 1)
        stopping = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(bench.feeds.positions.run(stopping))
            yield bench
            stopping.set()


def book(api: ApiBench) -> PositionBook:
    assert isinstance(api.feeds.positions, PositionBook)
    return api.feeds.positions


async def until(happened: Any) -> None:
    async with asyncio.timeout(30):
        while not happened():
            await asyncio.sleep(0.005)


@asynccontextmanager
async def watching(api: ApiBench, **query: str) -> AsyncIterator[Heard]:
    """Follow an account's positions, once they are known."""
    wanted = {"interval": "100ms", "positions": "true", "account": KEY, **query}
    async with listening(api.session, api.url + STREAM, api.headers(Scope.READ), **wanted) as heard:
        await heard.until(1)
        await until(lambda: api.feeds.board.positions.are_known(KEY))
        yield heard


async def told(api: ApiBench, heard: Heard) -> dict[str, Any]:
    """Return how the account is told with the next tick."""
    await api.clock.advance(TICK)
    await api.feeds.board.tick()
    before = len(heard.events)
    await heard.until(before + 1)
    (account,) = json.loads(heard.events[-1].data)["accounts"]
    return account  # type: ignore[no-any-return]


async def heard_of(api: ApiBench, *facts: Any) -> None:
    """Return once the board knows what these say."""
    await api.log.append(list(facts))
    rows = api.log.real.heads()[partition_of("live-1", 7001)]
    await until(lambda: (stand := book(api)._accounts[KEY].stand) is not None and stand.n >= rows)


async def test_positions_come_with_the_account_as_events_and_samples_tell_them(api: ApiBench) -> None:
    await api.log.append([opened(11, symbol="EURUSD", lots="2", price="1.1", sl="1.05")])
    async with watching(api) as heard:
        first = await told(api, heard)
        await api.watcher.samples([sampled(PositionSample(11, Decimal("25.50"), Decimal("1.1012")))])
        second = await told(api, heard)
        await heard_of(api, closed(11, lots="1", remaining_lots="1", partial=True))
        third = await told(api, heard)
        await heard_of(api, closed(11, lots="1"))
        last = await told(api, heard)

    assert first["positions"] == [
        {
            "ticket": 11, "symbol": "EURUSD", "side": "buy", "lots": "2", "open_price": "1.1", "sl": "1.05", "tp": None,
            "opened_at": "2026-06-23T09:00:00.000Z", "price": None, "profit": None, "sampled_at": None,
        }
    ]  # fmt: skip
    assert first["account"] == {"server": "live-1", "login": 7001}
    assert first["positions_complete"] is True
    (now,) = second["positions"]
    assert (now["price"], now["profit"], now["sampled_at"]) == (
        "1.1012",
        "25.50",
        "2026-06-23T09:00:00.000001Z",
    )
    assert second["equity"] == "1000"
    assert [(each["lots"], each["price"]) for each in third["positions"]] == [("1", "1.1012")]
    assert last["positions"] == []


async def test_the_newest_wins_and_what_is_the_same_is_not_told_again(api: ApiBench) -> None:
    await api.log.append([opened(11)])
    async with watching(api) as heard:
        await told(api, heard)
        for step in range(2, 7):
            await api.watcher.samples([sampled(PositionSample(11, Decimal(step)), at=step)])
        newest = await told(api, heard)
        await api.watcher.samples([sampled(PositionSample(11, Decimal(6)), at=9)])
        await api.clock.advance(TICK)
        await api.feeds.board.tick()
        await api.watcher.samples([sampled(PositionSample(11, Decimal(7)), at=10)])
        after = await told(api, heard)

    assert [each["profit"] for each in newest["positions"]] == ["6"]
    assert [each["profit"] for each in after["positions"]] == ["7"]
    assert api.feeds.board.superseded == 0


async def test_those_who_did_not_ask_for_positions_hear_nothing_of_them(api: ApiBench) -> None:
    async with (
        watching(api) as asked,
        listening(api.session, api.url + STREAM, api.headers(Scope.READ), interval="100ms") as plain,
    ):
        await plain.until(1)
        await heard_of(api, opened(11))
        await told(api, asked)
        await api.watcher.samples([sampled(PositionSample(11, Decimal(3)))])
        await told(api, asked)
        await plain.until(2)

    assert len(plain.events) == 2
    assert "positions" not in json.loads(plain.events[1].data)["accounts"][0]


async def test_a_late_sample_does_not_bring_back_what_is_closed(api: ApiBench) -> None:
    await api.log.append([opened(11), opened(12)])
    async with watching(api) as heard:
        await told(api, heard)
        await heard_of(api, closed(11))
        await api.watcher.samples([sampled(PositionSample(11, Decimal(1)), PositionSample(99, Decimal(2)))])
        account = await told(api, heard)
        await api.watcher.samples([sampled(PositionSample(12, Decimal(1)), at=2)])
        later = await told(api, heard)

    # 99 was opened before anybody told the hub: its sample is all there is of it, for as long as it is sampled.
    assert [(each["ticket"], each["symbol"]) for each in account["positions"]] == [(12, "EURUSD"), (99, None)]
    assert [each["ticket"] for each in later["positions"]] == [12]


async def test_symbols_are_chosen_and_of_too_many_positions_the_newest_are_told(api: ApiBench) -> None:
    many = [opened(n, symbol="GBPUSD" if n % 2 else "EURUSD") for n in range(1, 2 * MOST_TOLD + 3)]
    await api.log.append(many)
    async with watching(api) as heard, watching(api, symbol="XAUUSD,GBPUSD") as some:
        everything = await told(api, heard)
        await some.until(2)
        pounds = json.loads(some.events[-1].data)["accounts"][0]

    tickets = [each["ticket"] for each in everything["positions"]]
    assert tickets == list(range(MOST_TOLD + 3, 2 * MOST_TOLD + 3))
    assert everything["positions_left_out"] == MOST_TOLD + 2
    assert {each["symbol"] for each in pounds["positions"]} == {"GBPUSD"}
    assert (len(pounds["positions"]), pounds["positions_left_out"]) == (MOST_TOLD, 1)


@pytest.mark.parametrize(
    "query",
    [
        {"positions": "true"},
        {"positions": "yes", "account": KEY},
        {"symbol": "EURUSD", "account": KEY},
        {"positions": "true", "account": KEY, "symbol": ",".join(f"S{n}" for n in range(33))},
    ],
)
async def test_what_cannot_be_asked_for_is_refused(api: ApiBench, query: dict[str, str]) -> None:
    status, problem, _ = await api.ask("GET", STREAM, params=query)

    assert (status, problem["type"]) == (400, "urn:hub:problem:bad-query")


async def test_a_token_sees_positions_and_deals_of_its_own_accounts_alone(api: ApiBench) -> None:
    await api.log.append([opened(11), opened(12, 7002), a_deposit(an_account()), closed(11)])
    await api.ask("PUT", "/v1/clients/me", json={"accounts": [KEY]})
    _, token, _ = await api.ask("POST", "/v1/tokens", json={"client": "me", "events": ["trade.*"]})
    mine = {"Authorization": f"Bearer {token['token']}"}

    async def get(path: str, **query: str) -> tuple[int, Any]:
        status, body, _ = await api.ask("GET", path, scope=None, headers=mine, params=query)
        return status, body

    for path in ("/v1/accounts/live-1/7002/positions", "/v1/accounts/live-1/7002/deals"):
        assert (await get(path))[0] == 403
    assert (await get(STREAM, positions="true", account="live-1:7002"))[0] == 403
    _, positions = await get(PAGES + "/positions")
    _, deals = await get(PAGES + "/deals")
    async with listening(api.session, api.url + STREAM, mine, positions="true") as heard:
        await heard.until(1)  # without naming accounts: its own

    assert positions == {"items": [], "next": None, "complete": True}
    assert [each["type"] for each in deals["items"]] == ["trade.closed", "trade.opened"]
    assert "source" not in deals["items"][0]  # as a webhook tells it
    assert set(deals["items"][0]) == {"id", "type", "timestamp", "account", "sequence", "data"}


async def test_the_page_of_positions_goes_on_where_it_ended(api: ApiBench) -> None:
    await api.log.append([opened(n) for n in (3, 1, 2**63 + 5, 2)])
    found: list[int] = []
    cursor = ""
    for _ in range(2):
        query = {"limit": "2", **({"after": cursor} if cursor else {})}
        status, body, _ = await api.ask("GET", PAGES + "/positions", params=query)
        assert (status, body["complete"]) == (200, True)
        found += [each["ticket"] for each in body["items"]]
        cursor = body["next"] or ""

    assert (found, cursor) == ([1, 2, 3, 2**63 + 5], "")
    for wrong in ("-1", "x", "1" * 21):
        assert (await api.ask("GET", PAGES + "/positions", params={"after": wrong}))[0] == 400
    for path in ("/positions", "/deals"):
        assert (await api.ask("GET", "/v1/accounts/live-1/4040" + path))[0] == 404


async def test_nothing_is_kept_of_accounts_nobody_looks_at(api: ApiBench) -> None:
    await api.log.append([opened(11)])
    async with watching(api):
        pass
    await until(lambda: not len(api.feeds))
    for _ in range(6):
        await api.clock.advance(timedelta(seconds=15))

    assert len(book(api)) == 0
    assert not api.feeds.board.positions.is_wanted()
    await until(lambda: not len(api.feeds.tail))


async def test_more_accounts_than_are_followed_are_refused(api: ApiBench) -> None:
    book(api)._most = 1
    async with watching(api):
        status, problem, headers = await api.ask(
            "GET", STREAM, params={"positions": "true", "account": f"{KEY},live-1:7002"}
        )

    assert (status, problem["type"], headers["Retry-After"]) == (
        429,
        "urn:hub:problem:too-many-positions",
        "10",
    )


async def test_after_the_tail_was_lost_positions_are_read_again(api: ApiBench) -> None:
    await api.log.append([opened(11)])
    async with watching(api) as heard:
        await told(api, heard)
        (follow,) = api.feeds.tail._follows
        listeners, api.log.listeners = api.log.listeners, []
        await api.log.append([closed(11), opened(12)])  # which nobody hears
        api.log.listeners = listeners
        follow.end("a test")
        async with asyncio.timeout(30):
            while [each.position.ticket for each in api.feeds.board.positions.positions(KEY)] != [12]:
                await api.clock.advance(TICK)
                await asyncio.sleep(0.005)
        account = await told(api, heard)

    assert [each["ticket"] for each in account["positions"]] == [12]


async def test_an_event_that_may_be_in_what_was_read_has_it_read_again(
    api: ApiBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine went on between two reads: nobody knows on which side of them an event of then was decided."""
    real, doubtful = book(api)._past.of, [1]

    async def of(account: str) -> Stand | None:
        stand = await real(account)
        assert stand is not None
        return stand._replace(doubtful=stand.n + doubtful.pop()) if doubtful else stand

    monkeypatch.setattr(book(api), "_past", SimpleNamespace(of=of))
    await api.log.append([opened(11, lots="1")])
    async with watching(api) as heard:
        await told(api, heard)
        await heard_of(api, opened(11, lots="2"))  # a netting position that grew
        account = await told(api, heard)

    assert doubtful == []
    assert [each["lots"] for each in account["positions"]] == ["3"]


# What is read before anybody hears


class Kept:
    """A program that looks at positions, or not."""

    def __init__(self, *, folds: bool) -> None:
        self.folds_positions = folds

    async def standing(self, partition: int) -> tuple[Any, None]:
        return self, None


def past_of(store: StoreBackend, programs: Any) -> PositionPast:
    async def heads() -> list[int]:
        rows = await store.log.scan(0, 10_000)
        found = [0] * 64
        for row in rows:
            found[row.partition] = max(found[row.partition], row.n)
        return found

    return PositionPast(store.engine, programs, history_of(store), heads, store.clock)


async def test_positions_are_folded_from_any_stores_log(store: StoreBackend) -> None:
    await store.log.append([opened(11), opened(12), a_deposit(), opened(13, 7002), closed(11)])

    stand = await past_of(store, Programs(store.engine, compile_stored)).of(KEY)

    assert stand is not None
    rows = [row for row in stand.state.values.values() if isinstance(row, PositionRow)]
    assert ([row.id for row in rows], stand.complete) == ([12], True)


async def test_where_the_engine_keeps_positions_its_rows_are_read_once_it_has_come_that_far(
    store: StoreBackend,
) -> None:
    await store.log.append([opened(11), opened(12)])
    where = partition_of("live-1", 7001)
    past = past_of(store, Kept(folds=True))
    behind = await past.of(KEY)
    row = encode_value(PositionRow(12, Decimal(1), "EURUSD"))
    await store.engine.commit(
        Batch(positions={where: 2}, states=[StateRow(where, KEY, Kind.POSITION, "12", row)]),
        [await store.lease()],
    )
    stand = await past.of(KEY)

    assert behind is None
    assert stand is not None
    assert [each.id for each in stand.state.values.values() if isinstance(each, PositionRow)] == [12]
    assert (stand.n, stand.doubtful) == (2, 2)


async def test_more_looks_for_deals_than_can_wait_are_told_to_come_again(
    api: ApiBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = asyncio.Event()
    plain = MemoryHistory.told

    async def slow(self: MemoryHistory, key: str, **more: Any) -> Told:
        await go_on.wait()
        return await plain(self, key, **more)

    monkeypatch.setattr(MemoryHistory, "told", slow)
    async with asyncio.TaskGroup() as group:
        asking = [group.create_task(api.ask("GET", PAGES + "/deals")) for _ in range(33)]
        await until(lambda: any(each.done() for each in asking))
        (refused,) = [each.result() for each in asking if each.done()]
        go_on.set()
    answered = [each.result()[0] for each in asking]

    assert (refused[0], refused[2]["Retry-After"]) == (503, "2")
    assert sorted(answered) == [200] * 32 + [503]


async def test_an_event_that_cannot_be_folded_ends_nothing(
    api: ApiBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> list[str]:
        raise RuntimeError("a bug")

    await api.log.append([opened(11)])
    async with watching(api) as heard:
        await told(api, heard)
        with monkeypatch.context() as broken:
            broken.setattr(position_book, "fold", fails)
            await heard_of(api, opened(12))
        await heard_of(api, opened(13))
        account = await told(api, heard)

    assert [each["ticket"] for each in account["positions"]] == [11, 13]
    assert account["positions_complete"] is False


async def test_deals_come_the_newest_first_from_any_store_page_by_page(store: StoreBackend) -> None:
    other = an_account_state("real\\vip")
    facts = [opened(11), a_deposit(), opened(5, 7002), other, closed(11), opened(12)]
    await store.log.append(facts)
    deals = Deals(history_of(store), store.log, store.clock)
    wanted = [facts[n].envelope.id for n in (5, 4, 1, 0)]

    found: list[str] = []
    cursor = ""
    for _ in range(4):
        page = await deals.deals(KEY, ("trade.*", "balance.*"), after=cursor, limit=1)
        found += [row.ref for row in page.rows]
        cursor = page.next or ""
    last = await deals.deals(KEY, ("trade.*", "balance.*"), after=cursor, limit=5)
    money = await deals.deals(KEY, ("balance.*",), after="", limit=5)

    assert found == wanted
    assert (last.rows, last.next, last.complete) == ([], None, True)
    assert [row.ref for row in money.rows] == [facts[1].envelope.id]
    for foreign in (facts[2].envelope.id, "evt_nothing", "x"):
        with pytest.raises(BadCursor):
            await deals.deals(KEY, ("trade.*",), after=foreign, limit=1)
