"""The rest of the interface: who may ask, what is answered, and what it says when it refuses."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from conformance.api_bench import ApiBench, an_api

from hub.api.app import ROUTES
from hub.api.openapi import plain_path
from hub.api.ports import AccountView
from hub.api.routing import Route
from hub.commands.endpoints import list_all
from hub.control.keys import Scope
from hub.dispatch.outbox import DeliveryState
from hub.engine.rows import RunRow
from hub.events.records import decode_data, decode_envelope
from hub.intents.intent import State
from hub.testing import a_delivery, an_attempt, an_endpoint, an_intent

JSON = {"Content-Type": "application/json"}


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[ApiBench]:
    (tmp_path / "index.md").write_text(
        "# Hello\n\n<script>alert(1)</script>\n\n| a | b |\n|---|---|\n| 1 | 2 |\n"
    )
    (tmp_path / "secret.txt").write_text("no page")
    async with an_api(docs=tmp_path) as bench:
        yield bench


async def send(api: ApiBench, method: str, path: str, body: Any, **more: Any) -> tuple[int, Any, Any]:
    return await api.ask(method, path, data=json.dumps(body), headers=JSON, **more)


def example(route: Route) -> str:
    """Return a path that reaches a route and names nothing that exists; a stream would never end."""
    return re.sub(r"\{\w+\}", "1", plain_path(route.path)) + ("?account=1" if route.stream else "")


CLOSED = [route for route in ROUTES if route.scope is not None]


@pytest.mark.parametrize("route", CLOSED, ids=lambda route: f"{route.method} {route.path}")
async def test_a_closed_route_answers_nobody_without_its_scope(api: ApiBench, route: Route) -> None:
    assert route.scope is not None
    includes = {Scope.ADMIN, route.scope}
    if route.scope in {Scope.EVENTS_READ, Scope.APPROVALS_READ}:
        includes |= {Scope.READ}
    if route.scope is Scope.APPROVALS_READ:
        includes |= {Scope.APPROVALS_DECIDE}

    status, _, headers = await api.ask(route.method, example(route), scope=None)
    assert (status, headers["WWW-Authenticate"]) == (401, 'Bearer realm="hub"')
    for scope in Scope:
        status, body, _ = await api.ask(route.method, example(route), scope=scope)
        assert (status == 403) is (scope not in includes), (scope, body)


async def test_only_these_are_open(api: ApiBench) -> None:
    assert {route.path for route in ROUTES if route.scope is None} == {
        "/healthz",
        "/readyz",
        "/openapi.json",
        "/asyncapi.json",
        "/docs",
        "/docs/{page}",
        "/.well-known/jwks.json",
        "/v1/unsubscribe/{token}",  # a link the hub has signed
        "/v1/callbacks/sms/{message}",  # signed by the provider
    }


@pytest.mark.parametrize(
    "header",
    [
        {"Authorization": "Bearer hub_" + "0" * 64},
        {"Authorization": "Bearer "},
        {"Authorization": "Basic aHViOmh1Yg=="},
        {"X-API-Key": "hub_"},
        {"X-API-Key": "x" * 5000},
        {"Authorization": "Bearer hub_" + "é" * 64},
    ],
)
async def test_what_is_no_key_opens_nothing(api: ApiBench, header: dict[str, str]) -> None:
    status, problem, _ = await api.ask("GET", "/v1/events", scope=None, headers=header)

    assert (status, problem["type"]) == (401, "urn:hub:problem:no-key")


async def test_a_key_in_the_url_is_no_key(api: ApiBench) -> None:
    status, _, _ = await api.ask("GET", f"/v1/events?key={api.secrets[Scope.ADMIN]}", scope=None)

    assert status == 401


@pytest.mark.parametrize(
    "header", [{"Host": "evil.example"}, {"Origin": "https://evil.example"}, {"Origin": "null"}]
)
async def test_a_page_from_elsewhere_gets_no_answer(api: ApiBench, header: dict[str, str]) -> None:
    status, problem, _ = await api.ask("GET", "/v1/events", headers=header)

    assert (status, problem["type"]) == (403, "urn:hub:problem:foreign-host")


@pytest.mark.parametrize(
    "header", [{"Host": "localhost:1"}, {"Host": "[::1]:8800"}, {"Origin": "http://127.0.0.1:5"}]
)
async def test_this_machine_by_another_name_is_answered(api: ApiBench, header: dict[str, str]) -> None:
    assert (await api.ask("GET", "/v1/events", headers=header))[0] == 200


async def test_unknown_routes_and_methods_are_problems_too(api: ApiBench) -> None:
    missing = await api.ask("GET", "/v1/nothing")
    wrong = await api.ask("DELETE", "/v1/events")

    assert (missing[0], missing[1]["status"]) == (404, 404)
    assert (wrong[0], wrong[2]["Allow"]) == (405, "GET,POST")


async def test_what_a_route_did_not_foresee_is_an_answer_without_its_secrets(api: ApiBench) -> None:
    async def broken(**_: Any) -> None:
        raise RuntimeError("password=hunter2")

    api.shelves.events = broken  # type: ignore[method-assign, assignment]  # a bug, for once on purpose

    status, problem, headers = await api.ask("GET", "/v1/events")

    assert status == 500
    assert headers["X-Request-Id"] in problem["detail"]
    assert "hunter2" not in json.dumps(problem)


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=501",
        "limit=x",
        "limit=1&limit=2",
        "lmit=5",
        "type=Trade",
        "account=7001",
        "order=up",
        "after=%00",
        "after=%21",
    ],
)
async def test_a_query_is_read_strictly(api: ApiBench, query: str) -> None:
    assert (await api.ask("GET", f"/v1/events?{query}"))[0] == 400


@pytest.mark.parametrize("path", ["/v1/events", "/v1/events/stream"])
async def test_a_misspelt_type_is_said_where_it_would_match_nothing_for_ever(
    api: ApiBench, path: str
) -> None:
    status, problem, _ = await api.ask("GET", f"{path}?type=trade.clsoed")

    assert status == 400
    assert problem["detail"] == "type: trade.clsoed matches no event type, did you mean trade.closed?"


async def test_no_route_ignores_a_parameter_it_does_not_know(api: ApiBench) -> None:
    for route in CLOSED:
        if route.parameters:  # these say by themselves which they know
            continue
        status, problem, _ = await api.ask(route.method, example(route) + "?dry_run=1")
        assert (status, problem["type"]) == (400, "urn:hub:problem:bad-query"), route.path


async def test_no_route_looks_for_a_name_that_no_store_could_hold(api: ApiBench) -> None:
    for route in CLOSED:
        if "{" in route.path:
            path = re.sub(r"\{(?!login)\w+\}", "%00", plain_path(route.path)).replace("{login}", "1")
            status, problem, _ = await api.ask(route.method, path)
            assert (status, problem["detail"][-6:]) == (404, " a NUL"), path


async def test_pages_hold_everything_once_and_end(api: ApiBench) -> None:
    for number in range(1, 8):
        await send(api, "PUT", f"/v1/clients/c{number}", {"first_name": f"N{number}"})
    seen: list[str] = []
    after = ""
    while True:
        _, page, _ = await api.ask("GET", f"/v1/events?limit=3&after={after}")
        seen += [item["data"]["client"] for item in page["items"]]
        if page["next"] is None:
            break
        after = page["next"]

    assert seen == [f"c{number}" for number in range(1, 8)]


async def test_events_are_filtered_by_family_and_account(api: ApiBench) -> None:
    await send(api, "PUT", "/v1/clients/c1", {"accounts": [{"server": "live-1", "login": 7001}]})

    _, linked, _ = await api.ask("GET", "/v1/events?type=client.linked")
    _, family, _ = await api.ask("GET", "/v1/events?type=client.*,trade.*&order=newest")
    _, nobody, _ = await api.ask("GET", "/v1/events?account=live-1:7002")

    assert [item["type"] for item in linked["items"]] == ["client.linked"]
    assert [item["type"] for item in family["items"]] == ["client.linked", "client.created"]
    assert nobody == {"items": [], "next": None}


# Clients


async def test_a_client_is_stored_and_its_accounts_learn_who_it_is(api: ApiBench) -> None:
    record = {
        "email": "ana@example.com",
        "kyc": "confirmed",
        "accounts": [{"server": "live-1", "login": 7001}],
    }

    created = await send(api, "PUT", "/v1/clients/c1", record, scope=Scope.CLIENTS_WRITE)
    again = await send(api, "PUT", "/v1/clients/c1", record, scope=Scope.CLIENTS_WRITE)

    assert (created[0], again[0]) == (201, 200)
    assert created[1]["email"] == "ana@example.com"
    assert (created[1]["version"], again[1]["version"]) == (1, 1)
    told = [decode_envelope(row.body) for row in api.rows()]
    assert [event.type for event in told] == ["client.created", "client.linked"]
    assert told[1].account is not None
    assert decode_data(told[1]).changed["email"] == {"before": None, "after": "ana@example.com"}


async def test_an_account_has_one_client(api: ApiBench) -> None:
    record = {"accounts": [{"server": "live-1", "login": 7001}]}
    await send(api, "PUT", "/v1/clients/c1", record)

    status, problem, _ = await send(api, "PUT", "/v1/clients/c2", record)

    assert (status, problem["detail"]) == (409, "live-1:7001 is linked to client c1: unlink it there first")


async def test_clients_are_listed_by_id(api: ApiBench) -> None:
    for name in ("b", "a", "c"):
        await send(api, "PUT", f"/v1/clients/{name}", {})

    _, first, _ = await api.ask("GET", "/v1/clients?limit=2", scope=Scope.READ)
    _, rest, _ = await api.ask("GET", f"/v1/clients?after={first['next']}", scope=Scope.READ)

    assert [item["id"] for item in first["items"] + rest["items"]] == ["a", "b", "c"]
    assert rest["next"] is None


@pytest.mark.parametrize(
    ("record", "field"),
    [
        ({"email": "not an address"}, "email"),
        ({"timezone": "Mars/Base"}, "timezone"),
        ({"country": "Germany"}, "country"),
        ({"consent_marketing": "yes"}, "consent_marketing"),
        ({"accounts": [{"server": "live-1", "login": True}]}, "accounts.0.login"),
        ({"attributes": {"Bad Name": 1}}, "attributes.Bad Name.[key]"),
        ({"atributes": {}}, "atributes"),
        ({"accounts": [{"server": "a", "login": 1}] * 2}, "body"),
        ([], "body"),
    ],
)
async def test_a_bad_record_names_its_field(api: ApiBench, record: Any, field: str) -> None:
    status, problem, _ = await send(api, "PUT", "/v1/clients/c1", record)

    assert (status, problem["errors"][0]["field"]) == (422, field)


async def test_a_client_nobody_added_is_not_there(api: ApiBench) -> None:
    assert (await api.ask("GET", "/v1/clients/nobody"))[0] == 404
    assert (await api.ask("GET", "/v1/clients/no%20body"))[0] == 400


# Endpoints and deliveries

ENDPOINT = {"url": "https://example.com/hook", "events": ["trade.*", "custom.promo"]}


async def test_an_endpoint_shows_its_secret_once(api: ApiBench) -> None:
    status, created, _ = await send(api, "POST", "/v1/endpoints", ENDPOINT, scope=Scope.ENDPOINTS_MANAGE)

    _, read, _ = await api.ask("GET", f"/v1/endpoints/{created['id']}")
    _, listed, _ = await api.ask("GET", "/v1/endpoints")

    assert status == 201
    assert created["secret"].startswith("whsec_")
    assert "secret" not in read
    assert listed["items"] == [read]
    assert api.refreshed == [1]


async def test_endpoints_are_listed_in_pages_and_the_command_reads_all_of_them(
    api: ApiBench, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(501):
        await api.endpoints.create(an_endpoint(f"ep_{number:03}", created_at=number))

    _, first, _ = await api.ask("GET", "/v1/endpoints?limit=500")
    _, last, _ = await api.ask("GET", f"/v1/endpoints?limit=500&after={first['next']}")
    assert [item["id"] for item in first["items"] + last["items"]] == [
        f"ep_{number:03}" for number in range(501)
    ]
    assert last["next"] is None
    assert len((await api.ask("GET", "/v1/endpoints"))[1]["items"]) == 100
    assert (await api.ask("GET", "/v1/endpoints?after=nonsense"))[0] == 400
    assert (await api.ask("GET", "/v1/endpoints?limit=0"))[0] == 400

    assert await asyncio.to_thread(list_all, api.url, api.secrets[Scope.ADMIN], as_json=True) == 0
    assert len(json.loads(capsys.readouterr().out)) == 501


async def test_an_endpoint_is_changed_and_deleted(api: ApiBench) -> None:
    _, created, _ = await send(api, "POST", "/v1/endpoints", ENDPOINT | {"schedule": [0, 5]})
    path = f"/v1/endpoints/{created['id']}"

    _, disabled, _ = await send(api, "PATCH", path, {"enabled": False, "description": "off"})
    _, enabled, _ = await send(api, "PATCH", path, {"enabled": True, "schedule": None, "events": ["*"]})
    deleted = await api.ask("DELETE", path)

    assert (disabled["state"], disabled["reason"], disabled["schedule"]) == (
        "disabled",
        "switched off by hand",
        [0.0, 5.0],
    )
    assert (enabled["state"], enabled["reason"], enabled["schedule"], enabled["events"]) == (
        "enabled",
        None,
        None,
        ["*"],
    )
    assert enabled["description"] == "off"
    assert deleted[0] == 204
    assert (await api.ask("DELETE", path))[0] == 404
    assert (await send(api, "PATCH", path, {}))[0] == 404


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"url": "http://localhost/x"}, "this machine"),
        ({"url": "http://169.254.169.254/latest"}, "no address"),
        ({"url": "ftp://example.com/"}, "https://"),
        ({"events": ["trade.close"]}, "did you mean"),
        ({"events": []}, "at least 1"),
        ({"events": ["Trade.*"]}, "no pattern"),
        ({"schedule": [-1]}, "greater than"),
        ({"secret": "whsec_mine"}, "unknown field"),
    ],
)
async def test_a_bad_endpoint_is_refused_with_the_reason(
    api: ApiBench, change: dict[str, Any], says: str
) -> None:
    status, problem, _ = await send(api, "POST", "/v1/endpoints", ENDPOINT | change)

    assert status == 422
    assert says in json.dumps(problem)
    assert await api.endpoints.all() == []


class Names(AbstractResolver):
    """Every name but one leads inside; that one leads nowhere."""

    async def resolve(self, host: str, port: int = 0, family: Any = None) -> list[ResolveResult]:
        if host == "nowhere.example.com":
            raise OSError("no such name")
        return [ResolveResult(hostname=host, host="10.0.0.7", port=port, family=2, proto=0, flags=0)]

    async def close(self) -> None:
        return


async def test_where_the_name_of_an_endpoint_leads_is_looked_at_when_it_is_registered() -> None:
    async with an_api(names=Names()) as api:
        inside = await send(api, "POST", "/v1/endpoints", ENDPOINT)
        nowhere = await send(api, "POST", "/v1/endpoints", ENDPOINT | {"url": "https://nowhere.example.com/"})
        path = f"/v1/endpoints/{nowhere[1]['id']}"
        moved = await send(api, "PATCH", path, {"url": "https://inside.example.com/"})
        renamed = await send(api, "PATCH", path, {"description": "as it was"})

    assert (inside[0], nowhere[0], moved[0], renamed[0]) == (422, 201, 422, 200)
    assert "leads to an address the hub does not deliver to" in inside[1]["detail"]
    assert "10.0.0.7" not in json.dumps(inside[1])
    assert "cannot be resolved now" in nowhere[1]["warnings"][0]
    assert renamed[1]["warnings"] == []


async def test_a_test_event_goes_through_the_log_to_that_endpoint_alone(api: ApiBench) -> None:
    _, created, _ = await send(api, "POST", "/v1/endpoints", ENDPOINT)

    status, answer, _ = await api.ask("POST", f"/v1/endpoints/{created['id']}/test")

    event = decode_envelope(api.rows()[0].body)
    assert status == 202
    assert (event.id, event.type, event.endpoints) == (
        answer["event"],
        "custom.endpoint_test",
        [created["id"]],
    )
    await send(api, "PATCH", f"/v1/endpoints/{created['id']}", {"enabled": False})
    assert (await api.ask("POST", f"/v1/endpoints/{created['id']}/test"))[0] == 409


async def test_deliveries_and_their_attempts_can_be_read(api: ApiBench) -> None:
    _, created, _ = await send(api, "POST", "/v1/endpoints", ENDPOINT)
    delivery = a_delivery(endpoint=created["id"], n=7)
    api.shelves.rows = [delivery, delivery._replace(n=8, state=DeliveryState.EXHAUSTED)]
    api.shelves.tried = [an_attempt(delivery)]

    _, listed, _ = await api.ask("GET", f"/v1/endpoints/{created['id']}/deliveries?state=waiting")
    _, tried, _ = await api.ask("GET", f"/v1/deliveries/{listed['items'][0]['id']}/attempts")
    _, exhausted, _ = await api.ask("GET", "/v1/deliveries?state=exhausted")

    assert [item["state"] for item in listed["items"]] == ["waiting"]
    assert tried["delivery"] == listed["items"][0]
    assert len(tried["items"]) == 1
    assert tried["items"][0]["request"] is None  # made before there were records
    assert (await api.ask("GET", f"/v1/deliveries/{listed['items'][0]['id']}"))[1] == listed["items"][0]
    assert (await api.ask("GET", "/v1/deliveries/ep_x.1.1"))[0] == 404
    assert (await api.ask("GET", "/v1/deliveries?since=2999-01-01T00:00:00Z"))[1]["items"] == []
    assert (await api.ask("GET", "/v1/deliveries?since=yesterday"))[0] == 400
    assert exhausted["items"][0]["next_attempt_at"] is None
    assert (await api.ask("GET", "/v1/deliveries/ep_x.1.1/attempts"))[0] == 404
    assert (await api.ask("GET", "/v1/deliveries/nonsense/attempts"))[0] == 404


# Workflows, accounts, actions


async def test_a_workflow_says_why(api: ApiBench) -> None:
    _, listed, _ = await api.ask("GET", "/v1/workflows")
    _, why, _ = await api.ask("GET", "/v1/workflows/bonus/why?key=live-1:7001")

    assert [item["id"] for item in listed["items"]] == ["bonus"]
    assert "did you mean `when`?" in listed["problems"][0]["text"]
    assert why["decided"] == [
        {
            "outcome": "fired",
            "text": "lots > 20",
            "at": "2026-06-23T09:00:00.000Z",
            "event": "evt_x",
            "remains": [],
            "share": None,
        }
    ]
    assert (await api.ask("GET", "/v1/workflows/bonus/why?key=a:1&at=2026-06-23T09:00:00Z"))[0] == 200
    assert (await api.ask("GET", "/v1/workflows/bonus/why?key=a:1&at=yesterday"))[0] == 400
    assert (await api.ask("GET", "/v1/workflows/bonus/why?key=a:1&at=2026-06-23T09:00:00Z&event=evt_x"))[
        0
    ] == 400
    assert (await api.ask("GET", "/v1/workflows/bonus/why"))[0] == 400
    status, none, _ = await api.ask("GET", "/v1/workflows/bonsu/why?key=a:1")
    assert (status, none["detail"]) == (404, "there is no workflow `bonsu`; did you mean bonus?")
    status, far, _ = await api.ask("GET", "/v1/workflows/x%01/why?key=a:1")
    assert (status, far["detail"]) == (404, "there is no workflow `x\\u0001`: there are bonus")
    status, no_key, _ = await api.ask("GET", "/v1/workflows/bonus/why?key=7001")
    assert status == 400
    assert no_key["detail"].startswith("key: '7001' is no key: write one of server:login, ")
    status, no_event, _ = await api.ask("GET", "/v1/workflows/bonus/why?key=a:1&event=evt_x")
    fix = "they are evt_ and 26 small letters and digits"
    assert (status, no_event["detail"]) == (400, f"event: `evt_x` is no event's id: {fix}")


async def test_a_run_is_read_by_its_whole_identity(api: ApiBench) -> None:
    run_id = "bonus/live-1:7001/monthly/evt_x"
    body = json.dumps({"step": 1, "password": "x"}).encode()
    api.shelves.kept_runs = [
        RunRow(1, run_id, "live-1:7001", "bonus", "abc", "done", 1_782_205_200_000_000, body)
    ]

    status, run, _ = await api.ask("GET", f"/v1/runs/{run_id}")
    _, listed, _ = await api.ask("GET", "/v1/workflows/bonus/runs?state=done")

    assert (status, run["id"], run["detail"]) == (200, run_id, {"step": 1, "password": "•••"})
    assert [item["id"] for item in listed["items"]] == [run_id]
    assert (await api.ask("GET", "/v1/runs/none"))[0] == 404


async def test_an_account_shows_what_was_folded_beside_what_was_sampled(api: ApiBench) -> None:
    api.shelves.views["live-1:7001"] = AccountView(b'{"group":"real"}', None, 12)
    sample = {
        "account": {"server": "live-1", "login": 7001},
        "equity": "990",
        "margin": "0",
        "at": "2026-06-23T09:00:00Z",
    }
    await send(api, "POST", "/v1/samples", sample)

    _, account, _ = await api.ask("GET", "/v1/accounts/live-1/7001")

    assert account["account"] == {"group": "real"}
    assert account["sampled"] == {"equity": "990", "free_margin": "990", "at": "2026-06-23T09:00:00.000Z"}
    assert (await api.ask("GET", "/v1/accounts/live-1/7002"))[0] == 404
    assert (await api.ask("GET", "/v1/accounts/live-1/x"))[0] == 404
    assert (await api.ask("GET", "/v1/accounts/live-1/" + "1" * 5000))[0] == 404


async def test_actions_are_listed_and_read_without_passwords(api: ApiBench) -> None:
    intent = an_intent()._replace(params=b'{"password":"hunter2","amount":"5"}')
    api.shelves.intents = [intent]

    _, listed, _ = await api.ask("GET", f"/v1/actions?state={intent.state.value}")
    _, none, _ = await api.ask("GET", f"/v1/actions?state={State.PARKED.value}")
    status, read, _ = await api.ask("GET", f"/v1/actions/{intent.key}")

    assert status == 200
    assert listed["items"] == [read]
    assert none["items"] == []
    assert read["params"] == {"password": "•••", "amount": "5"}
    assert (await api.ask("GET", "/v1/actions?state=lost"))[0] == 400


# Keys


async def test_a_key_works_until_it_is_revoked(api: ApiBench) -> None:
    _, created, _ = await send(api, "POST", "/v1/keys", {"name": "crm", "scopes": ["read"]})
    header = {"X-API-Key": created["key"]}

    assert (await api.ask("GET", "/v1/clients", scope=None, headers=header))[0] == 200
    assert (await api.ask("DELETE", f"/v1/keys/{created['id']}"))[0] == 204
    assert (await api.ask("GET", "/v1/clients", scope=None, headers=header))[0] == 401
    assert (await api.ask("DELETE", f"/v1/keys/{created['id']}"))[0] == 404


async def test_a_key_says_what_it_may_approve(api: ApiBench) -> None:
    body = {"name": "dora", "permissions": ["money.approve"]}
    status, created, _ = await send(api, "POST", "/v1/keys", body)
    header = {"X-API-Key": created["key"]}

    assert (status, created["permissions"], created["scopes"]) == (201, ["money.approve"], [])
    assert (await api.ask("GET", "/v1/approvals", scope=None, headers=header))[0] == 200
    assert (await api.ask("GET", "/v1/clients", scope=None, headers=header))[0] == 403


async def test_keys_are_listed_without_their_secrets(api: ApiBench) -> None:
    _, listed, _ = await api.ask("GET", "/v1/keys")

    assert len(listed["items"]) == len(Scope)
    assert not any(secret in json.dumps(listed) for secret in api.secrets.values())


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"name": "admin", "scopes": ["read"]}, 409),
        ({"name": "x", "scopes": []}, 422),
        ({"name": "x"}, 422),
        ({"name": "x", "permissions": ["Money"]}, 422),
        ({"name": "x", "permissions": ["money"]}, 422),
        ({"name": "x", "scopes": ["everything"]}, 422),
        ({"name": "x y", "scopes": ["read"]}, 422),
        ({"name": "x", "scopes": ["read"], "expires_at": "2020-01-01T00:00:00Z"}, 422),
    ],
)
async def test_a_bad_key_is_not_made(api: ApiBench, body: dict[str, Any], status: int) -> None:
    assert (await send(api, "POST", "/v1/keys", body))[0] == status
    assert len(api.keys.all()) == len(Scope)


async def test_a_key_does_not_revoke_itself(api: ApiBench) -> None:
    mine = next(key for key in api.keys.all() if key.name == "admin")

    assert (await api.ask("DELETE", f"/v1/keys/{mine.id}"))[0] == 409


# Operation


async def test_health_is_open_and_readiness_says_what_is_wrong(api: ApiBench) -> None:
    assert (await api.ask("GET", "/healthz", scope=None))[:2] == (200, {"status": "ok"})
    assert (await api.ask("GET", "/readyz", scope=None))[0] == 200

    api.shelves.trouble = ["the store is read-only"]

    status, body, _ = await api.ask("GET", "/readyz", scope=None)
    assert (status, body["problems"]) == (503, ["the store is read-only"])
    assert (await api.ask("GET", "/healthz", scope=None))[0] == 200
    assert (await api.ask("GET", "/metrics", scope=Scope.READ))[1] == "hub_up 1\n"


async def test_documentation_runs_no_scripts_and_leaves_its_folder_for_nothing(api: ApiBench) -> None:
    status, page, headers = await api.ask("GET", "/docs", scope=None)
    _, routes, _ = await api.ask("GET", "/docs/api", scope=None)

    assert status == 200
    assert "<h1>Hello</h1>" in page
    assert "<table>" in page
    assert "<script>" not in page
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "/v1/endpoints/{id}/test" in routes
    for name in ("secret", "secret.txt", "..%2Findex", "%2e%2e", "INDEX", "none"):
        assert (await api.ask("GET", f"/docs/{name}", scope=None))[0] == 404


async def test_the_openapi_page_describes_every_route(api: ApiBench) -> None:
    _, page, _ = await api.ask("GET", "/openapi.json", scope=None)

    described = {(method.upper(), path) for path, methods in page["paths"].items() for method in methods}
    assert described == {(route.method, plain_path(route.path)) for route in ROUTES}
    assert page["openapi"] == "3.1.0"
    assert all(re.fullmatch(r"(/[a-z0-9_.-]+|/\{\w+\})+", path) for path in page["paths"])
    text = json.dumps(page)
    schemas = set(page["components"]["schemas"])
    assert set(re.findall(r'"#/components/schemas/([^"]+)"', text)) <= schemas
    assert "#/$defs/" not in text
    operations = [operation for methods in page["paths"].values() for operation in methods.values()]
    assert len({operation["operationId"] for operation in operations}) == len(operations)
