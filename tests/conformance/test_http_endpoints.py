"""What endpoints may ask for, over the interface: filters, forms, headers, a challenge, topics, and a look before sending."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from conformance.api_bench import ApiBench, an_api
from conformance.endpoint_requests import NEW, made, send

from hub.dispatch.challenge import OptionsChallenger
from hub.dispatch.channels.http_way_out import WayOut
from hub.dispatch.headers import HIDDEN
from hub.testing import a_trade_closed


class Receiver:
    """Answers OPTIONS as it is told, and remembers how it was asked."""

    def __init__(self) -> None:
        self.asked: list[dict[str, str]] = []
        self.status = 200
        self.allows: dict[str, str] = {"WebHook-Allowed-Origin": "*"}
        self.hang = asyncio.Event()
        self.hang.set()

    async def handle(self, request: web.Request) -> web.Response:
        assert request.method == "OPTIONS"
        self.asked.append(dict(request.headers))
        await self.hang.wait()
        return web.Response(status=self.status, headers=self.allows)


@pytest.fixture
async def receiver(aiohttp_server: Any) -> Any:
    receiver: Any = Receiver()
    application = web.Application()
    application.router.add_route("*", "/{tail:.*}", receiver.handle)
    receiver.url = str((await aiohttp_server(application)).make_url("/hub"))
    yield receiver
    receiver.hang.set()


@pytest.fixture
async def api() -> AsyncIterator[ApiBench]:
    more = {
        "allow_loopback_endpoints": True,
        "topics": ("trades", "money"),
        "challenger": OptionsChallenger(WayOut(allow_loopback=True), origin="hub.example.com", within_s=0.5),
    }
    async with an_api(more=more) as bench:
        yield bench


async def refused(api: ApiBench, **fields: Any) -> dict[str, str]:
    status, told = await send(api, "POST", "/v1/endpoints", NEW | fields)
    assert status == 422, told
    assert await api.endpoints.all() == []
    return {error["field"]: error["reason"] for error in told["errors"]}


async def test_what_an_endpoint_asks_for_is_kept_and_shown(api: ApiBench) -> None:
    asked = {
        "where": "data.lots >= 1",
        "channels": ["vip"],
        "owner": "back office",
        "format": "cloudevents",
        "headers": {"X-Desk": "7"},
        "scheme": "stripe",
        "timeout": 7.5,
        "rate": 50,
        "burst": 100,
        "concurrency": 4,
        "order": "account",
        "stuck": "park",
        "stuck_for": 60,
        "enabled": False,
    }

    created = await made(api, **asked)
    status, shown = await send(api, "GET", f"/v1/endpoints/{created['id']}", None)

    assert status == 200
    assert {name: shown[name] for name in asked if name != "enabled"} == {
        name: value for name, value in asked.items() if name != "enabled"
    }
    assert shown["state"] == "disabled"
    assert (await api.endpoints.all())[0].options.pace == 50


async def test_there_are_only_so_many(api: ApiBench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hub.api.endpoints.MOST_ENDPOINTS", 2)
    first, _ = await made(api), await made(api)

    assert (await send(api, "POST", "/v1/endpoints", NEW))[0] == 409
    assert (await send(api, "DELETE", f"/v1/endpoints/{first['id']}", None))[0] == 204
    await made(api)


async def test_a_change_keeps_the_rest_and_null_goes_back_to_what_is_usual(api: ApiBench) -> None:
    created = await made(api, where="data.lots >= 1", rate=50, burst=9)
    path = f"/v1/endpoints/{created['id']}"

    _, changed = await send(api, "PATCH", path, {"rate": None, "burst": None, "timeout": 3})

    assert (changed["where"], changed["rate"], changed["burst"], changed["timeout"]) == (
        "data.lots >= 1",
        None,
        None,
        3,
    )


@pytest.mark.parametrize("name", ["url", "events", "enabled", "topic"])
async def test_what_has_nothing_usual_to_go_back_to_takes_no_null(api: ApiBench, name: str) -> None:
    created = await made(api, description="CRM")
    path = f"/v1/endpoints/{created['id']}"

    status, told = await send(api, "PATCH", path, {name: None})

    assert (status, [error["field"] for error in told["errors"]]) == (422, [name])
    assert (await send(api, "PATCH", path, {"description": None}))[1]["description"] == ""


@pytest.mark.parametrize(
    ("fields", "field", "said"),
    [
        ({"where": "data.lotts > 1"}, "where", "did you mean data.lots?"),
        ({"where": "x" * 2_001}, "where", "2000"),
        ({"transform": "{{ data.lotts }}"}, "transform", "did you mean data.lots?"),
        ({"transform": "{% for a in b %}{% endfor %}"}, "transform", "no loops"),
        ({"format": "raw"}, "transform", "write one"),
        ({"format": "raw", "transform": "x", "content_type": "image/png"}, "content_type", "JSON, XML"),
        ({"content_type": "text/plain"}, "content_type", "leave it out"),
        ({"headers": {"Host": "x"}}, "headers", "cannot be set"),
        ({"headers": {"X-A": "a\r\nb"}}, "headers", "X-A"),
        ({"headers": {"X-A": HIDDEN}}, "headers", "give it"),
        ({"secret_headers": ["X-None"]}, "secret_headers", "none of the headers"),
        ({"burst": 5}, "burst", "rate"),
        ({"stuck": "skip"}, "stuck", "order: account"),
        ({"rate": 0}, "rate", ""),
        ({"timeout": 61}, "timeout", ""),
        ({"concurrency": 0}, "concurrency", ""),
        ({"channels": ["a b"]}, "channels.0", ""),
        ({"timeout": True}, "timeout", "number"),
        ({"timeout": "5"}, "timeout", "number"),
        ({"burst": True, "rate": 1}, "burst", "integer"),
        ({"schedule": [True]}, "schedule.0", "number"),
        ({"enabled": "no"}, "enabled", "boolean"),
        ({"challenge": 1}, "challenge", "boolean"),
        ({"topic": "trades"}, "topic", "kind kafka"),
        ({"kind": "kafka", "url": None, "topic": "secrets"}, "topic", "not open"),
        ({"kind": "kafka", "topic": "trades"}, "url", "no URL"),
        ({"kind": "kafka", "url": None, "topic": "trades", "challenge": True}, "challenge", "cannot answer"),
        ({"url": None}, "url", "missing"),
    ],
)
async def test_what_cannot_work_is_refused_with_its_field_and_reason(
    api: ApiBench, fields: dict[str, Any], field: str, said: str
) -> None:
    reasons = await refused(api, **fields)

    assert said in reasons[field]


async def test_everything_wrong_is_said_at_once(api: ApiBench) -> None:
    assert (await refused(api, where="data.x", headers={"Host": "a"}, burst=1)).keys() == {
        "where",
        "headers",
        "burst",
    }


async def test_an_endpoint_can_be_a_topic_the_operator_has_opened(api: ApiBench) -> None:
    created = await made(api, kind="kafka", url=None, topic="trades")
    _, changed = await send(api, "PATCH", f"/v1/endpoints/{created['id']}", {"topic": "money"})

    assert (created["kind"], created["url"], created["topic"]) == ("kafka", None, "trades")
    assert changed["topic"] == "money"
    assert (await api.endpoints.all())[0].url == "kafka:money"


# --- secret headers


async def test_a_secret_header_is_sent_and_never_shown(api: ApiBench) -> None:
    created = await made(
        api,
        headers={"Authorization": "Bearer t0p", "X-Key": "t0p2", "X-Desk": "7"},
        secret_headers=["X-Key"],
    )
    path = f"/v1/endpoints/{created['id']}"
    _, changed = await send(api, "PATCH", path, {"headers": created["headers"] | {"X-Desk": "8"}})
    _, seen = await send(api, "POST", f"{path}/preview", {"sample": {"type": "trade.closed", "data": TRADE}})

    hidden = {"Authorization": HIDDEN, "X-Key": HIDDEN}
    assert created["headers"] == hidden | {"X-Desk": "7"}
    assert changed["headers"] == hidden | {"X-Desk": "8"}
    assert hidden.items() <= seen["request"]["headers"].items()
    assert "t0p" not in json.dumps([created, changed, seen])
    assert dict((await api.endpoints.all())[0].options.headers)["Authorization"] == "Bearer t0p"


async def test_a_secret_does_not_become_readable_by_no_longer_being_marked(api: ApiBench) -> None:
    created = await made(api, headers={"X-Key": "t0p"}, secret_headers=["X-Key"])
    path = f"/v1/endpoints/{created['id']}"

    _, unmarked = await send(api, "PATCH", path, {"secret_headers": []})
    _, anew = await send(api, "PATCH", path, {"secret_headers": [], "headers": {"X-Key": "open"}})

    assert unmarked["headers"] == {"X-Key": HIDDEN}
    assert anew["headers"] == {"X-Key": "open"}


@pytest.mark.parametrize("spelt", ["x-key", "X-KEY"])
async def test_a_secret_does_not_become_readable_by_another_spelling_of_its_name(
    api: ApiBench, spelt: str
) -> None:
    created = await made(api, headers={"X-Key": "t0p"}, secret_headers=["X-Key"])

    path, change = f"/v1/endpoints/{created['id']}", {"secret_headers": [], "headers": {spelt: HIDDEN}}
    sample = {"type": "trade.closed", "data": TRADE}

    moved, _ = await send(api, "PATCH", path, {"url": "https://elsewhere.example.com/"} | change)
    _, tried = await send(api, "POST", f"{path}/preview", {"change": change, "sample": sample})
    _, shown = await send(api, "PATCH", path, change)

    assert (moved, shown["headers"]) == (422, {spelt: HIDDEN})
    assert "t0p" not in json.dumps([tried, shown])


async def test_a_secret_is_not_carried_to_another_address(api: ApiBench) -> None:
    created = await made(api, headers={"Authorization": "Bearer t0p"})
    path = f"/v1/endpoints/{created['id']}"
    elsewhere = "https://elsewhere.example.com/"

    for body in ({"url": elsewhere}, {"url": elsewhere, "headers": {"Authorization": HIDDEN}}):
        status, told = await send(api, "PATCH", path, body)
        assert (status, told["errors"][0]["field"]) == (422, "headers")
    assert (await api.endpoints.all())[0].url == NEW["url"]

    same = await send(api, "PATCH", path, {"url": "https://crm.example.com/other"})
    anew = await send(api, "PATCH", path, {"url": elsewhere, "headers": {"Authorization": "Bearer new"}})
    assert (same[0], anew[0]) == (200, 200)


# --- preview

TRADE = {
    "deal": 88123,
    "symbol": "EURUSD",
    "symbol_class": "fx",
    "side": "buy",
    "lots": "1.50",
    "partial": False,
}


async def test_a_preview_shows_the_request_for_the_newest_event_of_its_types(api: ApiBench) -> None:
    created = await made(api, headers={"X-Desk": "7"})
    appended = await api.log.append([a_trade_closed(lots="1.5"), a_trade_closed(lots="2.5")])

    status, seen = await send(api, "POST", f"/v1/endpoints/{created['id']}/preview", {})

    request = seen["request"]
    assert (status, seen["would_send"], seen["skipped"]) == (200, True, None)
    assert (request["method"], request["url"]) == ("POST", NEW["url"])
    assert request["headers"]["webhook-id"] == appended[1].id == seen["event"]["id"]
    assert request["headers"]["X-Desk"] == "7"
    assert json.loads(request["body"])["data"]["lots"] == "2.5"
    # Nobody gets a signature for a body of his own this way.
    assert request["headers"]["webhook-signature"] == "v1,(made when it is sent)"
    assert len(api.rows()) == 2


@pytest.mark.parametrize(
    ("fields", "skipped", "why"),
    [
        ({"where": "data.lots > 2"}, "filtered", "1.50"),
        ({"where": "data.net_profit > 2"}, "unanswered", "data.net_profit"),
        ({"channels": ["vip"]}, "channel", "vip"),
        ({"events": ["balance.*"]}, "type", "trade.closed"),
        ({"enabled": False}, "disabled", "disabled"),
    ],
)
async def test_a_preview_says_why_an_event_would_be_held_back(
    api: ApiBench, fields: dict[str, Any], skipped: str, why: str
) -> None:
    body = {"endpoint": NEW | fields, "sample": {"type": "trade.closed", "data": TRADE}}

    _, seen = await send(api, "POST", "/v1/endpoints/preview", body)

    assert (seen["would_send"], seen["skipped"]) == (False, skipped)
    assert why in seen["why"]
    assert await api.endpoints.all() == []


async def test_a_preview_tries_a_change_without_making_it(api: ApiBench) -> None:
    created = await made(api)
    path = f"/v1/endpoints/{created['id']}"
    account = {"server": "live-1", "login": 7001}
    body = {
        "sample": {"type": "trade.closed", "account": account, "data": TRADE},
        "change": {
            "format": "raw",
            "content_type": "text/plain",
            "transform": "{{ account.login }} {{ data.lots }}",
        },
    }

    _, seen = await send(api, "POST", f"{path}/preview", body)
    _, shown = await send(api, "GET", path, None)

    assert (seen["request"]["body"], seen["request"]["headers"]["Content-Type"]) == (
        "7001 1.50",
        "text/plain",
    )
    assert (shown["format"], shown["transform"]) == ("standard", None)


async def test_a_preview_of_what_cannot_be_made_says_so(api: ApiBench) -> None:
    endpoint = NEW | {"transform": '{"a": "{{ data.comment }}"}'}
    body = {"endpoint": endpoint, "sample": {"type": "trade.closed", "data": TRADE}}

    status, seen = await send(api, "POST", "/v1/endpoints/preview", body)

    assert (status, seen["would_send"], seen["request"]) == (200, False, None)
    assert "data.comment is missing" in seen["problem"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"event": "evt_none"}, 404),
        ({"sample": {"type": "trade.closd", "data": {}}}, 422),
        ({"sample": {"type": "trade.closed", "data": {"lots": "many"}}}, 422),
        ({"event": "evt_x", "sample": {"type": "trade.closed"}}, 422),
        ({"change": {"where": "data.x"}}, 422),
        ({"change": {"headers": {"Host": "x"}}}, 422),
        ({}, 409),
        ({"evnt": "x"}, 422),
    ],
)
async def test_a_preview_of_nothing_is_refused(api: ApiBench, body: Any, status: int) -> None:
    created = await made(api)

    assert (await send(api, "POST", f"/v1/endpoints/{created['id']}/preview", body))[0] == status


# --- challenge


async def test_a_receiver_that_agrees_is_sent_to_at_the_rate_it_allows(api: ApiBench, receiver: Any) -> None:
    receiver.allows = {"WebHook-Allowed-Origin": "hub.example.com", "WebHook-Allowed-Rate": "120"}

    created = await made(
        api, url=receiver.url, challenge=True, rate=10, headers={"Authorization": "Bearer x"}
    )

    assert (created["state"], created["rate"], created["allowed_rate"]) == ("enabled", 10, 2)
    assert (await api.endpoints.all())[0].options.pace == 2
    (asked,) = receiver.asked
    assert (asked["WebHook-Request-Origin"], asked["WebHook-Request-Rate"]) == ("hub.example.com", "600")
    assert asked["Authorization"] == "Bearer x"


@pytest.mark.parametrize(
    ("status", "allows", "why"),
    [
        (200, {}, "WebHook-Allowed-Origin"),
        (200, {"WebHook-Allowed-Origin": "other.example.com"}, "WebHook-Allowed-Origin"),
        (403, {"WebHook-Allowed-Origin": "*"}, "403"),
        (302, {"WebHook-Allowed-Origin": "*", "Location": "http://127.0.0.1/"}, "302"),
        (200, {"WebHook-Allowed-Origin": "*", "WebHook-Allowed-Rate": "0"}, "WebHook-Allowed-Rate"),
        (200, {"WebHook-Allowed-Origin": "*", "WebHook-Allowed-Rate": "1e9"}, "WebHook-Allowed-Rate"),
    ],
)
async def test_a_receiver_that_does_not_agree_leaves_the_endpoint_off(
    api: ApiBench, receiver: Any, status: int, allows: dict[str, str], why: str
) -> None:
    receiver.status, receiver.allows = status, allows

    created = await made(api, url=receiver.url, challenge=True)

    assert created["state"] == "disabled"
    assert created["reason"].startswith("not confirmed: ")
    assert why in created["reason"]


async def test_a_receiver_that_hangs_is_not_waited_for(api: ApiBench, receiver: Any) -> None:
    receiver.hang.clear()

    created = await made(api, url=receiver.url, challenge=True)

    assert (created["state"], "within the deadline" in created["reason"]) == ("disabled", True)


async def test_enabling_asks_again_and_so_does_another_address(api: ApiBench, receiver: Any) -> None:
    receiver.status = 503
    created = await made(api, url=receiver.url, challenge=True)
    path = f"/v1/endpoints/{created['id']}"

    assert (await send(api, "PATCH", path, {"enabled": True}))[1]["state"] == "disabled"
    receiver.status = 204
    enabled = (await send(api, "PATCH", path, {"enabled": True}))[1]
    assert (enabled["state"], enabled["reason"]) == ("enabled", None)
    await send(api, "PATCH", path, {"description": "the same"})
    assert len(receiver.asked) == 3
    await send(api, "PATCH", path, {"url": receiver.url + "/2"})
    assert len(receiver.asked) == 4


async def test_what_came_of_an_endpoint_while_it_was_being_changed_stays(
    api: ApiBench, receiver: Any
) -> None:
    """The receiver takes its time to agree to a new rate; meanwhile the hub switches the endpoint off."""
    endpoint = await made(api, url=receiver.url, challenge=True)
    receiver.hang.clear()

    async with asyncio.TaskGroup() as group:
        change = group.create_task(send(api, "PATCH", f"/v1/endpoints/{endpoint['id']}", {"rate": 5}))
        async with asyncio.timeout(30):
            while len(receiver.asked) < 2:
                await asyncio.sleep(0)
        before = await api.endpoints.get(endpoint["id"])
        assert before is not None
        assert await api.endpoints.replace(before, before._replace(state="disabled", reason="410 Gone"))
        receiver.hang.set()

    status, after = change.result()
    assert (status, after["state"], after["reason"], after["rate"]) == (200, "disabled", "410 Gone", 5)


async def test_a_disabled_endpoint_is_not_asked(api: ApiBench, receiver: Any) -> None:
    await made(api, url=receiver.url, challenge=True, enabled=False)

    assert receiver.asked == []
