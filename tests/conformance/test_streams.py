"""Streams of events over real sockets and every store: filtered, resumed without a hole, bounded, and ended with a word."""

import asyncio
import json
import random
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import aiohttp
import pytest
from conformance.api_bench import ApiBench, an_api
from conformance.backends import PostgresBackend, SqliteBackend, StoreBackend
from conformance.feeds_bench import Heard, listening

from hub.api import event_source
from hub.bus import tail
from hub.clock import iso, to_us
from hub.control.keys import Scope
from hub.events.facts import Fact
from hub.testing import MORNING, a_deposit, a_trade_closed, an_account

PATH = "/v1/events/stream"


class Live:
    """A stream's server over a store, and what is committed to that store."""

    def __init__(self, api: ApiBench, store: StoreBackend) -> None:
        self.api = api
        self.store = store
        self.told: list[str] = []
        if isinstance(store, SqliteBackend):
            store.store.log.listen(api.feeds.tail.offer)

    async def append(self, *facts: Fact) -> list[str]:
        ids = [appended.id for appended in await self.store.log.append(facts)]
        self.told += ids
        await self.look()
        return ids

    async def look(self) -> None:
        """Do what a process does that is not told of commits."""
        if isinstance(self.store, PostgresBackend) and self.api.feeds.tail.place:
            while await self.api.feeds.tail.look():
                pass

    def stream(self, place: str = "", scope: Scope = Scope.EVENTS_READ, **query: str) -> Any:
        return listening(self.api.session, self.api.url + PATH, self.api.headers(scope), place=place, **query)


@pytest.fixture
async def live(store: StoreBackend) -> AsyncIterator[Live]:
    async with an_api(over=store) as api:
        yield Live(api, store)


def places(heard: Heard) -> list[str]:
    return [event.place for event in heard.events]


async def ended(live: Live) -> None:
    async with asyncio.timeout(10):
        while len(live.api.feeds):
            await asyncio.sleep(0.01)


async def test_a_stream_begins_now_and_tells_what_comes(live: Live) -> None:
    await live.append(a_trade_closed())

    async with live.stream() as heard:
        ids = await live.append(a_trade_closed(), a_deposit())
        await heard.until(2)

    assert sorted(heard.ids) == sorted(ids)
    body = json.loads(heard.events[0].data)
    status, same, _ = await live.api.ask("GET", "/v1/events", scope=Scope.EVENTS_READ)
    assert status == 200
    assert same == {"items": [], "next": None}  # of the log in memory, which has nothing
    assert body["sequence"] == 2
    assert body["source"] == "test"


async def test_events_are_chosen_by_type_account_and_content(live: Live) -> None:
    big = a_trade_closed(an_account(login=7002), lots="3")
    facts = [a_trade_closed(lots="3"), a_deposit(an_account(login=7002)), big, a_trade_closed(lots="0.1")]

    async with (
        live.stream(type="trade.*") as trades,
        live.stream(account="live-1:7002") as account,
        live.stream(where="event.lots > 1 and account.login == 7002") as large,
        live.stream(type="trade.closed", where="event.lots < 1") as small,
    ):
        await live.append(*facts)
        await trades.until(3)
        await account.until(2)
        await large.until(1)
        await small.until(1)

    ids = [fact.envelope.id for fact in facts]
    assert sorted(trades.ids) == sorted([ids[0], ids[2], ids[3]])
    assert account.ids == [ids[1], ids[2]]
    assert large.ids == [ids[2]]
    assert small.ids == [ids[3]]


async def test_of_a_client_come_the_events_of_all_his_accounts(live: Live) -> None:
    await live.api.ask("PUT", "/v1/clients/c1", json={"accounts": ["live-1:7001", "live-1:7003"]})

    async with live.stream(client="c1", scope=Scope.READ) as heard:
        ids = await live.append(*[a_deposit(an_account(login=login)) for login in (7001, 7002, 7003)])
        await heard.until(2)

    assert sorted(heard.ids) == sorted([ids[0], ids[2]])


async def test_since_a_time_comes_what_was_learned_since_then(live: Live) -> None:
    await live.append(a_trade_closed())
    await live.store.clock.advance(timedelta(seconds=10))
    ids = await live.append(a_trade_closed(an_account(login=7002)))

    async with live.stream(since=iso(to_us(MORNING + timedelta(seconds=5)))) as heard:
        ids += await live.append(a_trade_closed(an_account(login=7003)))
        await heard.until(2)

    assert heard.ids == ids


