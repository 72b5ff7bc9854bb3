"""Requests to other systems, against a real server: what is sent, what comes back, and what never leaves the hub."""

import asyncio
from base64 import b64encode

import msgspec
import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver
from pydantic import SecretStr

from hub.clock import SystemClock
from hub.dispatch.channels.http_requests import HttpRequests, idempotency_key
from hub.dispatch.channels.http_way_out import WayOut
from hub.dispatch.effects.requests import Answered, Denied, Unanswered
from hub.intents.checks import Checks, with_checks
from hub.intents.intent import Intent, State

CLOCK = SystemClock()
TOKEN = "tok-5f1d"


def an_intent(key="w/live-1:1/event/e1/crm", *, within=None, **params):
    fields = {
        "method": "GET",
        "url": {"base": {"secret": "crm_url"}, "path": ["clients", "a/b ?#ü"]},
    } | params
    body = msgspec.json.encode(fields)
    if within is not None:
        body = with_checks(body, Checks(within_us=int(within * 1e6)))
    now = CLOCK.now_us()
    return Intent(key, 1, "live-1:1", "http.request", body, "w", "r", "crm", "e1", State.READY, now, now)


class Crm:
    """Remembers what it was asked and answers as it is told."""

    def __init__(self):
        self.asked = []
        self.answer = web.json_response({"tier": "gold"})
        self.wait = asyncio.Event()
        self.wait.set()

    async def handle(self, request):
        self.asked.append((request.method, request.raw_path, dict(request.headers), await request.read()))
        await self.wait.wait()
        return self.answer() if callable(self.answer) else self.answer


@pytest.fixture
async def crm(aiohttp_server):
    crm = Crm()
    application = web.Application()
    application.router.add_route("*", "/{tail:.*}", crm.handle)
    crm.server = await aiohttp_server(application)
    crm.url = str(crm.server.make_url("/v1")).rstrip("/")
    return crm


def channel(crm, **secrets):
    known = {"crm_url": SecretStr(crm.url), "crm_token": SecretStr(TOKEN)} | secrets
    return HttpRequests(known, CLOCK, allow_loopback=True)


async def test_the_path_is_encoded_and_secrets_are_put_in_where_they_stand(crm):
    asked = await channel(crm).ask(
        an_intent(auth={"bearer": {"secret": "crm_token"}}, headers={"X-Key": {"secret": "crm_token"}})
    )

    assert asked == Answered(200)
    ((method, path, headers, body),) = crm.asked
    assert (method, path, body) == ("GET", "/v1/clients/a%2Fb%20%3F%23%C3%BC", b"")
    assert headers["Authorization"] == f"Bearer {TOKEN}"
    assert headers["X-Key"] == TOKEN
    assert headers["Idempotency-Key"] == "w/live-1:1/event/e1/crm"


async def test_a_body_is_json_and_basic_auth_is_encoded(crm):
    await channel(crm).ask(
        an_intent(
            method="POST",
            body={"a": "1.50"},
            auth={"basic": {"user": "hub", "password": {"secret": "crm_token"}}},
        )
    )

    ((method, _, headers, body),) = crm.asked
    assert (method, body, headers["Content-Type"]) == ("POST", b'{"a":"1.50"}', "application/json")
    assert headers["Authorization"] == "Basic " + b64encode(f"hub:{TOKEN}".encode()).decode()


async def test_of_the_answer_only_what_the_schema_names_is_kept_with_every_digit(crm):
    crm.answer = web.Response(text='{"tier": "gold", "score": 1.10, "other": "x", "list": [1, 2.50]}')
    asked = await channel(crm).ask(
        an_intent(expect={"schema": {"tier": "string", "score": "number", "list": ["number"]}})
    )

    assert asked == Answered(200, {"tier": "gold", "score": "1.10", "list": ["1", "2.50"]})


@pytest.mark.parametrize(
    ("status", "text", "expected"),
    [
        (503, "", Unanswered("answered 503", 503)),
        (429, "", Denied("answered 429: it takes nothing for now", 429, later=True)),
        (404, "", Denied("answered 404", 404)),
        (302, "", Denied("answered 302 (redirects are not followed)", 302)),
        (200, "[]", Denied("the answer does not fit the schema: body is no record", 200)),
        (200, '{"tier": 5}', Denied("the answer does not fit the schema: body.tier is no string", 200)),
        (200, "{}", Denied("the answer does not fit the schema: body.tier is missing", 200)),
        (200, "<html>", Denied("the answer is not JSON", 200)),
        (200, '{"tier": NaN}', Denied("the answer is not JSON", 200)),
        (200, "[" * 60_000, Denied("the answer is not JSON", 200)),
        (200, '{"tier": "' + "x" * 70_000 + '"}', Denied("the answer is larger than 64 KiB", 200)),
    ],
    ids=["503", "429", "404", "302", "list", "number", "empty", "html", "nan", "deep", "large"],
)
async def test_an_answer_is_a_yes_only_if_it_is_what_was_expected(crm, status, text, expected):
    headers = {"Location": "/v1/elsewhere"} if status == 302 else {}
    crm.answer = web.Response(status=status, text=text, headers=headers)

    assert await channel(crm).ask(an_intent(expect={"schema": {"tier": "string"}})) == expected
    assert len(crm.asked) == 1


