"""Who may be written to: one client is counted once for everybody, by whichever store."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from conformance.backends import StoreBackend

from hub.clock import to_us
from hub.dispatch.contacts import KEPT, Asked, Contacts, Suppression, Suppressions
from hub.dispatch.memory_contacts import MemoryContacts
from hub.ingest.directory import StoredClient
from hub.intents.intent import State
from hub.testing import MORNING, an_intent

NOW = to_us(MORNING)
WEEK = 7 * 86_400_000_000
HAD_ENOUGH = "contact policy: 2 of 2 marketing messages within 7 days, 0:00:00 went to this client already"


class Face:
    """A store, or its twin in memory, with what contacts depend on."""

    def __init__(self, backend: StoreBackend | None) -> None:
        self.backend = backend
        self.memory = MemoryContacts()
        self._versions: dict[str, int] = {}

    @property
    def contacts(self) -> Contacts:
        return self.backend.store.contacts if self.backend is not None else self.memory

    @property
    def suppressions(self) -> Suppressions:
        return self.backend.store.contacts if self.backend is not None else self.memory

    async def client(self, name: str, body: bytes, *accounts: str) -> None:
        if self.backend is None:
            self.memory.records[name] = body
            self.memory.linked |= dict.fromkeys(accounts, name)
            return
        version = self._versions[name] = self._versions.get(name, 0) + 1
        await self.backend.store.clients.put(StoredClient(name, version, body, NOW, NOW), accounts, [])

    async def intent_ended(self, key: str, state: State) -> None:
        if self.backend is None:
            self.memory.not_sent.add(key)
            return
        await self.backend.add_intents(an_intent(key=key, verb="notify.email", state=state))

    async def restart(self) -> None:
        if self.backend is not None:
            await self.backend.reopen()


@pytest.fixture
def face(kept: StoreBackend | None) -> Face:
    return Face(kept)


def asked(intent: str = "i1", **more: Any) -> Asked:
    at = more.pop("at", NOW)
    fields: dict[str, Any] = {
        "intent": intent,
        "channel": "email",
        "address": "ann@example.com",
        "client": "c1",
        "account": "live-1:7001",
        "category": "marketing",
        "most": 2,
        "since": at - WEEK,
        "at": at,
    }
    return Asked(**fields | more)


def entry(kind: Any = "address", value: str = "Ann@Example.com", channel: str = "all") -> Suppression:
    return Suppression.of(kind, value, channel, "hard bounce", "crm", NOW)


async def test_a_client_gets_so_many_and_no_more_also_after_a_restart(face: Face) -> None:
    first = [await face.contacts.admit(asked(f"i{number}")) for number in range(2)]
    await face.restart()
    third = await face.contacts.admit(asked("i3", account="live-2:9", channel="sms", address="49301234"))

    assert (first, third) == ([None, None], HAD_ENOUGH)


async def test_asking_again_for_the_same_message_counts_it_once(face: Face) -> None:
    answers = [await face.contacts.admit(asked("i1")) for _ in range(5)]

    assert answers == [None] * 5
    assert await face.contacts.admit(asked("i2")) is None
    assert await face.contacts.admit(asked("i1")) is None
    assert await face.contacts.admit(asked("i3")) == HAD_ENOUGH


async def test_of_many_who_ask_at_once_as_many_as_may_go(face: Face) -> None:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(face.contacts.admit(asked(f"i{number}"))) for number in range(20)]

    assert sorted(task.result() is None for task in tasks) == [False] * 18 + [True] * 2


async def test_what_lies_behind_the_window_counts_no_more(face: Face) -> None:
    await face.contacts.admit(asked("i1", at=NOW))
    await face.contacts.admit(asked("i2", at=NOW + 1))

    assert await face.contacts.admit(asked("i3", at=NOW + WEEK - 1)) is not None
    assert await face.contacts.admit(asked("i4", at=NOW + WEEK)) is None
    assert await face.contacts.admit(asked("i5", at=NOW + WEEK)) is not None


async def test_clients_and_categories_are_counted_apart(face: Face) -> None:
    for number in range(2):
        await face.contacts.admit(asked(f"i{number}"))

    assert await face.contacts.admit(asked("i3", client="c2")) is None
    assert await face.contacts.admit(asked("i4", category="service")) is None
    assert await face.contacts.admit(asked("i5", most=None)) is None
    assert await face.contacts.admit(asked("i6", most=3)) is None


@pytest.mark.parametrize("state", [State.EXHAUSTED, State.REJECTED, State.SUPPRESSED])
async def test_a_message_that_reached_nobody_is_nobodys_contact(face: Face, state: State) -> None:
    for number in range(2):
        await face.contacts.admit(asked(f"i{number}"))

    await face.intent_ended("i0", state)

    assert await face.contacts.admit(asked("i3")) is None
    assert await face.contacts.admit(asked("i4")) == HAD_ENOUGH


async def test_accounts_of_one_client_are_one_client(face: Face) -> None:
    await face.client("c1", b'{"consent_marketing":true}', "live-1:1", "live-1:2")

    answers = [
        await face.contacts.admit(asked(f"i{number}", client=None, account=f"live-1:{number % 2 + 1}"))
        for number in range(3)
    ]

    assert answers == [None, None, HAD_ENOUGH]


async def test_without_a_client_the_address_is_counted(face: Face) -> None:
    for number in range(2):
        await face.contacts.admit(asked(f"i{number}", client=None, account=""))

    assert await face.contacts.admit(asked("i3", client=None, account="")) == HAD_ENOUGH
    assert await face.contacts.admit(asked("i4", client=None, account="", address="b@example.com")) is None


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"consent_marketing":true}', None),
        (b'{"consent_marketing":false}', "no consent: client c1 has refused that he wants marketing"),
        (b"{}", "no consent: client c1 has not said that he wants marketing"),
    ],
)
async def test_the_directorys_word_on_consent_counts(face: Face, body: bytes, said: str | None) -> None:
    await face.client("c1", body)

    assert await face.contacts.admit(asked()) == said
    assert await face.contacts.admit(asked("i2", category="service")) is None


async def test_consent_taken_back_counts_from_then_on(face: Face) -> None:
    await face.client("c1", b'{"consent_marketing":true}')
    assert await face.contacts.admit(asked()) is None

    await face.client("c1", b'{"consent_marketing":false}')

    assert await face.contacts.admit(asked()) is not None


@pytest.mark.parametrize(
    ("closed", "channel", "category", "goes"),
    [
        (entry(), "email", "service", False),
        (entry(), "sms", "security", False),
        (entry(channel="email"), "email", "marketing", False),
        (entry(channel="sms"), "email", "marketing", True),
        (entry(value="other@example.com"), "email", "marketing", True),
        (entry("client", "c1"), "email", "service", False),
        (entry("client", "c1", "push"), "push", "service", False),
        (entry("client", "c1", "push"), "email", "service", True),
        (entry("client", "C1"), "email", "service", True),
        (entry("client", "ann@example.com"), "email", "service", True),
    ],
)
async def test_nothing_goes_to_whom_it_is_closed(
    face: Face, closed: Suppression, channel: str, category: str, goes: bool
) -> None:
    await face.suppressions.add(closed)

    said = await face.contacts.admit(asked(channel=channel, category=category, most=None))

    assert said == (None if goes else "suppressed: hard bounce")


async def test_what_is_held_back_is_not_counted(face: Face) -> None:
    await face.suppressions.add(entry())
    for number in range(5):
        assert await face.contacts.admit(asked(f"i{number}")) is not None

    await face.suppressions.remove(entry().id)

    assert await face.contacts.admit(asked("i9")) is None


async def test_entries_are_kept_listed_replaced_and_removed(face: Face) -> None:
    entries = [entry(value=f"{name}@example.com") for name in ("a", "b", "c")]
    assert [await face.suppressions.add(each) for each in entries] == [True] * 3
    newer = entries[0]._replace(reason="asked for it", at=NOW + 1)
    assert await face.suppressions.add(newer) is False
    await face.restart()

    by_id = sorted([newer, *entries[1:]])
    assert list(await face.suppressions.list(after="", limit=2)) == by_id[:2]
    assert list(await face.suppressions.list(after=by_id[1].id, limit=9)) == by_id[2:]
    assert await face.suppressions.remove(by_id[0].id) is True
    assert await face.suppressions.remove(by_id[0].id) is False
    assert len(await face.suppressions.list(after="", limit=9)) == 2


async def test_contacts_are_kept_as_long_as_a_limit_may_look_back_and_no_longer(store: StoreBackend) -> None:
    await store.store.contacts.admit(asked("old"))
    await store.clock.advance(KEPT - timedelta(hours=1))
    await store.store.pruner.prune()
    kept = await store.store.contacts.admit(asked("old", most=0))

    await store.clock.advance(timedelta(hours=2))
    await store.store.pruner.prune()

    assert kept is None  # it was counted already
    assert await store.store.contacts.admit(asked("old", most=0)) is not None
