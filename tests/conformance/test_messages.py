"""What was written to clients, and their devices, by whichever store."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from conformance.backends import StoreBackend

from hub.bus.pages import BadCursor
from hub.clock import to_us
from hub.dispatch.channels.push_trust import MOST_TAKEN, PushTrust
from hub.dispatch.contacts import KEPT, Asked, Contacts, Suppression, Suppressions
from hub.dispatch.devices import MOST_DEVICES, Device, Devices, device_id
from hub.dispatch.memory_contacts import MemoryContacts
from hub.dispatch.memory_messages import MemoryDevices
from hub.dispatch.messages import BOUNCED, Messages, Report, message_id
from hub.engine.rows import RunRow
from hub.ingest.directory import StoredClient
from hub.intents.intent import State
from hub.testing import MORNING, an_intent

NOW = to_us(MORNING)


class Face:
    """A store, or its twin in memory."""

    def __init__(self, backend: StoreBackend | None) -> None:
        self.backend = backend
        self.memory, self.memory_devices = MemoryContacts(), MemoryDevices()

    @property
    def contacts(self) -> Contacts:
        return self.backend.store.contacts if self.backend is not None else self.memory

    @property
    def suppressions(self) -> Suppressions:
        return self.backend.store.contacts if self.backend is not None else self.memory

    @property
    def messages(self) -> Messages:
        return self.backend.store.messages if self.backend is not None else self.memory.messages

    @property
    def devices(self) -> Devices:
        return self.backend.store.devices if self.backend is not None else self.memory_devices

    async def client(self, name: str, *accounts: str) -> None:
        if self.backend is None:
            self.memory.linked |= dict.fromkeys(accounts, name)
            self.memory_devices.linked |= dict.fromkeys(accounts, name)
            return
        await self.backend.store.clients.put(StoredClient(name, 1, b"{}", NOW, NOW), accounts, [])

    async def intent_is(self, key: str, state: State) -> None:
        if self.backend is None:
            self.memory.messages.states[key] = state
            return
        await self.backend.add_intents(an_intent(key=key, verb="notify.email", state=state))

    async def restart(self) -> None:
        if self.backend is not None:
            await self.backend.reopen()


@pytest.fixture
def face(kept: StoreBackend | None) -> Face:
    return Face(kept)


def asked(intent: str = "i1", **more: Any) -> Asked:
    fields: dict[str, Any] = {
        "intent": intent,
        "channel": "email",
        "address": "ann@example.com",
        "client": "c1",
        "account": "live-1:7001",
        "category": "marketing",
        "at": NOW,
        "template": "w/mail",
        "run": "w/live-1:7001/t/e",
        "expires": NOW + 5,
    }
    return Asked(**fields | more)


def device(token: str, client: str = "c1", seen_at: int = NOW) -> Device:
    return Device(device_id(token), client, token, "android", seen_at, seen_at)


async def test_every_message_stands_with_its_client_the_newest_first(face: Face) -> None:
    for n in range(5):
        await face.contacts.admit(asked(f"i{n}", at=NOW + n // 2))
    await face.contacts.admit(asked("other", client="c2"))
    await face.intent_is("i0", State.DELIVERED)
    await face.restart()

    first = await face.messages.of_client("c1", after="", limit=2)
    assert first.next is not None
    second = await face.messages.of_client("c1", after=first.next, limit=2)
    assert second.next is not None
    third = await face.messages.of_client("c1", after=second.next, limit=2)

    found = [*first.items, *second.items, *third.items]
    assert [len(first.items), len(second.items), len(third.items), third.next] == [2, 2, 1, None]
    assert {each.message.intent for each in found} == {f"i{n}" for n in range(5)}
    assert [each.message.at for each in found] == [NOW + 2, NOW + 1, NOW + 1, NOW, NOW]
    states = {each.message.intent: each.state for each in found}
    assert states["i0"] is State.DELIVERED
    assert states["i1"] is None
    one = found[0].message
    assert one[:9] == (
        message_id("i4"),
        "i4",
        "c1",
        "live-1:7001",
        "email",
        "ann@example.com",
        "marketing",
        "w/mail",
        "",
    )
    assert one.expires == NOW + 5


async def test_a_message_that_may_not_go_is_listed_too_and_none_twice(face: Face) -> None:
    await face.suppressions.add(Suppression.of("client", "c1", "all", "left", "crm", NOW))

    assert [await face.contacts.admit(asked()) for _ in range(3)] == ["suppressed: left"] * 3

    assert len((await face.messages.of_client("c1", after="", limit=9)).items) == 1


async def test_whose_the_account_is_is_whose_message_it_is(face: Face) -> None:
    await face.client("c7", "live-1:7001")

    await face.contacts.admit(asked(client=None))

    assert len((await face.messages.of_client("c7", after="", limit=9)).items) == 1


@pytest.mark.parametrize("cursor", ["x", "1", "1,", ",a", "-1,a", "9" * 40 + ",a", "1," + "a" * 200])
@pytest.mark.parametrize(
    "kept", ["sqlite", "postgres"], indirect=True
)  # what is in memory has cursors of its own
async def test_a_cursor_nobody_gave_is_refused(face: Face, cursor: str) -> None:
    with pytest.raises(BadCursor):
        await face.messages.of_client("c1", after=cursor, limit=2)


async def test_word_of_a_message_only_ever_goes_forward(face: Face) -> None:
    await face.contacts.admit(asked())
    name = message_id("i1")
    await face.messages.numbered(name, "SM1")
    await face.messages.numbered(name, "SM2")
    told = []
    for status in ("sent", "queued", "sent", "delivered", "failed", "sending", "read", "delivered"):
        found = await face.messages.reported(name, Report("SM1", status, "", NOW + 1))
        told.append(found.status if found is not None else None)
    await face.restart()

    assert told == ["sent", None, None, "delivered", None, None, "read", None]
    kept = await face.messages.get(name)
    assert kept is not None
    assert (kept.ref, kept.status, kept.status_at) == ("SM1", "read", NOW + 1)


async def test_word_of_another_message_is_none_of_this_one(face: Face) -> None:
    await face.contacts.admit(asked())
    await face.messages.numbered(message_id("i1"), "SM1")

    assert await face.messages.reported(message_id("i1"), Report("SM9", "failed", "30005", NOW)) is None
    assert await face.messages.reported(message_id("i2"), Report("SM1", "failed", "30005", NOW)) is None


async def test_word_of_a_message_whose_answer_was_lost_brings_its_number(face: Face) -> None:
    await face.contacts.admit(asked())

    told = await face.messages.reported(message_id("i1"), Report("SM1", "undelivered", "30003", NOW))

    assert told is not None
    assert (told.ref, told.status, told.error) == ("SM1", "undelivered", "30003")


async def test_a_mail_that_came_back_stays_one_that_did(face: Face) -> None:
    await face.contacts.admit(asked())
    name = message_id("i1")

    told = await face.messages.reported(name, Report("", BOUNCED, "5.1.1", NOW))
    again = await face.messages.reported(name, Report("", BOUNCED, "5.2.2", NOW + 1))
    await face.restart()

    assert told is not None
    assert again is None
    kept = await face.messages.get(name)
    assert kept is not None
    assert (kept.ref, kept.status, kept.error, kept.status_at) == ("", BOUNCED, "5.1.1", NOW)


async def test_one_category_is_closed_and_the_others_stay_open(face: Face) -> None:
    entry = Suppression.of("address", "Ann@Example.com", "email/marketing", "unsubscribed", "hub", NOW)
    await face.suppressions.add(entry)
    await face.suppressions.add(Suppression.of("client", "c9", "all/marketing", "asked", "crm", NOW))

    assert await face.contacts.admit(asked()) == "suppressed: unsubscribed"
    assert await face.contacts.admit(asked("i2", category="service")) is None
    assert await face.contacts.admit(asked("i3", channel="sms")) is None
    assert await face.contacts.admit(asked("i4", client="c9", address="x", channel="sms")) is not None
    assert await face.contacts.admit(asked("i5", client="c9", address="x", category="security")) is None


async def test_a_device_is_kept_told_of_again_and_removed(face: Face) -> None:
    first = await face.devices.put(device("a" * 20))
    again = await face.devices.put(device("a" * 20, seen_at=NOW + 5))
    await face.devices.put(device("b" * 20, seen_at=NOW + 1))
    await face.restart()

    assert (first, again) == (True, False)
    found = await face.devices.of_client("c1")
    assert [each.token[0] for each in found] == ["a", "b"]
    assert (found[0].added_at, found[0].seen_at) == (NOW, NOW + 5)
    assert await face.devices.remove("c2", device_id("a" * 20)) is False
    assert await face.devices.remove("c1", device_id("a" * 20)) is True
    assert await face.devices.remove("c1", device_id("a" * 20)) is False


async def test_a_phone_that_changes_hands_is_the_new_clients_alone(face: Face) -> None:
    await face.devices.put(device("a" * 20))

    assert await face.devices.put(device("a" * 20, client="c2", seen_at=NOW + 1)) is True

    assert await face.devices.of_client("c1") == []
    assert [each.added_at for each in await face.devices.of_client("c2")] == [NOW + 1]


async def test_a_client_has_so_many_devices_and_no_more(face: Face) -> None:
    async with asyncio.TaskGroup() as group:
        for n in range(MOST_DEVICES + 5):
            group.create_task(_put(face, device(f"{n:020}", seen_at=NOW + n)))
    await face.devices.put(device("other" * 4, client="c2"))

    found = await face.devices.of_client("c1")

    assert len(found) == MOST_DEVICES
    assert len(await face.devices.of_client("c2")) == 1


async def _put(face: Face, each: Device) -> None:
    await face.devices.put(each)


async def test_the_device_told_of_longest_ago_makes_room(face: Face) -> None:
    for n in range(MOST_DEVICES + 1):
        await face.devices.put(device(f"{n:020}", seen_at=NOW + (n or 100)))

    tokens = {int(each.token) for each in await face.devices.of_client("c1")}

    assert tokens == {0, *range(2, MOST_DEVICES + 1)}


async def test_a_dead_token_goes_unless_its_app_has_told_of_it_since(face: Face) -> None:
    await face.devices.put(device("a" * 20))
    await face.devices.put(device("b" * 20, seen_at=NOW + 10))

    gone = await face.devices.drop(device_id("a" * 20), NOW)
    alive = await face.devices.drop(device_id("b" * 20), NOW)

    assert (gone, alive) == (True, False)


async def test_devices_are_found_by_client_or_by_account(face: Face) -> None:
    await face.client("c1", "live-1:7001")
    await face.devices.put(device("a" * 20))

    assert len(await face.devices.reached_by("c1", "")) == 1
    assert len(await face.devices.reached_by(None, "live-1:7001")) == 1
    assert await face.devices.reached_by("c2", "live-1:7001") == []
    assert await face.devices.reached_by(None, "live-1:7002") == []


async def test_the_version_of_the_workflow_stands_with_the_message(store: StoreBackend) -> None:
    run = RunRow(0, "w/live-1:7001/t/e", "live-1:7001", "w", "abc123", "done", NOW, b"{}")
    await store.decide(runs=[run])

    await store.store.contacts.admit(asked())

    (listed,) = (await store.store.messages.of_client("c1", after="", limit=9)).items
    assert listed.message.version == "abc123"


async def test_messages_are_kept_as_long_as_contacts(store: StoreBackend) -> None:
    await store.store.contacts.admit(asked())
    await store.clock.advance(KEPT - timedelta(hours=1))
    await store.store.pruner.prune()
    kept = await store.store.messages.get(message_id("i1"))

    await store.clock.advance(timedelta(hours=2))
    await store.store.pruner.prune()

    assert kept is not None
    assert await store.store.messages.get(message_id("i1")) is None


async def test_what_devices_took_counts_for_three_of_them_also_after_a_restart(store: StoreBackend) -> None:
    taking = PushTrust(store.store.pushed, "ours")
    for _ in range(MOST_TAKEN):
        await taking.took()
    await store.reopen()

    ours, other = [PushTrust(store.store.pushed, project) for project in ("ours", "other")]
    believed = [await ours.believed() for _ in range(4)]

    assert believed == [True, True, True, False]
    assert not await other.believed()
    assert await store.store.switches.read() == {}
