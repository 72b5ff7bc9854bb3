"""What a client's token opens: the accounts of its client, as long as they are, and nothing else whatever is asked."""

import asyncio
import json
import logging
import random
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from conformance.api_bench import ApiBench, an_api
from conformance.feeds_bench import listening
from structlog.testing import capture_logs

from hub.api.app import ROUTES
from hub.api.openapi import plain_path
from hub.api.ports import AccountView
from hub.api.routing import Route
from hub.bus.feed import encode
from hub.clock import iso, to_us
from hub.control import tickets
from hub.control.keys import Scope
from hub.testing import MORNING, a_deposit, a_trade_closed, an_account, an_event

STREAM, ACCOUNTS, TICKETS = "/v1/events/stream", "/v1/accounts/stream", "/v1/streams/tickets"
MINE, THEIRS = ("live-1:7001", "live-1:7002"), ("live-1:8001", "live-1:8002")
OPEN = {
    ("GET", STREAM),
    ("GET", ACCOUNTS),
    ("GET", "/v1/accounts/{server}/{login:[0-9]+}"),
    ("GET", "/v1/accounts/{server}/{login:[0-9]+}/positions"),
    ("GET", "/v1/accounts/{server}/{login:[0-9]+}/deals"),
    ("POST", TICKETS),
}


@pytest.fixture
async def api() -> AsyncIterator[ApiBench]:
    async with an_api() as bench:
        for client, accounts in (("me", MINE), ("them", THEIRS)):
            status, _, _ = await bench.ask("PUT", f"/v1/clients/{client}", json={"accounts": list(accounts)})
            assert status == 201
        yield bench


async def issue(api: ApiBench, client: str = "me", **more: Any) -> dict[str, Any]:
    status, token, _ = await api.ask(
        "POST", "/v1/tokens", scope=Scope.TOKENS_ISSUE, json={"client": client, **more}
    )
    assert status == 201, token
    return token


def bearer(token: dict[str, Any]) -> dict[str, str]:
    return {"Authorization": f"Bearer {token['token']}"}


async def get(api: ApiBench, path: str, token: dict[str, Any], **query: str) -> tuple[int, Any]:
    status, body, _ = await api.ask("GET", path, scope=None, headers=bearer(token), params=query)
    return status, body


async def ticket_for(api: ApiBench, headers: dict[str, str]) -> str:
    status, body, _ = await api.ask("POST", TICKETS, scope=None, headers=headers)
    assert status == 201, body
    return str(body["ticket"])


@pytest.mark.parametrize(
    "route",
    [route for route in ROUTES if route.scope is not None and (route.method, route.path) not in OPEN],
    ids=lambda route: f"{route.method} {route.path}",
)
async def test_every_other_route_is_closed_to_a_token(api: ApiBench, route: Route) -> None:
    token = await issue(api)
    path = re.sub(r"\{\w+\}", "1", plain_path(route.path))

    for headers in (bearer(token), {"X-API-Key": token["token"]}):
        status, problem, _ = await api.ask(route.method, path, scope=None, headers=headers)
        assert (status, problem["type"]) == (403, "urn:hub:problem:token-only-looks")
    ticket = await ticket_for(api, bearer(token))
    assert (await api.ask(route.method, f"{path}?ticket={ticket}", scope=None))[0] == 401


async def test_only_these_routes_say_they_are_for_tokens() -> None:
    assert {(route.method, route.path) for route in ROUTES if route.tokens} == OPEN
    assert {route.path for route in ROUTES if route.stream} == {STREAM, ACCOUNTS}


