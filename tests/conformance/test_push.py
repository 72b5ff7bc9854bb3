"""Push messages against a Firebase that checks signatures and answers every error code."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from aiohttp import web
from conformance.fake_fcm import FakeFcm, an_fcm
from pydantic import SecretStr

from hub.clock import ManualClock, to_us
from hub.control.memory import MemorySwitches
from hub.dispatch.addresses import in_house
from hub.dispatch.channels.push_fcm import PushChannel
from hub.dispatch.channels.push_settings import PushSettings
from hub.dispatch.channels.push_trust import MOST_TAKEN, TAKEN_FOR_ONE
from hub.dispatch.devices import Device, device_id
from hub.dispatch.effects.notifier import Declined, Later, SenderRefused, Sent, TokenDead, Told
from hub.dispatch.memory_messages import MemoryDevices
from hub.dispatch.messages import message_id
from hub.errors import ConfigError
from hub.intents.intent import Intent, State

START = datetime(2026, 6, 23, 9, 0, tzinfo=UTC)
NOW = to_us(START)
PHONE, TABLET, BROWSER = "phone:" + "a" * 140, "tablet:" + "b" * 140, "browser:" + "c" * 140


def a_push(key: str = "margin-call/live-1:1001/call/1", **params: Any) -> Intent:
    body = msgspec.json.encode({"to": "c-1", "text": "Margin call", "title": "Attention"} | params)
    return Intent(key, 1, "live-1:1001", "notify.push", body, "w", "r", "p", "e1", State.READY, NOW, NOW)


class Shop:
    def __init__(self, fcm: FakeFcm) -> None:
        self.fcm = fcm
        self.clock = ManualClock(START)
        self.devices = MemoryDevices()
        self.taken = MemorySwitches()
        self.account = fcm.account()
        self.channel = self.make()

    def make(self) -> PushChannel:
        settings = PushSettings(service_account=SecretStr(self.account), url=self.fcm.url)
        return PushChannel(
            settings, SecretStr(self.account), self.devices, self.taken, self.clock, allow_loopback=True
        )

    async def has(self, *tokens: str, client: str = "c-1") -> None:
        platforms = {PHONE: "android", TABLET: "ios", BROWSER: "web"}
        for n, token in enumerate(tokens):
            await self.devices.put(Device(device_id(token), client, token, platforms[token], NOW, NOW - n))

    async def send(self, intent: Intent | None = None) -> Told:
        return await self.channel.send(intent or a_push())


@pytest.fixture
async def shop() -> AsyncIterator[Shop]:
    async with an_fcm() as fcm:
        yield Shop(fcm)


async def test_every_device_of_the_client_shows_it(shop: Shop) -> None:
    await shop.has(PHONE, TABLET, BROWSER)

    told = await shop.send()

    everyone = {device_id(token): "taken" for token in (PHONE, TABLET, BROWSER)}
    assert told == Sent("to 3 of 3 devices", "projects/broker-app/messages/0:1", each=everyone)
    tag = message_id(a_push().key)
    assert {token: list(shown) for token, shown in shop.fcm.shown.items()} == {
        PHONE: [tag],
        TABLET: [tag],
        BROWSER: [tag],
    }
    first = shop.fcm.sent[0]
    assert first["notification"] == {"title": "Attention", "body": "Margin call"}
    assert first["data"] == {"message": tag, "account": "live-1:1001"}
    assert "ttl" not in first["android"]


async def test_one_that_is_sent_again_takes_the_place_of_the_first(shop: Shop) -> None:
    await shop.has(PHONE, TABLET)

    await shop.send()
    shop.channel = shop.make()  # a restart forgets which devices have it
    await shop.send()

    assert {token: len(shown) for token, shown in shop.fcm.shown.items()} == {PHONE: 1, TABLET: 1}


async def test_the_token_is_asked_for_once_and_again_when_it_is_about_to_end(shop: Shop) -> None:
    await shop.has(PHONE)

    for key in "abc":
        await shop.send(a_push(key))
    once = shop.fcm.tokens
    await shop.clock.advance(timedelta(minutes=54))
    await shop.send(a_push("d"))
    still = shop.fcm.tokens
    await shop.clock.advance(timedelta(minutes=2))
    await shop.send(a_push("e"))

    assert (once, still, shop.fcm.tokens) == (1, 1, 2)


async def test_a_token_that_is_refused_is_asked_for_anew_once(shop: Shop) -> None:
    await shop.has(PHONE)
    await shop.send(a_push("a"))
    shop.fcm.valid = set()

    assert isinstance(await shop.send(a_push("b")), Sent)
    assert shop.fcm.tokens == 2

    shop.fcm.everybody = ["token refused"] * 2
    told = await shop.send(a_push("c"))
    assert isinstance(told, Later)
    assert shop.fcm.tokens == 3


@pytest.mark.parametrize("error", ["unregistered", "bad token"])
async def test_a_device_that_is_gone_is_told_of_and_the_others_get_it(shop: Shop, error: str) -> None:
    await shop.has(PHONE, TABLET)
    shop.fcm.says[PHONE] = [error]

    told = await shop.send()

    assert isinstance(told, Sent)
    assert told.reason == f"to 1 of 2 devices; not to 1: {told.each[device_id(PHONE)]}"
    assert told.each[device_id(TABLET)] == "taken"
    (dead,) = told.news
    assert isinstance(dead, TokenDead)
    assert (dead.device, dead.client) == (device_id(PHONE), "c-1")
    assert PHONE not in dead.reason


async def test_a_project_that_never_reached_a_device_costs_none_and_operators_hear_of_it(shop: Shop) -> None:
    await shop.has(PHONE, TABLET)
    shop.fcm.says = {PHONE: ["other sender"] * 9, TABLET: ["other sender"] * 9}

    first, second = await shop.send(), await shop.send(a_push("b"))
    await shop.clock.advance(timedelta(days=1))
    third = await shop.send(a_push("c"))

    assert isinstance(first, Later)
    (refused,) = first.news
    assert isinstance(refused, SenderRefused)
    assert (refused.channel, refused.sender) == ("push", "broker-app")
    assert refused.reason.startswith("answered 403, SENDER_ID_MISMATCH: look at push.project")
    assert isinstance(second, Later)
    assert second.news == ()
    assert isinstance(third, Later)
    assert third.news == (refused,)


async def test_a_device_of_another_app_goes_once_others_took_ten_messages_and_keeps_nobody_from_his(
    shop: Shop,
) -> None:
    await shop.has(PHONE, TABLET)
    shop.fcm.says[PHONE] = ["other sender"] * 99

    before = [await shop.send(a_push(str(n))) for n in range(TAKEN_FOR_ONE)]
    after = await shop.send(a_push("then"))

    assert [type(told) for told in before] == [Later] * TAKEN_FOR_ONE
    assert shop.fcm.asked[TABLET] == TAKEN_FOR_ONE + 1
    assert isinstance(after, Sent)
    assert after.news == (
        TokenDead(
            device_id(PHONE),
            "c-1",
            NOW,
            "answered 403, SENDER_ID_MISMATCH: the token is of another app",
        ),
    )


async def test_a_service_account_of_another_app_costs_three_devices_and_not_all_also_over_a_restart(
    shop: Shop,
) -> None:
    await shop.has(PHONE)
    for n in range(3 * MOST_TAKEN):
        await shop.send(a_push(str(n)))
    shop.fcm.everybody = ["other sender"] * 99

    dropped = 0
    for n in range(9):
        shop.channel = shop.make()
        told = await shop.send(a_push(f"then {n}"))
        dropped += any(isinstance(news, TokenDead) for news in told.news)

    assert dropped == 3


async def test_a_project_is_believed_for_what_devices_took_of_it_and_not_of_another(shop: Shop) -> None:
    await shop.has(PHONE)
    for n in range(MOST_TAKEN):
        await shop.send(a_push(str(n)))
    shop.account = json.dumps(json.loads(shop.account) | {"project_id": "other-app"})
    shop.channel = shop.make()
    shop.fcm.everybody = ["other sender"]

    told = await shop.send(a_push("then"))

    assert isinstance(told, Later)
    assert [type(news) for news in told.news] == [SenderRefused]


async def test_a_client_whose_devices_are_all_gone_is_not_reached(shop: Shop) -> None:
    await shop.has(PHONE)
    shop.fcm.says[PHONE] = ["unregistered"]

    told = await shop.send()

    assert isinstance(told, Declined)
    assert len(told.news) == 1


@pytest.mark.parametrize("error", ["internal", "unavailable", "bad gateway", "quota"])
async def test_trouble_that_passes_waits_and_costs_no_device(shop: Shop, error: str) -> None:
    await shop.has(PHONE)
    shop.fcm.says[PHONE] = [error]

    told = await shop.send()

    assert isinstance(told, Later)
    assert told.news == ()


@pytest.mark.parametrize("error", ["apns", "no permission", "no project"])
async def test_trouble_that_is_ours_waits_costs_no_device_and_operators_hear_of_it(
    shop: Shop, error: str
) -> None:
    await shop.has(PHONE)
    shop.fcm.says[PHONE] = [error]

    told = await shop.send()

    assert isinstance(told, Later)
    assert [type(news) for news in told.news] == [SenderRefused]


async def test_a_message_nobody_takes_is_not_tried_again(shop: Shop) -> None:
    await shop.has(PHONE)
    shop.fcm.says[PHONE] = ["bad message"]

    told = await shop.send()

    why = "answered 400, INVALID_ARGUMENT"
    assert told == Declined(why, each={device_id(PHONE): why})


async def test_only_those_without_it_get_it_when_it_is_tried_again(shop: Shop) -> None:
    await shop.has(PHONE, TABLET)
    shop.fcm.says[TABLET] = ["unavailable"]

    first, second = await shop.send(), await shop.send()

    why = "answered 503, UNAVAILABLE"
    phone, tablet = device_id(PHONE), device_id(TABLET)
    assert first == Later(
        f"to 1 of 2 devices; not to 1: {why}", taken=True, each={phone: "taken", tablet: why}
    )
    assert second == Sent(
        "to 2 of 2 devices",
        "projects/broker-app/messages/0:2",
        each={phone: "taken", tablet: "taken"},
    )
    assert shop.fcm.asked == {PHONE: 1, TABLET: 2}


async def test_devices_of_apple_that_cannot_be_reached_keep_no_other_from_it(shop: Shop) -> None:
    await shop.has(TABLET, PHONE)
    shop.fcm.says[TABLET] = ["apns"]

    told = await shop.send()

    assert isinstance(told, Later)
    assert list(shop.fcm.shown) == [PHONE]


async def test_a_quota_that_is_used_up_on_the_way_says_so_of_every_device_left(shop: Shop) -> None:
    await shop.has(PHONE, TABLET, BROWSER)
    shop.fcm.says[TABLET] = ["quota"]

    told = await shop.send()

    why = "answered 429, QUOTA_EXCEEDED: too many messages"
    assert isinstance(told, Later)
    assert told.reason == f"to 1 of 3 devices; not to 2: {why}"
    assert shop.fcm.asked[BROWSER] == 0


@pytest.mark.parametrize(("header", "wait"), [({}, 60), ({"Retry-After": "300"}, 300)])
async def test_a_quota_holds_back_every_message_for_as_long_as_it_says(
    shop: Shop, header: dict[str, str], wait: int
) -> None:
    await shop.has(PHONE)
    shop.fcm.headers = header
    shop.fcm.everybody = ["quota"]

    first = await shop.send(a_push("a"))
    await shop.clock.advance(timedelta(seconds=wait - 1))
    second = await shop.send(a_push("b"))
    asked = shop.fcm.asked[PHONE]
    await shop.clock.advance(timedelta(seconds=1))
    third = await shop.send(a_push("b"))

    assert isinstance(first, Later)
    assert first.after_us == wait * 1_000_000
    assert isinstance(second, Later)
    assert asked == 1
    assert isinstance(third, Sent)


async def test_what_expires_says_so_to_every_kind_of_device(shop: Shop) -> None:
    await shop.has(PHONE, TABLET, BROWSER)
    await shop.clock.advance(timedelta(minutes=4))

    await shop.send(a_push(expires="10m"))

    phone, tablet, browser = shop.fcm.sent
    assert phone["android"]["ttl"] == "360s"
    assert tablet["apns"]["headers"]["apns-expiration"] == str(NOW // 1_000_000 + 600)
    assert browser["webpush"]["headers"]["TTL"] == "360"


async def test_without_a_token_nothing_is_sent(shop: Shop) -> None:
    await shop.has(PHONE)
    shop.fcm.token_answers = [
        web.json_response({"error": "invalid_grant", "error_description": "secret stuff"}, status=400),
        web.Response(text="<html>", status=200),
    ]

    first, second = await shop.send(), await shop.send()

    assert isinstance(first, Later)
    assert isinstance(second, Later)
    assert first.reason == "no access token: answered 400, invalid_grant"
    assert second.reason == "no access token: answered 200"
    assert shop.fcm.asked[PHONE] == 0
    assert isinstance(await shop.send(), Sent)


async def test_a_client_without_a_device_and_a_message_without_text_end_at_once(shop: Shop) -> None:
    assert isinstance(await shop.send(), Declined)

    await shop.has(PHONE)
    assert isinstance(await shop.send(a_push(text="")), Declined)
    assert isinstance(await shop.send(a_push(text="x" * 5_000)), Declined)
    assert shop.fcm.tokens == 0


async def test_whose_the_account_is_gets_it_where_no_client_is_named(shop: Shop) -> None:
    await shop.has(PHONE, client="c-9")
    shop.devices.linked["live-1:1001"] = "c-9"

    assert isinstance(await shop.send(a_push(to=None)), Sent)


@pytest.mark.parametrize(
    "change",
    [{"private_key": "-----BEGIN"}, {"client_email": None}, {"token_uri": "http://169.254.169.254/token"}],
)
async def test_a_service_account_that_cannot_work_is_refused_without_telling_it(
    shop: Shop, change: dict[str, str | None]
) -> None:
    account = json.loads(shop.account) | change
    shop.account = json.dumps({name: value for name, value in account.items() if value is not None})

    with pytest.raises(ConfigError) as refused:
        shop.make()
    assert "PRIVATE" not in str(refused.value)


async def test_an_interface_in_a_network_of_ones_own_has_to_be_opened(shop: Shop) -> None:
    inside = PushSettings(service_account=SecretStr(shop.account), url="https://fcm.corp.internal")
    given = inside, SecretStr(shop.account), shop.devices, shop.taken, shop.clock

    with pytest.raises(ConfigError, match=r"push\.url: .* inner network"):
        PushChannel(*given, allow_loopback=True)
    PushChannel(*given, allow_loopback=True, networks=[in_house("10.20.0.0/16")])
