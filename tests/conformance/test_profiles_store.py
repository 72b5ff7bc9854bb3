"""What is said about accounts is kept as written, changed only from what it was, and told in the same transaction."""

import asyncio

from conformance.backends import StoreBackend

from hub.bus.log import InputKind
from hub.clock import to_us
from hub.ingest.profiles import StoredProfile
from hub.testing import MORNING, a_trade_closed

NOW = to_us(MORNING)


def a_profile(version: int = 1, account: str = "live-1:7001") -> StoredProfile:
    return StoredProfile(account, version, f'{{"phase":"{version}"}}'.encode(), NOW, NOW + version)


async def events(store: StoreBackend) -> list[str]:
    await store.take_in()
    return [row.ref for row in await store.log.scan(0, 100) if row.kind == InputKind.EVENT]


async def test_a_profile_is_kept_across_a_restart_and_its_facts_are_told(store: StoreBackend) -> None:
    fact = a_trade_closed()

    assert await store.store.profiles.put(a_profile(), [fact]) == "stored"
    assert await store.store.profiles.put(a_profile(account="live-1:7002"), []) == "stored"
    await store.reopen()

    assert await store.store.profiles.get("live-1:7001") == a_profile()
    assert await store.store.profiles.get("live-1:7003") is None
    assert await events(store) == [fact.envelope.id]


async def test_a_change_counts_only_on_what_it_was_made_from(store: StoreBackend) -> None:
    profiles, fact = store.store.profiles, a_trade_closed()

    assert await profiles.put(a_profile(2), [fact]) == "stale"
    assert await profiles.put(a_profile(1), []) == "stored"
    assert await profiles.put(a_profile(1), [fact]) == "stale"
    assert await profiles.put(a_profile(2), []) == "stored"

    assert await profiles.get("live-1:7001") == a_profile(2)
    assert await events(store) == []


async def test_of_many_who_change_an_account_at_once_one_does(store: StoreBackend) -> None:
    facts = [a_trade_closed() for _ in range(4)]

    async with asyncio.TaskGroup() as group:
        puts = [group.create_task(store.store.profiles.put(a_profile(), [fact])) for fact in facts]

    assert sorted(put.result() for put in puts) == ["stale"] * 3 + ["stored"]
    assert len(await events(store)) == 1
