"""The page of an account that is at hand is answered a short way; nobody can tell but by the time it takes."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from conformance.api_bench import ApiBench, an_api

from hub.api import server
from hub.api.ports import AccountView
from hub.api.short_pages import ShortPages
from hub.clock import to_us
from hub.control.keys import Scope
from hub.ingest.samples import Sample
from hub.testing import MORNING

PAGE = "/v1/accounts/live-1/7001"
LONG = "Content-Length: 0\r\n"  # says nothing, and is unusual enough
STORED = b'{"v":1,"server":"live-1","login":7001,"balance":"10","tags":["vip"]}'


@pytest.fixture
async def api() -> AsyncIterator[ApiBench]:
    async with an_api() as bench:
        for login in (7001, 7002):
            bench.shelves.views[f"live-1:{login}"] = AccountView(STORED, b'{"id":"me"}', 5)
        await bench.ask("PUT", "/v1/clients/me", json={"accounts": ["live-1:7001"]})
        yield bench


async def a_token(api: ApiBench) -> tuple[str, str]:
    """Return a token's secret and its id."""
    status, made, _ = await api.ask("POST", "/v1/tokens", json={"client": "me", "expires_in": "1m"})
    assert status == 201
    return made["token"], made["id"]


def a_get(api: ApiBench, secret: str, *, path: str = PAGE, more: str = "", host: str = "") -> bytes:
    host = host or f"127.0.0.1:{api.serving.port}"
    return f"GET {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: {secret}\r\n{more}\r\n".encode()


@asynccontextmanager
async def connection(api: ApiBench) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", api.serving.port)
    try:
        async with asyncio.timeout(30):
            yield reader, writer
    finally:
        writer.close()


async def an_answer(reader: asyncio.StreamReader) -> tuple[int, dict[str, str], Any]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
    assert headers.pop("x-request-id")
    assert headers.pop("date")
    headers.pop("server", None)
    body = await reader.readexactly(int(headers["content-length"]))
    return int(head[0].split(" ")[1]), headers, json.loads(body)


async def both_ways(api: ApiBench, secret: str, **how: Any) -> tuple[Any, int]:
    """Return what is answered, the same either way, and how many of the answers went the short one."""
    before = api.serving.counters["pages_the_short_way"]
    more = how.pop("more", "")
    async with connection(api) as (reader, writer):
        writer.write(a_get(api, secret, more=more + LONG, **how))
        long = await an_answer(reader)
        writer.write(a_get(api, secret, more=more, **how))
        short = await an_answer(reader)
    assert short == long
    return short, api.serving.counters["pages_the_short_way"] - before


async def test_a_client_and_a_key_get_the_same_page_either_way(api: ApiBench) -> None:
    secret, _ = await a_token(api)
    sample = Sample("live-1", 7001, Decimal(1000), Decimal(900), *[None] * 5, at=to_us(MORNING))
    for _ in range(2):
        (status, _, clients), short = await both_ways(api, f"Bearer {secret}")
        (_, _, keys), of_key = await both_ways(api, f"Bearer {api.secrets[Scope.READ]}")
        assert (status, short, of_key) == (200, 1, 1)
        assert "client" not in clients
        assert "tags" not in clients["account"]
        assert keys["client"] == {"id": "me"}
        await api.watcher.samples([sample])  # which the page has to show

    assert clients["sampled"]["equity"] == "1000"


@pytest.mark.parametrize(
    ("how", "status"),
    [
        ({"path": "/v1/accounts/live-1/7002"}, 403),
        ({"path": "/v1/accounts/live-1/4040"}, 403),
        ({"path": PAGE + "?x=1"}, 400),
        ({"path": PAGE + "/"}, 404),
        ({"path": "/v1/accounts/live-1/" + "7" * 30}, 404),
        ({"path": "/v1/accounts/live%2D1/7001"}, 200),
        ({"host": "evil.example.com"}, 403),
        ({"more": "Origin: https://evil.example.com\r\n"}, 403),
        ({"more": "Connection: keep-alive\r\nUpgrade: h2c\r\n"}, 200),
    ],
)
async def test_whatever_is_unusual_or_refused_goes_the_long_way(
    api: ApiBench, how: dict[str, str], status: int
) -> None:
    secret, _ = await a_token(api)
    await both_ways(api, f"Bearer {secret}")  # it is at hand

    (said, _, _), short = await both_ways(api, f"Bearer {secret}", **how)

    assert (said, short) == (status, 0)