async def test_a_token_reads_the_pages_of_its_own_accounts_without_what_is_noted_there(api: ApiBench) -> None:
    noted = b'{"server":"live-1","login":7001,"balance":"10","tags":["abuser"],"attributes":{"risk":"high"}}'
    api.shelves.views["live-1:7001"] = AccountView(noted, b'{"id":"me","tags":["toxic"]}', 4)
    token = await issue(api)

    status, page = await get(api, "/v1/accounts/live-1/7001", token)
    assert (status, page["account"]) == (200, {"server": "live-1", "login": 7001, "balance": "10"})
    assert "client" not in page
    assert "toxic" not in json.dumps(page)
    foreign = await get(api, "/v1/accounts/live-1/8001", token)
    unknown = await get(api, "/v1/accounts/nowhere/9", token)
    assert foreign == unknown
    assert foreign[0] == 403


async def test_whatever_a_token_asks_it_never_reads_of_another_client(api: ApiBench) -> None:
    """Filters, places and times of every kind, in every combination, with events of both clients all the while."""
    dice = random.Random(11)
    token = await issue(api)
    place = ""
    for round_ in range(60):
        await api.log.append(
            [a_deposit(an_account(login=login)) for login in (7001, 7002, 8001, 8002)]
            + [an_event("symbol.updated", None, name="EURUSD", dedupe_key=f"s{round_}")]
        )
        query = {
            "account": dice.choice(["", "", MINE[0], THEIRS[0], f"{MINE[0]},{THEIRS[1]}", "live-1:0"]),
            "client": dice.choice(["", "", "", "me", "them", "nobody"]),
            "type": dice.choice(["", "*", "balance.*", "symbol.*,balance.*"]),
            "where": dice.choice(["", "account.login > 8000", "not has(account.login)", "event.amount > 1"]),
            "since": dice.choice(["", iso(to_us(MORNING)), iso(0)]),
            "after": dice.choice(["", place, encode(1, {0: dice.randrange(400)}), "zz"]),
        }
        asked = {name: value for name, value in query.items() if value}
        async with api.session.get(api.url + STREAM, params=asked, headers=bearer(token)) as response:
            foreign = any(key in query["account"] for key in (*THEIRS, "live-1:0"))
            if foreign or query["client"] in {"them", "nobody"}:
                assert response.status == 403, query
            if response.status != 200:
                assert response.status in {400, 403}, query
                continue
            heard = b""
            await api.log.append([a_deposit(an_account(login=login)) for login in (7001, 8001)])
            try:
                while True:
                    heard += await asyncio.wait_for(response.content.readany(), 0.03)
            except TimeoutError:
                pass
            for line in heard.decode().splitlines():
                if line.startswith("data: "):
                    account = json.loads(line[6:])["account"]
                    assert f"{account['server']}:{account['login']}" in MINE, query
                if line.startswith("id: "):
                    place = line[4:]
    assert place


async def test_a_token_sees_what_its_owner_sees_too_and_no_more(api: ApiBench) -> None:
    token = await issue(api)
    wide = await issue(api, events=["*"])
    facts = [
        an_event(
            "client.updated", an_account(), client="me", changed={"tags": {"after": "toxic"}}, dedupe_key="x"
        ),
        a_trade_closed(),
    ]
    async with (
        listening(api.session, api.url + STREAM, bearer(token)) as narrow,
        listening(api.session, api.url + STREAM, bearer(wide)) as all_,
    ):
        await api.log.append(facts)
        await all_.until(2)
        await narrow.until(1)

    assert [json.loads(event.data)["type"] for event in narrow.events] == ["trade.closed"]
    assert json.loads(narrow.events[0].data).keys() == {
        "id", "type", "timestamp", "account", "sequence", "data",
    }  # fmt: skip


async def test_a_token_for_one_account_does_not_open_the_others(api: ApiBench) -> None:
    token = await issue(api, accounts=["live-1:7002"])

    assert (await get(api, "/v1/accounts/live-1/7001", token))[0] == 403
    assert (await get(api, STREAM, token, account="live-1:7001"))[0] == 403
    status, problem, _ = await api.ask(
        "POST", "/v1/tokens", json={"client": "me", "accounts": ["live-1:8001"]}
    )
    assert (status, "not linked" in problem["detail"]) == (422, True)


