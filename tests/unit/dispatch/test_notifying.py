"""One message from due to its outcome: once is once, late is dropped, and what follows from it is done before it ends."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest

from hub.clock import ManualClock, to_us
from hub.dispatch.contacts import ContactGate
from hub.dispatch.devices import Device
from hub.dispatch.effects.aftermath import Aftermath, Said
from hub.dispatch.effects.notifier import (
    Bounced,
    Declined,
    Later,
    Notifier,
    OptedOut,
    SenderRefused,
    SendsOnce,
    Sent,
    TokenDead,
    Told,
    Unsure,
)
from hub.dispatch.effects.worker import ActionWorker
from hub.dispatch.memory import MemoryIntents
from hub.dispatch.memory_contacts import MemoryContacts
from hub.dispatch.memory_messages import MemoryDevices
from hub.dispatch.messages import message_id
from hub.errors import StoreUnavailable
from hub.intents.intent import Intent, State
from hub.intents.outcome import decode_outcome

START = datetime(2026, 6, 23, 9, 0, tzinfo=UTC)
NOW = to_us(START)


def a_message(key: str = "m", verb: str = "notify.sms", **changes: Any) -> Intent:
    params = {"to": "+35799000001", "text": "t", **changes.pop("params", {})}
    fields: dict[str, Any] = {
        "key": key,
        "partition": 1,
        "account": "live-1:7001",
        "verb": verb,
        "params": json.dumps(params).encode(),
        "workflow": "w",
        "run": "r",
        "step": "s",
        "caused_by": "e1",
        "state": State.READY,
        "at": NOW,
        "due": NOW,
    }
    return Intent(**fields | changes)


class Channel(Notifier, SendsOnce):
    """Answers as told; `stored` is how each message stood on disk when it was sent."""

    offers = frozenset({"notify.sms", "notify.push", "notify.email"})

    def __init__(self, *answers: Told | Exception, once: bool = True) -> None:
        self.answers = list(answers)
        self.once = once
        self.stored: list[State] = []
        self.intents = MemoryIntents()

    @property
    def sends_once(self) -> bool:
        return self.once

    async def send(self, intent: Intent) -> Told:
        kept = await self.intents.get(intent.key)
        assert kept is not None
        self.stored.append(kept.state)
        answer = self.answers.pop(0) if self.answers else Sent(ref="SM1")
        if isinstance(answer, Exception):
            raise answer
        return answer


class Shop:
    def __init__(self, channel: Channel, *intents: Intent) -> None:
        self.clock = ManualClock(START)
        self.intents = channel.intents = MemoryIntents(intents)
        self.contacts, self.devices = MemoryContacts(), MemoryDevices()
        self.said: list[tuple[str, Said, str]] = []
        self.down = 0
        aftermath = Aftermath(self.contacts.messages, self.contacts, self.devices, self.say, self.clock)
        self.worker = ActionWorker(
            self.intents,
            self.clock,
            notifiers=[channel],
            random=Random(1),
            gate=ContactGate(self.contacts, {}, self.clock),
            aftermath=aftermath,
        )

    async def say(self, kind: str, said: Said, key: str) -> None:
        if self.down:
            self.down -= 1
            raise StoreUnavailable("disk full")
        self.said.append((kind, said, key))

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Shop"]:
        stopping = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(self.worker.run(stopping))
            await self.clock.advance(timedelta())
            yield self
            stopping.set()
            self.worker.wake()
            await self.clock.advance(timedelta(seconds=5))

    async def state(self, key: str = "m") -> State:
        found = await self.intents.get(key)
        assert found is not None
        return found.state

    async def closed(self) -> list[tuple[str, str, str]]:
        entries = await self.contacts.list(after="", limit=99)
        return [(entry.value, entry.channel, entry.reason) for entry in entries]


async def test_what_goes_once_is_written_down_as_being_sent_before_it_is() -> None:
    channel = Channel()
    async with Shop(channel, a_message()).running() as shop:
        assert channel.stored == [State.SENDING]
        assert await shop.state() is State.DELIVERED
        kept = await shop.contacts.messages.get(message_id("m"))
        assert kept is not None
        assert kept.ref == "SM1"


async def test_what_may_go_twice_is_not() -> None:
    channel = Channel(once=False)
    async with Shop(channel, a_message()).running() as shop:
        assert channel.stored == [State.READY]
        assert await shop.state() is State.DELIVERED


@pytest.mark.parametrize("answer", [Unsure("the connection broke off"), RuntimeError("a bug")])
async def test_what_nobody_knows_the_fate_of_is_parked_and_never_sent_again(answer: Told | Exception) -> None:
    channel = Channel(answer)
    async with Shop(channel, a_message()).running() as shop:
        await shop.clock.advance(timedelta(days=2))

        assert len(channel.stored) == 1
        assert await shop.state() is State.PARKED
        assert [decode_outcome(told.body).state for told in shop.intents.told] == ["parked"]


async def test_one_that_was_being_sent_when_the_hub_stopped_is_parked() -> None:
    channel = Channel()
    async with Shop(channel, a_message(state=State.SENDING)).running() as shop:
        assert channel.stored == []
        assert await shop.state() is State.PARKED


async def test_one_that_was_not_taken_goes_again_and_not_before_it_may() -> None:
    channel = Channel(Later("too many", after_us=3_600_000_000))
    async with Shop(channel, a_message()).running() as shop:
        assert await shop.state() is State.READY
        await shop.clock.advance(timedelta(minutes=59))
        assert len(channel.stored) == 1

        await shop.clock.advance(timedelta(minutes=2))

        assert channel.stored == [State.SENDING, State.SENDING]
        assert await shop.state() is State.DELIVERED


@pytest.mark.parametrize("expires", ["10m", "2026-06-23T09:10:00Z", "2026-06-23T11:10:00+02:00"])
async def test_a_message_that_comes_too_late_is_dropped_and_recorded(expires: str) -> None:
    channel = Channel(*[Later("away")] * 9)
    message = a_message(verb="notify.push", params={"expires": expires, "to": "c-1"})
    async with Shop(channel, message).running() as shop:
        await shop.clock.advance(timedelta(hours=2))

        # At 0 s, some 30 s and some 150 s; the next one would be after the ten minutes.
        assert len(channel.stored) == 3
        assert await shop.state() is State.SUPPRESSED
        told = decode_outcome(shop.intents.told[-1].body)
        assert told.reason == "expired: it was of use until 2026-06-23T09:10:00.000Z"
        kept = await shop.contacts.messages.get(message_id("m"))
        assert kept is not None
        assert (kept.client, kept.channel, kept.expires) == ("c-1", "push", NOW + 600_000_000)


async def test_an_address_nobody_is_at_is_closed_and_told_of() -> None:
    channel = Channel(Declined("refused", (Bounced("sms", "+357 99 000001", "no such number"),)))
    async with Shop(channel, a_message(), a_message("next", due=NOW + 1)).running() as shop:
        await shop.clock.advance(timedelta(seconds=1))

        assert await shop.closed() == [("35799000001", "sms", "bounced: no such number")]
        assert await shop.state() is State.EXHAUSTED
        assert await shop.state("next") is State.SUPPRESSED
        ((kind, said, key),) = shop.said
        assert (kind, key) == ("notification.bounced", f"{message_id('m')}:notification.bounced")
        assert said.model_dump(exclude_none=True) == {
            "message": message_id("m"),
            "channel": "sms",
            "address": "35799000001",
            "reason": "bounced: no such number",
        }


async def test_whoever_answered_stop_gets_no_more() -> None:
    channel = Channel(Declined("refused", (OptedOut("sms", "+35799000001", "it answered STOP"),)))
    async with Shop(channel, a_message()).running() as shop:
        assert await shop.closed() == [("35799000001", "sms", "opted out: it answered STOP")]
        assert [kind for kind, _, _ in shop.said] == ["notification.unsubscribed"]


async def test_a_dead_token_is_told_of_and_removed_also_where_others_got_the_message() -> None:
    dead = TokenDead("dev_1", "c-1", NOW, "answered 404, UNREGISTERED")
    channel = Channel(Sent("to 1 of 2 devices", news=(dead,)), once=False)
    shop = Shop(channel, a_message(verb="notify.push"))
    await shop.devices.put(Device("dev_1", "c-1", "t" * 20, "ios", NOW, NOW))
    async with shop.running():
        assert await shop.state() is State.DELIVERED
        assert shop.devices.all == {}
        ((kind, said, _),) = shop.said
        assert kind == "notification.token_invalidated"
        assert said.model_dump(exclude_none=True)["token"] == "dev_1"


SOME = Later("to 1 of 2 devices; not to 1: away", taken=True, each={"dev_1": "taken", "dev_2": "away"})
NONE = Later("away", each={"dev_1": "away", "dev_2": "away"})


@pytest.mark.parametrize(
    ("answers", "params", "reason"),
    [
        ([SOME] * 9, {}, SOME.reason),
        ([SOME, *[NONE] * 9], {}, "some devices took it before; away"),
        ([SOME, Declined("gone")], {}, "some devices took it before; gone"),
        (
            [SOME] * 9,
            {"expires": "10m"},
            f"{SOME.reason}; not tried again: expired: it was of use until 2026-06-23T09:10:00.000Z",
        ),
    ],
    ids=["all along", "forgotten in a restart", "declined at last", "too late for the others"],
)
async def test_a_message_that_some_devices_took_was_delivered_whatever_became_of_the_others(
    answers: list[Told | Exception], params: dict[str, str], reason: str
) -> None:
    channel = Channel(*answers, once=False)
    async with Shop(channel, a_message(verb="notify.push", params=params)).running() as shop:
        await shop.clock.advance(timedelta(hours=20))

        assert await shop.state() is State.DELIVERED
        told = decode_outcome(shop.intents.told[-1].body)
        assert (told.state, told.reason, told.sends) == ("delivered", reason, 1)


async def test_later_steps_read_what_became_of_a_message_at_each_device() -> None:
    channel = Channel(*[SOME] * 9, once=False)
    async with Shop(channel, a_message(verb="notify.push")).running() as shop:
        await shop.clock.advance(timedelta(hours=20))

        told = decode_outcome(shop.intents.told[-1].body)
        assert told.after == {"devices": {"dev_1": "taken", "dev_2": "away"}}


async def test_a_message_no_device_took_is_exhausted() -> None:
    channel = Channel(*[NONE] * 9, once=False)
    async with Shop(channel, a_message(verb="notify.push")).running() as shop:
        await shop.clock.advance(timedelta(hours=20))

        assert await shop.state() is State.EXHAUSTED


async def test_a_channel_that_refuses_us_is_told_of_once_a_day() -> None:
    refused = (SenderRefused("push", "broker-app", "answered 403, SENDER_ID_MISMATCH"),)
    channel = Channel(*[Later("answered 403", 21_600_000_000, news=refused)] * 99, once=False)
    messages = a_message(verb="notify.push"), a_message("next", verb="notify.push")
    async with Shop(channel, *messages).running() as shop:
        told = [(kind, said.model_dump(exclude_none=True)) for kind, said, _ in shop.said]
        today = {key for _, _, key in shop.said}
        await shop.clock.advance(timedelta(days=1))
        in_two_days = {key for _, _, key in shop.said}

    said = {"channel": "push", "sender": "broker-app", "reason": "answered 403, SENDER_ID_MISMATCH"}
    assert told == [("notification.sender_refused", said)] * 2
    assert (len(today), len(in_two_days)) == (1, 2)


async def test_what_follows_is_done_before_the_message_ends_however_long_the_store_is_away() -> None:
    channel = Channel(Declined("refused", (Bounced("sms", "+35799000001", "gone"),)))
    shop = Shop(channel, a_message())
    shop.down = 3
    async with shop.running():
        assert await shop.state() is State.SENDING
        assert shop.said == []

        await shop.clock.advance(timedelta(seconds=3))

        assert len(shop.said) == 1
        assert await shop.state() is State.EXHAUSTED
        assert len(channel.stored) == 1


async def test_parameters_of_before_that_cannot_be_read_expire_never() -> None:
    channel = Channel()
    async with Shop(channel, a_message(params={"expires": "soon"})).running() as shop:
        assert await shop.state() is State.DELIVERED
