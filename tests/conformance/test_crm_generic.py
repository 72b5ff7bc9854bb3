"""A CRM a profile describes, against a server that answers anything: what is sent, and how its answers are read."""

import json
from collections import deque
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from conformance.crm_bench import NOW, Desk, a_call, a_note, a_task, an_upsert, broken_off, served

from hub.dispatch.effects.notifier import Declined, Later, Sent, Told, Unsure
from hub.errors import ConfigError
from hub.intents.intent import Intent

TOKEN, KEY = "token-of-the-crm", "key-of-the-broker"


class OwnCrm:
    """`asked` is what it was asked: method, path, headers, body. `says` are its next answers."""

    def __init__(self) -> None:
        self.url = ""
        self.asked: list[tuple[str, str, dict[str, str], Any]] = []
        self.says: deque[tuple[int, Any, dict[str, str]]] = deque()
        self.breaks_off = False
        self.written: set[str] = set()

    async def answer(self, request: web.Request) -> web.Response:
        headers = dict(request.headers)
        self.asked.append((request.method, request.raw_path, headers, await request.json()))
        if (headers.get("Authorization"), headers.get("X-Broker")) != (f"Bearer {TOKEN}", KEY):
            return web.json_response({"error": "who are you"}, status=401)
        if self.says:
            status, body, more = self.says.popleft()
            text = body if isinstance(body, str) else json.dumps(body)
            return web.Response(status=status, text=text, headers=more)
        self.written.add(headers["Idempotency-Key"])
        if self.breaks_off:
            return broken_off(request)
        return web.json_response({"data": {"id": 77}, "status": "ok"})


def settings(crm: OwnCrm, **more: Any) -> dict[str, Any]:
    return {
        "kind": "generic",
        "url": crm.url + "/api",
        "token": TOKEN,
        "headers": {"X-Broker": KEY},
        "rate": 1000,
        "objects": {
            "client": {"type": "clients", "fields": {"deposited": {"name": "amount", "type": "number"}}}
        },
        "upsert": {
            "method": "PUT",
            "path": "/{object}/{id}?by={account}",
            "body": {"attributes": "{record}", "source": "hub", "about": "{title}"},
            "made": "data.id",
        },
        "note": {
            "method": "POST",
            "path": "/{object}/{id}/notes",
            "body": {
                "text": "Note: {text}",
                "on": "{at}",
                "reference": "{key}",
                "event": "{event}",
                "n": [1, "{due}"],
            },
            "says": {"at": "status", "ok": ["ok"], "retry": ["busy"]},
            "made": "data.id",
        },
        "task": {"method": "POST", "path": "/tasks", "idempotent": True, "retry": [503]},
    } | more


class Shop:
    def __init__(self, crm: OwnCrm) -> None:
        self.crm = crm
        self.desk = self.make()

    def make(self, **more: Any) -> Desk:
        return Desk({"own": settings(self.crm, **more)})

    async def send(self, intent: Intent) -> Told:
        told = await self.desk.send(intent)
        assert not [word for word in (TOKEN, KEY, "ann@") if word in repr(told)]
        return told


@pytest.fixture
async def shop() -> AsyncIterator[Shop]:
    crm = OwnCrm()
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", crm.answer)
    async with served(application) as url:
        crm.url = url
        yield Shop(crm)


async def test_the_gaps_are_filled_in_and_the_id_is_read(shop: Shop) -> None:
    record = {"email": "ann@example.com", "deposited": "250.10", "city": None}

    told = await shop.send(an_upsert("k#2", record=record, id="c/1 ?"))

    assert told == Sent("record 77 was written", made="77")
    ((method, path, headers, body),) = shop.crm.asked
    assert (method, path) == ("PUT", "/api/clients/c%2F1%20%3F?by=live-1%3A1001")
    assert body == {
        "attributes": {"email": "ann@example.com", "amount": 250.1, "city": None},
        "source": "hub",
    }
    assert (headers["Idempotency-Key"], headers["X-Hub-Event"]) == ("k", "01EVENT")


async def test_a_text_stays_a_text_whatever_it_holds(shop: Shop) -> None:
    await shop.send(a_note(text='", "admin": true, "x": "{key} {{ 7 * 7 }}\n'))

    assert shop.crm.asked[0][3] == {
        "text": 'Note: ", "admin": true, "x": "{key} {{ 7 * 7 }}\n',
        "on": "2026-06-23T09:00:00.000Z",
        "reference": "note",
        "event": "01EVENT",
        "n": [1],
    }