@pytest.mark.parametrize(
    ("asked", "field", "said"),
    [
        ({"accounts": []}, "accounts", "at least 1"),  # left out it means all, so an empty one must not
        ({"events": []}, "events", "at least 1"),
        ({"events": ["trade.closd"]}, "events.0", "did you mean trade.closed?"),
    ],
)
async def test_a_token_for_nothing_is_refused(
    api: ApiBench, asked: dict[str, Any], field: str, said: str
) -> None:
    status, problem, _ = await api.ask("POST", "/v1/tokens", json={"client": "me", **asked})

    assert status == 422
    assert {error["field"]: said in error["reason"] for error in problem["errors"]} == {field: True}


async def test_an_account_that_changes_hands_is_closed_to_the_tokens_of_before(api: ApiBench) -> None:
    token = await issue(api)
    async with listening(api.session, api.url + STREAM, bearer(token)) as heard:
        assert (await get(api, "/v1/accounts/live-1/7002", token))[0] == 404
        await api.ask("PUT", "/v1/clients/me", json={"accounts": ["live-1:7001"]})
        await api.clock.advance(timedelta(seconds=16))

        assert (await get(api, "/v1/accounts/live-1/7002", token))[0] == 403
        assert "somebody else" in await heard.until_end()


async def test_a_token_ends_when_it_expires_and_when_it_is_revoked(api: ApiBench) -> None:
    short, long = await issue(api, expires_in="1m"), await issue(api, expires_in="24h")
    async with (
        listening(api.session, api.url + STREAM, bearer(short)) as first,
        listening(api.session, api.url + STREAM, bearer(long)) as second,
    ):
        await api.clock.advance(timedelta(seconds=61))
        assert await first.until_end() == "the token is not valid any more"
        assert (await get(api, "/v1/accounts/live-1/7001", short))[0] == 401
        assert (await get(api, "/v1/accounts/live-1/7001", long))[0] == 404

        assert (await api.ask("DELETE", f"/v1/tokens/{long['id']}", scope=Scope.TOKENS_ISSUE))[0] == 204
        assert (await get(api, "/v1/accounts/live-1/7001", long))[0] == 401
        await api.clock.advance(timedelta(seconds=16))
        assert await second.until_end() == "the token is not valid any more"


async def test_all_tokens_of_a_client_can_be_revoked_at_once(api: ApiBench) -> None:
    mine, theirs = [await issue(api) for _ in range(3)], await issue(api, "them")

    status, listed, _ = await api.ask("GET", "/v1/tokens?client=me&limit=2")
    assert (status, len(listed["items"])) == (200, 2)
    assert listed["next"] is not None
    assert "token" not in listed["items"][0]
    assert "hash" not in listed["items"][0]
    assert (await api.ask("DELETE", "/v1/tokens?client=me"))[1] == {"revoked": 3}

    assert {(await get(api, "/v1/accounts/live-1/7001", token))[0] for token in mine} == {401}
    assert (await get(api, "/v1/accounts/live-1/8001", theirs))[0] == 404


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 422),
        ({"client": "nobody"}, 404),
        ({"client": "me", "expires_in": "25h"}, 422),
        ({"client": "me", "expires_in": "1s"}, 422),
        ({"client": "me", "expires_in": 900}, 422),
        ({"client": "me", "events": ["Trade"]}, 422),
        ({"client": "me", "scopes": ["admin"]}, 422),
    ],
)
async def test_a_token_that_means_nothing_is_not_issued(
    api: ApiBench, body: dict[str, Any], status: int
) -> None:
    assert (await api.ask("POST", "/v1/tokens", json=body))[0] == status