async def test_whoever_is_slow_is_waited_for_as_long_as_somebody_waits(crm):
    crm.wait.clear()
    asked = await channel(crm).ask(an_intent(within=0.2))
    crm.wait.set()

    assert isinstance(asked, Unanswered)
    assert asked.sent


async def test_what_nobody_waits_for_any_more_is_not_sent(crm):
    intent = an_intent(within=5)
    asked = await channel(crm).ask(intent._replace(at=intent.at - 6_000_000))

    assert asked == Denied("nobody waits for it any more: it was not sent")
    assert crm.asked == []


async def test_a_receiver_that_is_not_there_was_sent_nothing(crm):
    await crm.server.close()

    assert await channel(crm).ask(an_intent()) == Unanswered("no connection could be made", sent=False)


async def test_inner_addresses_are_not_called_however_they_are_written(crm):
    strict = HttpRequests({"crm_url": SecretStr(crm.url)}, CLOCK)

    asked = await strict.ask(an_intent())
    assert asked == Denied("the secret crm_url is no address the hub calls")
    for base in (
        "http://127.0.0.1:1",
        "http://169.254.169.254",
        "http://[::1]:1",
        "http://2130706433",
        "http://db.internal",
    ):
        assert isinstance(await strict.ask(an_intent(url={"base": base})), Denied)
    assert crm.asked == []


async def test_a_name_that_leads_inside_is_found_out_where_the_socket_is_made(crm):
    class Resolver(AbstractResolver):
        async def resolve(self, host, port=0, family=0):
            return [
                {
                    "hostname": host,
                    "host": "127.0.0.1",
                    "port": crm.server.port,
                    "family": 2,
                    "proto": 0,
                    "flags": 0,
                }
            ]

        async def close(self):
            pass

    outside = HttpRequests({}, CLOCK, way_out=WayOut(resolver=Resolver()))
    asked = await outside.ask(an_intent(url={"base": "http://crm.example"}))

    assert asked == Denied("the host leads to an address that is not public")
    assert crm.asked == []


@pytest.mark.parametrize(
    ("secrets", "params", "reason"),
    [
        ({"crm_token": SecretStr("")}, {"auth": {"bearer": {"secret": "crm_token"}}}, "the secret crm_token is not set: add it under `secrets` in hub.yaml, or set HUB_SECRETS__CRM_TOKEN"),
        ({"crm_token": SecretStr("a\nb")}, {"auth": {"bearer": {"secret": "crm_token"}}}, "auth.bearer: a header takes printable ASCII in one line"),
        ({"crm_url": SecretStr("https://u:hunter2@crm.example")}, {}, "the secret crm_url is no address the hub calls"),
        ({"crm_url": SecretStr("https://crm.example/?key=hunter2")}, {}, "the secret crm_url holds a ? or a #"),
    ],
)  # fmt: skip
async def test_a_secret_that_cannot_be_used_is_named_and_never_told(crm, secrets, params, reason):
    asked = await channel(crm, **secrets).ask(an_intent(**params))

    assert isinstance(asked, Denied)
    assert reason in asked.reason
    assert "hunter2" not in asked.reason
    assert crm.asked == []


async def test_a_secret_goes_over_https_only():
    strict = HttpRequests({"crm_token": SecretStr(TOKEN)}, CLOCK)
    params = {"url": {"base": "http://crm.example"}, "auth": {"bearer": {"secret": "crm_token"}}}

    assert await strict.ask(an_intent(**params)) == Denied(
        "a secret is sent over https only: the address begins with http://"
    )


def test_asked_for_again_the_receiver_is_told_the_same_key():
    assert idempotency_key(an_intent("w/a/e/1/crm#3")) == "w/a/e/1/crm"
    assert len(idempotency_key(an_intent("w" * 400))) == 64


def test_only_what_does_the_same_but_once_may_be_repeated():
    requests = HttpRequests({}, CLOCK)

    assert [requests.repeatable(an_intent(method=method)) for method in ("GET", "PUT", "DELETE", "POST", "PATCH")] == [
        True, True, True, False, False,
    ]  # fmt: skip
    assert requests.repeatable(an_intent(method="POST", idempotent=True))