async def test_nobody_gets_what_is_at_hand_by_a_secret_that_is_none(api: ApiBench) -> None:
    secret, _ = await a_token(api)
    await both_ways(api, f"Bearer {secret}")

    for wrong in (
        "", secret[:-1], f"Bearer {secret[:-1]}", f"Bearer {secret}0", f"Basic {secret}", f"Bearer {'hubt_' + '0' * 64}",
        f"Bearer {api.secrets[Scope.EVENTS_WRITE]}", f"Bearer  {secret}",
    ):  # fmt: skip
        (status, _, _), short = await both_ways(api, wrong)
        assert (status in {401, 403}, short) == (True, 0), wrong


async def test_a_token_opens_nothing_once_it_is_revoked_or_over_or_its_account_is_elsewhere(
    api: ApiBench,
) -> None:
    secret, name = await a_token(api)
    other, _ = await a_token(api)
    for each in (secret, other):
        assert (await both_ways(api, f"Bearer {each}"))[1] == 1

    await api.ask("DELETE", f"/v1/tokens/{name}")
    (revoked, _, _), _ = await both_ways(api, f"Bearer {secret}")
    await api.ask("PUT", "/v1/clients/me", json={"accounts": ["live-1:7002"]})
    api.feeds.tokens.links_changed()
    (elsewhere, _, _), _ = await both_ways(api, f"Bearer {other}")
    await api.ask("PUT", "/v1/clients/me", json={"accounts": ["live-1:7001"]})
    api.feeds.tokens.links_changed()
    again = await both_ways(api, f"Bearer {other}")
    await api.clock.advance(timedelta(minutes=1))
    (over, _, _), short = await both_ways(api, f"Bearer {other}")

    assert (revoked, elsewhere, again[0][0], over, short) == (401, 403, 200, 401, 0)


async def test_requests_sent_without_waiting_are_answered_in_order(api: ApiBench) -> None:
    key = f"Bearer {api.secrets[Scope.READ]}"
    paths = [f"/v1/accounts/live-1/{7001 + number % 2}" for number in range(300)]
    async with connection(api) as (reader, writer):
        writer.write(
            b"".join(
                a_get(api, key, path=path, more=LONG if number % 100 == 50 else "")
                for number, path in enumerate(paths)
            )
        )
        told = [(await an_answer(reader))[2]["key"] for _ in paths]

    assert told == [f"live-1:{path[-4:]}" for path in paths]
    # Behind one that goes the long way the framework takes those that wait by itself.
    assert 50 <= api.serving.counters["pages_the_short_way"] < 300


async def test_whoever_does_not_read_is_answered_once_he_does(api: ApiBench) -> None:
    key = f"Bearer {api.secrets[Scope.READ]}"
    async with connection(api) as (reader, writer):

        async def send() -> None:
            for _ in range(30):
                writer.write(a_get(api, key) * 100)
                await writer.drain()

        sending = asyncio.create_task(send())
        for _ in range(3_000):
            assert (await an_answer(reader))[0] == 200
        await sending


@pytest.mark.parametrize("cut", [10, 60, -2])
async def test_a_request_in_two_pieces_is_answered(api: ApiBench, cut: int) -> None:
    get = a_get(api, f"Bearer {api.secrets[Scope.READ]}")
    async with connection(api) as (reader, writer):
        writer.write(get + get[:cut])
        assert (await an_answer(reader))[0] == 200
        writer.write(get[cut:])
        assert (await an_answer(reader))[0] == 200


async def test_a_connection_stays_open_between_pages_and_is_closed_when_it_idles(
    api: ApiBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    get = a_get(api, f"Bearer {api.secrets[Scope.READ]}")
    async with connection(api) as (reader, writer):
        writer.write(get)
        assert (await an_answer(reader))[0] == 200
        late = asyncio.get_running_loop().time() + 2 * server.HEAD_WITHIN.total_seconds()
        assert not any(connected.is_overdue(late) for connected in api.serving._server._open)
        writer.write(get)
        assert (await an_answer(reader))[0] == 200

    monkeypatch.setattr(server, "IDLE_WITHIN", timedelta(seconds=0.2))
    async with an_api() as idle:
        idle.shelves.views["live-1:7001"] = AccountView(STORED, None, 5)
        async with connection(idle) as (reader, writer):
            writer.write(a_get(idle, f"Bearer {idle.secrets[Scope.READ]}"))
            assert (await an_answer(reader))[0] == 200
            assert idle.serving.counters["pages_the_short_way"] == 1
            assert await reader.read() == b""


async def test_a_failure_on_the_short_way_leaves_the_page_to_the_long_one(
    api: ApiBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(ShortPages, "body", fails)
    (status, _, _), short = await both_ways(api, f"Bearer {api.secrets[Scope.READ]}")

    assert (status, short) == (200, 0)