async def test_a_client_has_only_so_many_tokens(api: ApiBench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hub.control.tokens.MOST_OF_A_CLIENT", 2)
    await issue(api)
    await issue(api)

    status, problem, _ = await api.ask("POST", "/v1/tokens", json={"client": "me"})

    assert (status, problem["type"]) == (409, "urn:hub:problem:too-many-tokens")


async def test_a_key_of_one_server_issues_tokens_of_that_server_alone(api: ApiBench) -> None:
    await api.ask("PUT", "/v1/clients/both", json={"accounts": ["live-1:1", "live-2:2"]})
    secret, _ = await api.keys.create("one-server", [Scope.TOKENS_ISSUE], servers=["live-2"])
    headers = {"X-API-Key": secret}

    _, token, _ = await api.ask("POST", "/v1/tokens", scope=None, headers=headers, json={"client": "both"})
    status, _, _ = await api.ask("POST", "/v1/tokens", scope=None, headers=headers, json={"client": "me"})

    assert token["accounts"] == ["live-2:2"]
    assert status == 403


@pytest.mark.parametrize("tampered", ["hubt_" + "0" * 64, "hubt_", "hubt_" + "é" * 64, "hubt_" + "0" * 5_000])
async def test_what_is_no_token_opens_nothing(api: ApiBench, tampered: str) -> None:
    assert (await get(api, "/v1/accounts/live-1/7001", {"token": tampered}))[0] == 401


# --- tickets


async def test_a_ticket_opens_one_stream_once_as_whoever_asked_for_it(api: ApiBench) -> None:
    token = await issue(api)
    ticket = await ticket_for(api, bearer(token))

    async with listening(api.session, api.url + STREAM, {}, ticket=ticket) as heard:
        await api.log.append([a_deposit(an_account(login=8001)), a_deposit()])
        await heard.until(1)
    status, problem, _ = await api.ask("GET", f"{STREAM}?ticket={ticket}", scope=None)

    assert json.loads(heard.events[0].data)["account"]["login"] == 7001
    assert len(heard.events) == 1
    assert (status, problem["type"]) == (401, "urn:hub:problem:no-ticket")


async def test_of_many_streams_with_one_ticket_one_opens(api: ApiBench) -> None:
    ticket = await ticket_for(api, api.headers(Scope.EVENTS_READ))

    async with asyncio.TaskGroup() as group:
        asked = [
            group.create_task(api.session.get(f"{api.url}{STREAM}?ticket={ticket}").__aenter__())
            for _ in range(10)
        ]
    statuses = [task.result().status for task in asked]
    for task in asked:
        task.result().close()

    assert sorted(statuses) == [200, *[401] * 9]


@pytest.mark.parametrize("holder", ["key", "token"])
async def test_a_ticket_means_nothing_after_its_time_or_when_its_holder_is_gone(
    api: ApiBench, holder: str
) -> None:
    secret, key = await api.keys.create("browser", [Scope.READ])
    token = await issue(api)
    headers = {"X-API-Key": secret} if holder == "key" else bearer(token)
    old, fresh = await ticket_for(api, headers), ""
    await api.clock.advance(tickets.VALID_FOR + timedelta(seconds=1))
    fresh = await ticket_for(api, headers)

    assert (await api.ask("GET", f"{STREAM}?ticket={old}", scope=None))[0] == 401
    if holder == "key":
        await api.keys.revoke(key.id)
    else:
        await api.feeds.tokens.revoke(token["id"])
    assert (await api.ask("GET", f"{STREAM}?ticket={fresh}", scope=None))[0] == 401


async def test_a_ticket_has_no_more_scope_than_its_key(api: ApiBench) -> None:
    ticket = await ticket_for(api, api.headers(Scope.EVENTS_READ))

    assert (await api.ask("GET", f"{ACCOUNTS}?ticket={ticket}", scope=None))[0] == 403


async def test_tickets_and_tokens_appear_in_no_log(
    api: ApiBench, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> str:
        raise RuntimeError("a bug")

    caplog.set_level(logging.DEBUG)
    token = await issue(api)
    tickets_used = [await ticket_for(api, bearer(token)) for _ in range(3)]
    with capture_logs() as told:
        async with listening(api.session, api.url + STREAM, {}, ticket=tickets_used[0]):
            monkeypatch.setattr("hub.api.feeds.Feeds.why_over", fail)
            await api.clock.advance(timedelta(seconds=16))
        monkeypatch.setattr("hub.api.feeds.Feeds.accounts", fail)
        assert (await api.ask("GET", f"{STREAM}?ticket={tickets_used[1]}", scope=None))[0] == 500
        assert (await api.ask("GET", f"{STREAM}?ticket={tickets_used[2]}&x=1", scope=None))[0] == 400

    assert [entry["event"] for entry in told] == ["stream.failed", "request.failed"]
    everything = repr(told) + caplog.text
    assert not any(secret in everything for secret in [*tickets_used, token["token"]])
    assert "hubs_" not in everything
    assert "hubt_" not in everything


# --- pages of other hosts

APP = "https://app.example.com"


async def test_pages_of_other_hosts_are_refused_unless_they_are_named(api: ApiBench) -> None:
    headers = {"Origin": APP}

    assert (await api.ask("GET", "/v1/accounts/live-1/7001", headers=headers))[0] == 403
    assert (await api.ask("OPTIONS", "/v1/accounts/live-1/7001", scope=None))[0] == 405


async def test_named_pages_may_ask_what_tokens_may_and_nothing_else() -> None:
    async with an_api(limits={"origins": frozenset({APP})}) as api:
        preflight = {"Origin": APP, "Access-Control-Request-Method": "GET"}
        for path, methods in ((STREAM, "GET"), (TICKETS, "POST"), ("/v1/accounts/live-1/7001", "GET")):
            status, _, headers = await api.ask("OPTIONS", path, scope=None, headers=preflight)
            assert (status, headers["Access-Control-Allow-Origin"]) == (204, APP)
            assert headers["Access-Control-Allow-Methods"] == methods
            assert headers["Vary"] == "Origin"
        status, _, headers = await api.ask("GET", "/v1/accounts/live-1/7001", headers={"Origin": APP})
        assert (status, headers["Access-Control-Allow-Origin"]) == (404, APP)
        async with api.session.get(api.url + STREAM, headers={**api.headers(), "Origin": APP}) as response:
            assert response.headers["Access-Control-Allow-Origin"] == APP

        status, _, headers = await api.ask("GET", "/v1/clients", headers={"Origin": APP})
        assert "Access-Control-Allow-Origin" not in headers
        for other in ("https://app.example.com.evil", "https://evil", "null", "http://app.example.com"):
            status, _, headers = await api.ask(
                "OPTIONS", STREAM, scope=None, headers={**preflight, "Origin": other}
            )
            assert (status, "Access-Control-Allow-Origin" in headers) == (403, False)


# --- the live page


@pytest.mark.parametrize("path", [STREAM, ACCOUNTS])
async def test_a_browsers_address_bar_gets_a_page_that_holds_nothing(api: ApiBench, path: str) -> None:
    accept = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
    ticket = await ticket_for(api, api.headers(Scope.READ))

    status, page, headers = await api.ask("GET", f"{path}?ticket={ticket}", scope=None, headers=accept)

    assert status == 200
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "connect-src 'self'" in policy
    assert "unsafe" not in policy
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cache-Control"] == "no-store"
    assert not re.search(r"(src|href)=|https?://|innerHTML|insertAdjacentHTML|document\.write|eval\(", page)
    async with listening(api.session, api.url + path, {}, ticket=ticket):  # the page did not use it up
        pass


@pytest.mark.parametrize("accept", ["text/event-stream", "*/*", "text/event-stream, text/html"])
async def test_what_reads_a_stream_gets_no_page(api: ApiBench, accept: str) -> None:
    assert (await api.ask("GET", STREAM, scope=None, headers={"Accept": accept}))[0] == 401