@pytest.mark.parametrize(
    ("status", "written", "noted"),
    [
        *(
            (status, Declined, Declined)
            for status in (400, 402, 404, 405, 406, 409, 410, 411, 413, 414, 415, 422, 428)
        ),
        *((status, Later, Later) for status in (401, 403, 423, 425, 429)),
        *(
            (status, Later, Unsure)
            for status in (301, 302, 303, 307, 308, 408, 500, 501, 502, 503, 504, 507, 520, 599)
        ),
    ],
)
async def test_every_status_means_what_the_profile_leaves_it(
    shop: Shop, status: int, written: type[object], noted: type[object]
) -> None:
    shop.crm.says.append((status, "<html>", {}))
    upserted = await shop.send(an_upsert())
    shop.desk = shop.make()
    shop.crm.says.append((status, "<html>", {}))
    added = await shop.send(a_note())

    assert isinstance(upserted, written)
    assert isinstance(added, noted)
    assert str(status) in upserted.reason
    assert str(status) in added.reason


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (200, {"status": "ok", "data": {"id": "n-1"}}, Sent),
        (200, {"status": "ok"}, Sent),
        (200, {"status": "busy"}, Later),
        (200, {"status": "no such client"}, Declined),
        (200, {"status": 7}, Declined),
        (200, {"status": None}, Unsure),
        (200, ["ok"], Unsure),
        (200, "<html>welcome to the hotel's network", Unsure),
        (204, "", Unsure),
    ],
)
async def test_a_word_in_the_answer_says_what_the_status_does_not(
    shop: Shop, status: int, body: Any, kind: type[object]
) -> None:
    shop.crm.says.append((status, body, {}))

    assert isinstance(await shop.send(a_note()), kind)


async def test_the_profile_says_which_statuses_are_a_yes_and_which_say_that_nothing_was_done(
    shop: Shop,
) -> None:
    call = {"method": "POST", "path": "/x", "ok": [202, 409], "retry": [404, 503]}
    shop.desk = shop.make(note=call)
    for status, kind in ((202, Sent), (409, Sent), (200, Unsure), (404, Later), (503, Later)):
        shop.crm.says.append((status, "", {}))
        assert isinstance(await shop.send(a_note()), kind), status


async def test_a_pause_that_was_asked_for_holds_back_everything(shop: Shop) -> None:
    shop.crm.says.append((429, "", {"Retry-After": "90"}))

    first, second = await shop.send(an_upsert()), await shop.send(a_note())
    await shop.desk.clock.advance(timedelta(seconds=90))

    assert isinstance(first, Later)
    assert isinstance(second, Later)
    assert second.after_us == 90_000_000
    assert len(shop.crm.asked) == 1
    assert isinstance(await shop.send(a_note()), Sent)


async def test_only_what_may_be_done_twice_is_sent_again_after_a_lost_answer(shop: Shop) -> None:
    shop.crm.breaks_off = True

    upserted, noted, opened = [await shop.send(each) for each in (an_upsert(), a_note(), a_task())]

    assert isinstance(upserted, Later)
    assert isinstance(noted, Unsure)
    assert isinstance(opened, Later)
    assert [shop.desk.sends_once(verb) for verb in ("crm.upsert", "crm.note", "task.open")] == [
        False,
        True,
        False,
    ]
    keys = {headers["Idempotency-Key"] for _, _, headers, _ in shop.crm.asked}
    assert keys == {"up", "note", "task"}


async def test_where_one_of_two_crms_must_not_be_told_twice_it_is_written_down_first(shop: Shop) -> None:
    careless = settings(shop.crm, upsert={"method": "POST", "path": "/x"})
    both = Desk({"own": settings(shop.crm), "other": careless})

    assert both.sends_once("crm.upsert")
    told = await both.send(an_upsert())
    assert isinstance(told, Declined)
    assert "`profile` is one of other, own" in told.reason
    assert isinstance(await both.send(an_upsert(profile="own")), Sent)


async def test_a_verb_the_profile_does_not_have_is_declined(shop: Shop) -> None:
    told = await shop.send(a_call())

    assert isinstance(told, Declined)
    assert told.reason == "own does not say how it takes crm.activity: add it to crm.own in hub.yaml"


async def test_an_answer_larger_than_one_may_be_is_bounded(shop: Shop) -> None:
    shop.crm.says.append((200, "x" * 200_000, {}))

    assert isinstance(await shop.send(a_note()), Unsure)


async def test_secrets_come_from_files(shop: Shop, tmp_path: Path) -> None:
    for name, secret in (("token", TOKEN), ("key", KEY)):
        (tmp_path / name).write_text(secret + "\n", encoding="utf-8")
    shop.desk = shop.make(
        token=None, token_file=str(tmp_path / "token"), headers={"X-Broker": {"file": str(tmp_path / "key")}}
    )

    assert isinstance(await shop.send(an_upsert(at=NOW)), Sent)
    with pytest.raises(ConfigError, match=r"crm.own.token_file .* cannot be read"):
        shop.make(token=None, token_file=str(tmp_path / "nowhere"))
    with pytest.raises(ConfigError, match=r"crm.own.token is empty"):
        shop.make(token="")
    with pytest.raises(ConfigError, match="printable ASCII"):
        shop.make(headers={"X-Broker": "a\r\nb"})


async def test_two_steps_with_long_names_never_have_one_key(shop: Shop) -> None:
    run = "w" * 64 + "/client=" + "ж" * 60 + "/01EVENT/"

    await shop.send(a_note(run + "first"))
    await shop.send(a_note(run + "second"))
    await shop.send(a_note(run + "second#2"))

    first, second, again = (headers["Idempotency-Key"] for _, _, headers, _ in shop.crm.asked)
    assert first != second == again
    assert max(len(first), len(second)) <= 255