@pytest.mark.parametrize("accounts", ["", "live-1:7001,live-1:7002,live-1:7005"])
async def test_cut_anywhere_and_resumed_the_union_is_exact(live: Live, accounts: str) -> None:
    """Connections are cut in the middle of bytes, while events are committed, and behind what is kept in memory."""
    dice = random.Random(20)
    logins = [7001, 7002, 7003, 7004, 7005]
    wanted = {int(key.rpartition(":")[2]) for key in accounts.split(",") if key} or set(logins)
    expected: list[str] = []
    got: list[str] = []
    place = ""
    query = {"account": accounts} if accounts else {}

    async def write() -> None:
        for login in dice.choices(logins, k=dice.randrange(1, 12)):
            ids = await live.append(a_deposit(an_account(login=login)))
            expected.extend(ids if login in wanted else [])

    await write()
    for _ in range(25):
        begin = {} if place else {"since": iso(to_us(MORNING))}
        async with live.stream(place, **begin, **query) as heard:
            if dice.random() < 0.6:
                await write()
            for _ in range(dice.randrange(4)):
                try:
                    chunk = await asyncio.wait_for(
                        heard.response.content.read(dice.choice((1, 70, 600, 5_000))), 0.05
                    )
                except TimeoutError:
                    break
                heard.events += heard.reader.feed(chunk)
            heard.response.close()  # in the middle of whatever was on its way
        got += heard.ids
        place = heard.events[-1].place if heard.events else place
        if dice.random() < 0.5:
            await write()
    async with live.stream(place, **({} if place else {"since": iso(to_us(MORNING))}), **query) as heard:
        await heard.until(len(expected) - len(got))
        got += heard.ids
        last = await live.append(a_deposit(an_account(login=7001)))
        await heard.until(len(heard.events) + 1)

    assert sorted(got) == sorted(expected)
    assert heard.ids[-1:] == last
    await ended(live)


async def test_a_heartbeat_moves_the_place_past_what_concerns_others(live: Live) -> None:
    async with live.stream(account="live-1:7001") as heard:
        await live.append(*[a_deposit(an_account(login=7002)) for _ in range(3)])
        while not heard.reader.place:
            await live.store.clock.advance(timedelta(seconds=5))
            with_time = asyncio.create_task(heard.more())
            await asyncio.wait((with_time,), timeout=0.05)
            if not with_time.done():
                with_time.cancel()
    place = heard.reader.place
    ids = await live.append(a_deposit(an_account(login=7001)))

    async with live.stream(place, account="live-1:7001") as again:
        await again.until(1)

    assert heard.events == []
    assert again.ids == ids


async def test_who_does_not_read_is_cut_off_and_resumes_without_a_hole(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tail, "ROWS_WAITING", 50)
    monkeypatch.setattr(tail, "ROWS_KEPT", 500)
    monkeypatch.setattr(event_source, "_WRITE_WITHIN_S", 0.3)
    monkeypatch.setattr(event_source, "_LAST_WORD_WITHIN_S", 0.3)
    long = "x" * 200
    async with live.stream() as healthy, live.stream() as heard:
        heard.response.connection.transport.pause_reading()  # type: ignore[union-attr]
        async with asyncio.timeout(60):
            while len(live.api.feeds) == 2:
                await live.append(*[a_deposit(comment=long) for _ in range(200)])
                await healthy.until(len(live.told))
        heard.response.connection.transport.resume_reading()  # type: ignore[union-attr]
        try:
            said = await heard.until_end()
        except aiohttp.ClientError:
            said = ""  # the last word did not fit any more
        assert not said or "too slow" in said or said.endswith("Z")
        assert sorted(healthy.ids) == sorted(live.told)
    got = heard.ids

    assert 0 < len(got) < len(live.told)
    async with live.stream(places(heard)[-1]) as again:
        await again.until(len(live.told) - len(got))

    assert sorted(got + again.ids) == sorted(live.told)


async def test_streams_end_with_a_word_when_the_hub_stops(live: Live) -> None:
    async with live.stream() as heard:
        await live.api.feeds.stopped(None)
        said = await heard.until_end()

    assert said == "the hub stops"
    status, problem, headers = await live.api.ask("GET", PATH, scope=Scope.EVENTS_READ)
    assert (status, problem["type"]) == (503, "urn:hub:problem:stopping")
    assert headers["Retry-After"] == "2"


async def test_what_is_not_kept_any_more_is_said_before_anything_else(live: Live) -> None:
    async with live.stream(since=iso(to_us(MORNING))) as heard:
        await live.append(a_deposit())
        await heard.until(1)
    await live.append(a_deposit())
    await live.store.clock.advance(timedelta(days=401))
    await live.append(a_deposit())
    await live.store.store.pruner.prune()

    status, problem, _ = await live.api.ask(
        "GET", PATH, scope=Scope.EVENTS_READ, headers={"Last-Event-ID": heard.events[0].place}
    )

    assert (status, problem["type"]) == (410, "urn:hub:problem:too-old")


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("zzz", "not one of this hub's"),
        ("AX8", ""),
        ("Aw", "not one of this hub's"),
        ("x" * 2_000, "not one of this hub's"),
        ("A" * 400, "not one of this hub's"),
    ],
)
async def test_a_place_that_was_never_given_is_refused(live: Live, place: str, said: str) -> None:
    status, problem, _ = await live.api.ask(
        "GET", PATH, scope=Scope.EVENTS_READ, headers={"Last-Event-ID": place}
    )

    assert (status, problem["type"]) == (400, "urn:hub:problem:bad-place")
    assert said in problem["detail"]


