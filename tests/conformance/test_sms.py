"""Text messages against a provider that answers every code: what is sent once, what waits, and what is not known."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from conformance.fake_twilio import ERRORS, SID, TOKEN, FakeTwilio, a_twilio
from conformance.put_right import PutRight
from pydantic import SecretStr, ValidationError

from hub.clock import Clock, ManualClock, to_us
from hub.dispatch.channels.sms_twilio import SmsChannel, SmsSettings
from hub.dispatch.effects.notifier import Bounced, Declined, Later, OptedOut, Sent, Unsure
from hub.dispatch.endpoint_url import EndpointUrlInvalid
from hub.dispatch.messages import message_id
from hub.dispatch.public_links import PublicLinks, PublicSettings
from hub.intents.intent import Intent, State

START = datetime(2026, 6, 23, 9, 0, tzinfo=UTC)
NOW = to_us(START)
TO = "+357 99 000001"
LINKS = PublicLinks(PublicSettings(url="https://hub.broker.example"))
UNSURE = {20500}
LATER = {20003, 20005, 20403, 20404, 20429, 20503, 14107, 21408, 21603, 21606, 21611, 21659, 21704, 21705}
BOUNCES = {21211, 21214, 21217, 21401, 21421, 21614, 30005, 30006}


def an_sms(key: str = "w/live-1:1001/t/e/sms", **params: Any) -> Intent:
    body = msgspec.json.encode({"to": TO, "text": "Your code is 1234"} | params)
    return Intent(key, 1, "live-1:1001", "notify.sms", body, "w", "r", "sms", "e1", State.READY, NOW, NOW)


def settings(twilio: FakeTwilio, **more: Any) -> SmsSettings:
    fields = {"account_sid": SID, "auth_token": TOKEN, "sender": "+35722000000", "url": twilio.url} | more
    return SmsSettings(**fields)


@pytest.fixture
async def twilio() -> AsyncIterator[FakeTwilio]:
    async with a_twilio() as twilio:
        yield twilio


def channel(twilio: FakeTwilio, clock: Clock | None = None, **more: Any) -> SmsChannel:
    return SmsChannel(settings(twilio, **more), clock or ManualClock(START), LINKS, allow_loopback=True)


async def test_a_message_is_taken_with_its_number_and_where_to_tell_of_it(twilio: FakeTwilio) -> None:
    told = await channel(twilio).send(an_sms())

    assert told == Sent(ref=twilio.taken[0]["sid"])
    assert twilio.taken[0] | {"sid": ""} == {
        "sid": "",
        "To": "+35799000001",
        "From": "+35722000000",
        "Body": "Your code is 1234",
        "StatusCallback": f"https://hub.broker.example/v1/callbacks/sms/{message_id(an_sms().key)}",
    }


async def test_a_message_that_expires_says_for_how_long_it_is_of_use(twilio: FakeTwilio) -> None:
    await channel(twilio, messaging_service="MG1", sender=None).send(an_sms(expires="10m"))

    assert twilio.taken[0]["ValidityPeriod"] == "600"
    assert twilio.taken[0]["MessagingServiceSid"] == "MG1"
    assert "From" not in twilio.taken[0]


@pytest.mark.parametrize("code", sorted(ERRORS))
async def test_every_code_means_what_it_says(twilio: FakeTwilio, code: int) -> None:
    twilio.fail_with(code)

    told = await channel(twilio).send(an_sms())

    assert str(code) in told.reason
    assert TOKEN not in told.reason
    if code in LATER:
        assert isinstance(told, Later)
    elif code in UNSURE:
        assert isinstance(told, Unsure)
    else:
        assert isinstance(told, Declined)
        kinds = {type(news) for news in told.news}
        assert kinds == ({Bounced} if code in BOUNCES else {OptedOut} if code == 21610 else set())
    assert twilio.asked == 1


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        *((status, Unsure) for status in (500, 502, 503, 504, 302, 408)),
        *((status, Later) for status in (401, 403, 404, 429)),
        *((status, Declined) for status in (400, 413)),
    ],
)
async def test_what_says_no_code_is_judged_by_its_status(
    twilio: FakeTwilio, status: int, kind: type[object]
) -> None:
    twilio.fails.append((status, "<html>", {}))

    assert isinstance(await channel(twilio).send(an_sms()), kind)


async def test_a_yes_without_the_number_of_a_message_is_not_believed(twilio: FakeTwilio) -> None:
    twilio.fails += [(200, "<html>welcome to the hotel's network", {}), (201, {"sid": "../x"}, {})]

    assert isinstance(await channel(twilio).send(an_sms()), Unsure)
    assert isinstance(await channel(twilio).send(an_sms()), Unsure)


@pytest.mark.parametrize("takes_first", [True, False])
async def test_a_connection_that_breaks_off_leaves_it_unknown(twilio: FakeTwilio, takes_first: bool) -> None:
    twilio.breaks_off, twilio.takes_first = True, takes_first

    told = await channel(twilio).send(an_sms())

    assert isinstance(told, Unsure)
    assert twilio.asked == 1


async def test_a_provider_that_is_not_there_was_surely_not_asked() -> None:
    gone = FakeTwilio()
    gone.url = "http://127.0.0.1:1"

    assert isinstance(await channel(gone).send(an_sms()), Later)


async def test_too_many_requests_hold_back_every_message_until_then(twilio: FakeTwilio) -> None:
    clock = ManualClock(START)
    sms = channel(twilio, clock)
    twilio.fail_with(20429, **{"Retry-After": "90"})

    first, second = await sms.send(an_sms("a")), await sms.send(an_sms("b"))
    asked = twilio.asked
    await clock.advance(timedelta(seconds=90))
    third = await sms.send(an_sms("b"))

    assert isinstance(first, Later)
    assert first.after_us == 90_000_000
    assert isinstance(second, Later)
    assert asked == 1
    assert isinstance(third, Sent)


@pytest.mark.parametrize(
    "params",
    [
        {"to": None},
        {"to": "ann@example.com"},
        {"to": "+357 99\r\n1"},
        {"text": ""},
        {"text": None},
        {"text": "x" * 1_601},
        {"unknown": 1},
    ],
)
async def test_what_no_provider_would_take_is_not_sent(twilio: FakeTwilio, params: dict[str, Any]) -> None:
    assert isinstance(await channel(twilio).send(an_sms(**params)), Declined)
    assert twilio.asked == 0


def test_settings_that_cannot_work_are_refused() -> None:
    for bad in (
        {"sender": None},
        {"messaging_service": "MG1"},
        {"auth_token": ""},
        {"url": "https://api.example/?x"},
        {"account_sid": "a/b"},
    ):
        with pytest.raises(ValidationError):
            SmsSettings(
                **{"account_sid": SID, "auth_token": SecretStr(TOKEN), "sender": "+1", "url": "https://a.b"}
                | bad
            )
    with pytest.raises(EndpointUrlInvalid, match="https"):
        SmsChannel(
            SmsSettings(account_sid=SID, auth_token=SecretStr(TOKEN), sender="+1", url="http://api.example"),
            ManualClock(START),
        )


async def test_a_pause_is_no_longer_for_a_clock_that_was_put_right(twilio: FakeTwilio) -> None:
    clock = PutRight(ManualClock(START), timedelta(days=365))
    sms = channel(twilio, clock)
    twilio.fail_with(20429, **{"Retry-After": "90"})
    assert isinstance(await sms.send(an_sms("first")), Later)

    clock.ahead = timedelta()
    assert await sms.send(an_sms("second")) == Later("it takes nothing from us for now", 90_000_000)
    await clock.advance(timedelta(seconds=90))
    assert isinstance(await sms.send(an_sms("second")), Sent)
