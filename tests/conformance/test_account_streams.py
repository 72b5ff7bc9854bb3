"""What accounts are worth, streamed: first what is known, then what changes, the newest of each, at the pace asked for."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from conformance.api_bench import ApiBench, an_api
from conformance.feeds_bench import Heard, listening

from hub.clock import to_us
from hub.control.keys import Scope
from hub.ingest.samples import Sample
from hub.testing import MORNING

PATH = "/v1/accounts/stream"
TICK = timedelta(milliseconds=100)


def a_sample(login: int = 7001, equity: str = "1000", *, at: int = 0, **fields: Any) -> Sample:
    plausible: dict[str, Any] = {
        "balance": Decimal(900), "credit": Decimal(0), "margin": Decimal(100), "free_margin": None,
        "margin_level": None, "floating": None,
    }  # fmt: skip
    known = {**plausible, **fields}
    return Sample("live-1", login, Decimal(equity), at=to_us(MORNING) + at, **known)


@pytest.fixture
async def api() -> AsyncIterator[ApiBench]:
    async with an_api() as bench:
        yield bench


def told(heard: Heard, event: int) -> tuple[str, dict[int, str]]:
    body = json.loads(heard.events[event].data)
    return body["kind"], {each["account"]["login"]: each["equity"] for each in body["accounts"]}


def stream(api: ApiBench, **query: str) -> Any:
    return listening(api.session, api.url + PATH, api.headers(Scope.READ), **query)


async def test_first_comes_what_is_known_then_what_changes(api: ApiBench) -> None:
    await api.watcher.samples([a_sample(7001), a_sample(7002)])
    async with stream(api) as heard:
        await heard.until(1)
        await api.watcher.samples([a_sample(7001, "1001.50", at=1), a_sample(7002, at=1)])
        await api.feeds.board.tick()
        await api.clock.advance(timedelta(milliseconds=500))
        await api.feeds.board.tick()
        await heard.until(2)

    assert told(heard, 0) == ("snapshot", {7001: "1000", 7002: "1000"})
    assert told(heard, 1) == ("changes", {7001: "1001.50"})  # 7002 stayed what it was
    first = json.loads(heard.events[0].data)["accounts"][0]
    assert first == {
        "account": {"server": "live-1", "login": 7001}, "at": "2026-06-23T09:00:00.000Z", "equity": "1000",
        "floating": "100", "free_margin": "900", "margin_level": "1000", "margin": "100", "balance": "900",
    }  # fmt: skip


async def test_the_newest_wins_at_the_pace_of_each_reader(api: ApiBench) -> None:
    async with stream(api, interval="100ms") as quick, stream(api, interval="1s") as slow:
        await quick.until(1)
        await slow.until(1)
        for step in range(1, 21):
            await api.watcher.samples([a_sample(equity=str(1000 + step), at=step)])
            await api.clock.advance(TICK)
            await api.feeds.board.tick()
            await quick.until(1 + step)
        await slow.until(3)

    assert [told(quick, n)[1][7001] for n in range(1, 21)] == [str(1000 + n) for n in range(1, 21)]
    assert [told(slow, n)[1][7001] for n in (1, 2)] == ["1010", "1020"]


async def test_of_some_accounts_come_only_those(api: ApiBench) -> None:
    async with stream(api, account="live-1:7002,live-1:7009", interval="100ms") as heard:
        await heard.until(1)
        await api.watcher.samples([a_sample(7001), a_sample(7002)])
        await api.clock.advance(TICK)
        await api.feeds.board.tick()
        await heard.until(2)

    assert told(heard, 0) == ("snapshot", {})
    assert told(heard, 1) == ("changes", {7002: "1000"})


async def test_glitches_and_what_is_older_are_not_shown(api: ApiBench) -> None:
    await api.watcher.samples([a_sample(equity="1000")])
    await api.watcher.samples(
        [
            a_sample(equity="0", balance=None, at=1),
            a_sample(equity="3", at=2, degraded=True),
            a_sample(equity="9", at=-5),
        ]
    )

    async with stream(api) as heard:
        await heard.until(1)

    assert told(heard, 0) == ("snapshot", {7001: "1000"})


async def test_a_token_sees_its_own_accounts_alone(api: ApiBench) -> None:
    await api.ask("PUT", "/v1/clients/me", json={"accounts": ["live-1:7001"]})
    _, token, _ = await api.ask("POST", "/v1/tokens", json={"client": "me"})
    await api.watcher.samples([a_sample(7001), a_sample(7002)])
    headers = {"Authorization": f"Bearer {token['token']}"}

    async with listening(api.session, api.url + PATH, headers, interval="100ms") as heard:
        await heard.until(1)
        await api.watcher.samples([a_sample(7001, "5", at=9), a_sample(7002, "5", at=9)])
        await api.clock.advance(TICK)
        await api.feeds.board.tick()
        await heard.until(2)
    status, _, _ = await api.ask("GET", f"{PATH}?account=live-1:7002", scope=None, headers=headers)

    assert [set(told(heard, n)[1]) for n in (0, 1)] == [{7001}, {7001}]
    assert status == 403


async def test_many_accounts_come_in_parts(api: ApiBench) -> None:
    await api.watcher.samples([a_sample(login) for login in range(1, 1_203)])

    async with stream(api) as heard:
        await heard.until(3)

    assert [len(told(heard, n)[1]) for n in range(3)] == [500, 500, 202]


async def test_an_account_is_written_once_however_many_watch(
    api: ApiBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []
    real = __import__("hub.ingest.board", fromlist=["told"]).told

    def counted(reading: Any) -> bytes:
        written.append(reading.key)
        return bytes(real(reading))

    monkeypatch.setattr("hub.ingest.board.told", counted)
    async with AsyncExitStack() as stack:
        watching = [await stack.enter_async_context(stream(api, interval=f"{1 + n % 3}s")) for n in range(20)]
        for each in watching:
            await each.until(1)
        await api.watcher.samples([a_sample(7001), a_sample(7002)])
        await api.clock.advance(timedelta(seconds=3))
        await api.feeds.board.tick()
        for each in watching:
            await each.until(2)

    assert sorted(written) == ["live-1:7001", "live-1:7002"]


async def test_streams_of_accounts_end_with_a_word_and_leave_nothing_behind(api: ApiBench) -> None:
    async with stream(api) as heard, stream(api, account="live-1:7001"):
        await api.feeds.stopped(None)
        assert await heard.until_end() == "the hub stops"
    async with asyncio.timeout(10):
        while len(api.feeds):
            await asyncio.sleep(0.01)

    assert len(api.feeds.board) == 0
    assert api.feeds.board._paces == {}


@pytest.mark.parametrize("interval", ["99ms", "61s", "1", "0s", "-1s", "abc", "1e3s"])
async def test_an_interval_that_is_none_is_refused(api: ApiBench, interval: str) -> None:
    status, problem, _ = await api.ask("GET", PATH, params={"interval": interval})

    assert (status, "100ms to 60s" in problem["detail"]) == (400, True)