async def test_one_reading_of_the_log_feeds_every_stream() -> None:
    async with an_api() as api:
        await api.log.append([a_deposit()])
        async with api.session.get(api.url + PATH, headers=api.headers()) as first:
            streams = [first]
            streams += [await api.session.get(api.url + PATH, headers=api.headers()) for _ in range(30)]
            reads = api.feed.reads

            for _ in range(20):
                await api.log.append([a_deposit(), a_trade_closed()])
            for stream in streams:
                seen = b""
                while seen.count(b"data:") < 40:
                    seen += await asyncio.wait_for(stream.content.readany(), 10)

            assert api.feed.reads == reads
            for stream in streams:
                stream.close()


async def test_streams_are_counted_and_refused_beyond_what_is_allowed() -> None:
    async with an_api(limits={"most": 3, "most_of_a_key": 2}) as api:
        url = api.url + PATH
        open_ones = [await api.session.get(url, headers=api.headers(Scope.READ)) for _ in range(2)]

        status, problem, headers = await api.ask("GET", PATH, scope=Scope.READ)
        assert (status, problem["type"]) == (429, "urn:hub:problem:too-many-streams")
        assert "you have" in problem["detail"]
        assert int(headers["Retry-After"]) > 0
        open_ones.append(await api.session.get(url, headers=api.headers(Scope.EVENTS_READ)))
        status, problem, _ = await api.ask("GET", PATH, scope=Scope.ADMIN)
        assert (status, "the hub has" in problem["detail"]) == (429, True)

        for one in open_ones:
            one.close()
        async with asyncio.timeout(10):
            while len(api.feeds):
                await asyncio.sleep(0.01)
        async with listening(api.session, url, api.headers(Scope.READ)):
            assert len(api.feeds) == 1


async def test_a_stream_outlives_the_deadline_of_other_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hub.api.server.REQUEST_WITHIN", timedelta(milliseconds=50))
    monkeypatch.setattr("hub.api.server._SWEEP_EVERY_S", 0.02)
    async with an_api() as api, listening(api.session, api.url + PATH, api.headers()) as heard:
        await asyncio.sleep(0.3)
        await api.log.append([a_deposit()])
        await heard.until(1)

        assert api.serving.counters["overdue"] == 0


async def test_a_key_that_is_revoked_loses_its_stream() -> None:
    async with an_api() as api:
        secret, key = await api.keys.create("short", [Scope.EVENTS_READ])
        async with listening(api.session, api.url + PATH, {"X-API-Key": secret}) as heard:
            await api.keys.revoke(key.id)
            await api.clock.advance(timedelta(seconds=16))
            assert await heard.until_end() == "the key is not valid any more"


async def test_a_stream_that_fails_inside_ends_the_connection_and_is_no_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def fail(*_: object) -> str:
        raise RuntimeError("a bug")

    async with an_api() as api:
        async with listening(api.session, api.url + PATH, api.headers()) as heard:
            monkeypatch.setattr("hub.api.feeds.Feeds.why_over", fail)
            await api.clock.advance(timedelta(seconds=16))
            with pytest.raises(aiohttp.ClientError):
                await heard.until_end()
        assert len(api.feeds) == 0


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"type": "Trade"}, "type:"),
        ({"type": ",".join(f"custom.t{n}" for n in range(40))}, "at most 32"),
        ({"account": "7001"}, "server:login"),
        ({"account": ",".join(f"a:{n}" for n in range(260))}, ""),
        ({"client": "nobody"}, "no client"),
        ({"where": "event.lotz > 1"}, "did you mean event.lots?"),
        ({"where": "event.lots + 1"}, "true or false"),
        ({"where": "now > 1"}, "unknown name"),
        ({"where": "(" * 300}, "where:"),
        ({"since": "yesterday"}, "since:"),
        ({"typ": "trade.*"}, "unknown parameter"),
    ],
)
async def test_a_filter_that_means_nothing_is_refused_with_the_reason(
    query: dict[str, str], said: str
) -> None:
    async with an_api() as api:
        status, problem, _ = await api.ask("GET", PATH, params=query)

        assert status in {400, 404}
        assert said in problem["detail"]
        assert len(api.feeds) == 0
