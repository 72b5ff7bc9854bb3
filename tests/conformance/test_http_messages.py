"""Over the interface: what was written to a client, his devices, the link in a mail and word of text messages."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from conformance.api_bench import ApiBench, an_api

from hub.control.keys import Scope
from hub.dispatch.contacts import Asked
from hub.dispatch.messages import message_id
from hub.dispatch.sms_reports import signature
from hub.events.records import decode_envelope
from hub.intents.intent import State

TOKEN = "fcm:" + "a" * 150
NAME = message_id("i1")
ONE_CLICK = {"List-Unsubscribe": "One-Click"}


@pytest.fixture
async def api() -> AsyncIterator[ApiBench]:
    async with an_api() as bench:
        yield bench


async def admitted(api: ApiBench, intent: str = "i1", **more: Any) -> None:
    fields: dict[str, Any] = {
        "intent": intent,
        "channel": "email",
        "address": "ann@example.com",
        "client": "c1",
        "account": "live-1:7001",
        "category": "marketing",
        "at": api.clock.now_us(),
        "template": "offer/mail",
    }
    await api.contacts.admit(Asked(**fields | more))


def told(api: ApiBench) -> list[str]:
    return [decode_envelope(row.body).type for row in api.rows()]


def path(link: str | None) -> str:
    assert link is not None
    return link.removeprefix("https://hub.example")


async def report(
    api: ApiBench, form: dict[str, str], name: str = NAME, query: str = "", given: str | None = None
) -> int:
    url = f"https://hub.example/v1/callbacks/sms/{name}{query}"
    head = {"X-Twilio-Signature": signature("12345", url, form.items()) if given is None else given}
    return (await api.ask("POST", path(url), scope=None, data=form, headers=head))[0]


async def test_what_was_written_to_a_client_is_listed_a_page_at_a_time(api: ApiBench) -> None:
    for n in range(3):
        await admitted(api, f"i{n}", at=api.clock.now_us() + n)
    api.contacts.messages.states["i2"] = State.DELIVERED

    first = await api.ask("GET", "/v1/clients/c1/messages?limit=2")
    rest = await api.ask("GET", f"/v1/clients/c1/messages?limit=2&after={first[1]['next']}")

    assert first[0] == 200
    assert [each["action"] for each in first[1]["items"] + rest[1]["items"]] == ["i2", "i1", "i0"]
    assert rest[1]["next"] is None
    assert first[1]["items"][0] == {
        "id": message_id("i2"),
        "channel": "email",
        "address": "ann@example.com",
        "account": "live-1:7001",
        "category": "marketing",
        "template": "offer/mail",
        "at": "2026-06-23T09:00:00.000002Z",
        "outcome": "delivered",
        "attempts": 0,
        "action": "i2",
    }
    assert (await api.ask("GET", "/v1/clients/nobody/messages"))[1] == {"items": [], "next": None}


@pytest.mark.parametrize("bad", ["/v1/clients/%20/messages", "/v1/clients/c1/messages?after=x"])
async def test_a_client_or_a_cursor_nobody_can_mean_is_refused(api: ApiBench, bad: str) -> None:
    assert (await api.ask("GET", bad))[0] == 400


async def test_a_device_is_told_of_listed_without_its_token_and_removed(api: ApiBench) -> None:
    body = {"token": TOKEN, "platform": "ios"}

    made = await api.ask("PUT", "/v1/clients/c1/devices", json=body)
    again = await api.ask("PUT", "/v1/clients/c1/devices", json=body)
    listed = await api.ask("GET", "/v1/clients/c1/devices")
    others = await api.ask("DELETE", f"/v1/clients/c2/devices/{made[1]['id']}")
    gone = [(await api.ask("DELETE", f"/v1/clients/c1/devices/{made[1]['id']}"))[0] for _ in range(2)]

    assert (made[0], again[0], others[0], gone) == (201, 200, 404, [204, 404])
    assert listed[1] == {"items": [made[1]]}
    assert TOKEN not in str([made[1], listed[1]])


@pytest.mark.parametrize(
    "body",
    [
        {"token": TOKEN},
        {"token": TOKEN, "platform": "fridge"},
        {"token": "short", "platform": "ios"},
        {"token": "a" * 513, "platform": "ios"},
        {"token": TOKEN + "\n", "platform": "ios"},
        {"token": TOKEN, "platform": "ios", "more": 1},
    ],
)
async def test_a_device_nobody_can_mean_is_refused(api: ApiBench, body: dict[str, Any]) -> None:
    assert (await api.ask("PUT", "/v1/clients/c1/devices", json=body))[0] == 422


async def test_devices_take_the_right_to_write_clients(api: ApiBench) -> None:
    body = {"token": TOKEN, "platform": "ios"}

    assert (await api.ask("PUT", "/v1/clients/c1/devices", json=body, scope=Scope.READ))[0] == 403
    assert (await api.ask("GET", "/v1/clients/c1/messages", scope=None))[0] == 401


async def test_to_look_at_the_link_changes_nothing_and_one_click_does(api: ApiBench) -> None:
    await admitted(api)
    link = path(api.links.unsubscribe(NAME))

    looked = await api.ask("GET", link, scope=None)
    before = await api.contacts.list(after="", limit=9)
    clicked = await api.ask("POST", link, scope=None, data=ONE_CLICK)
    again = await api.ask("POST", link, scope=None)

    assert (looked[0], clicked[0], again[0]) == (200, 200, 200)
    assert "marketing" in looked[1]
    assert "ann@" not in looked[1]
    assert "default-src 'none'" in looked[2]["Content-Security-Policy"]
    assert before == []
    listed = (await api.ask("GET", "/v1/suppressions"))[1]["items"]
    assert [(each["address"], each["channel"], each["category"]) for each in listed] == [
        ("ann@example.com", "email", "marketing")
    ]
    assert told(api) == ["notification.unsubscribed"]
    assert await api.contacts.admit(_asked("i2", "marketing")) is not None
    assert await api.contacts.admit(_asked("i3", "transactional")) is None


def _asked(intent: str, category: Any) -> Asked:
    return Asked(intent, "email", "ann@example.com", "c1", "live-1:7001", category)


async def test_a_link_the_hub_did_not_make_leads_nowhere(api: ApiBench) -> None:
    await admitted(api)
    link = path(api.links.unsubscribe(NAME))
    unknown = path(api.links.unsubscribe(message_id("never sent")))

    for odd in (link[:-1] + ("0" if link[-1] != "0" else "1"), unknown, "/v1/unsubscribe/x", f"{link}0"):
        for method in ("GET", "POST"):
            assert (await api.ask(method, odd, scope=None))[0] == 404
    assert await api.contacts.list(after="", limit=9) == []


async def test_word_of_a_text_message_stands_with_it(api: ApiBench) -> None:
    await admitted(api, channel="sms", address="35799000001")
    await api.contacts.messages.numbered(NAME, "SM1")

    answers = [
        await report(api, {"MessageSid": "SM1", "MessageStatus": status})
        for status in ("sent", "delivered", "sent")
    ]

    assert answers == [204, 204, 204]
    (item,) = (await api.ask("GET", "/v1/clients/c1/messages"))[1]["items"]
    assert (item["ref"], item["status"]) == ("SM1", "delivered")


async def test_a_number_nobody_knows_is_closed_by_word_of_it_once(api: ApiBench) -> None:
    await admitted(api, channel="sms", address="35799000001")
    form = {"MessageSid": "SM1", "MessageStatus": "undelivered", "ErrorCode": "30005"}

    assert [await report(api, form) for _ in range(3)] == [204] * 3

    (entry,) = (await api.ask("GET", "/v1/suppressions"))[1]["items"]
    assert (entry["address"], entry["channel"]) == ("35799000001", "sms")
    assert told(api) == ["notification.bounced"]


@pytest.mark.parametrize(
    "form",
    [
        {"MessageSid": "SM1", "MessageStatus": "exploded"},
        {"MessageStatus": "failed", "ErrorCode": "30005"},
        {"MessageSid": "SM9", "MessageStatus": "failed", "ErrorCode": "30005"},
        {"MessageSid": "../1", "MessageStatus": "failed"},
        {},
    ],
)
async def test_signed_word_that_says_nothing_of_it_changes_nothing(
    api: ApiBench, form: dict[str, str]
) -> None:
    await admitted(api, channel="sms", address="35799000001")
    await api.contacts.messages.numbered(NAME, "SM1")

    assert await report(api, form) == 204
    assert await report(api, {"MessageSid": "SM1", "MessageStatus": "sent"}, message_id("no")) == 204

    assert told(api) == []
    (item,) = (await api.ask("GET", "/v1/clients/c1/messages"))[1]["items"]
    assert "status" not in item


async def test_word_that_is_not_signed_for_this_very_request_is_refused(api: ApiBench) -> None:
    await admitted(api, channel="sms", address="35799000001")
    form = {"MessageSid": "SM1", "MessageStatus": "failed", "ErrorCode": "30005"}
    right = signature("12345", f"https://hub.example/v1/callbacks/sms/{NAME}", form.items())

    assert await report(api, form, given="") == 403
    assert await report(api, form, given="é" * 28) == 403
    assert await report(api, form | {"ErrorCode": "0"}, given=right) == 403
    assert await report(api, form, message_id("i2"), given=right) == 403
    assert await report(api, form, query="?a=1", given=right) == 403
    assert told(api) == []
    assert await report(api, form, query="?a=1") == 204


async def test_a_form_without_bounds_is_refused(api: ApiBench) -> None:
    many = "&".join(f"a{n}=1" for n in range(100))
    head = {"Content-Type": "application/x-www-form-urlencoded"}

    for body, status in ((many, 400), ("a=" + "x" * 20_000, 413), (b"\xff=1", 400)):
        asked = await api.ask("POST", f"/v1/callbacks/sms/{NAME}", scope=None, data=body, headers=head)
        assert asked[0] == status
