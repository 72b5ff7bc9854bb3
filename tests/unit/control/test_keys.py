"""API keys: shown once, kept as a hash, stopped at once."""

import asyncio
from datetime import timedelta
from random import Random

import pytest
from conformance.api_bench import MemoryKeys
from hypothesis import given
from hypothesis import strategies as st

from hub.clock import ManualClock, to_us
from hub.control.keys import ApiKey, Keys, NameTaken, Scope
from hub.errors import StoreUnavailable
from hub.testing import MORNING


class Desk:
    def __init__(self) -> None:
        self.clock = ManualClock(MORNING)
        self.store = MemoryKeys()
        self.keys = Keys(self.store, self.clock)


@pytest.fixture
def desk() -> Desk:
    return Desk()


async def test_a_key_says_who_asks_and_what_they_may(desk: Desk) -> None:
    secret, key = await desk.keys.create("crm", [Scope.EVENTS_WRITE], servers=["live-1"])

    who = desk.keys.authenticate(f"Bearer {secret}")

    assert who is not None
    assert (who.id, who.name, who.source, who.servers) == (key.id, "crm", "api:crm", frozenset({"live-1"}))
    assert who.may(Scope.EVENTS_WRITE)
    assert not who.may(Scope.EVENTS_READ)
    assert desk.keys.authenticate(secret) is who
    assert desk.keys.authenticate(f"bearer {secret}") is who


async def test_admin_may_everything_and_read_reads_events(desk: Desk) -> None:
    admin, _ = await desk.keys.create("admin", [Scope.ADMIN])
    reader, _ = await desk.keys.create("reader", [Scope.READ])

    boss, eye = desk.keys.authenticate(admin), desk.keys.authenticate(reader)

    assert boss is not None
    assert eye is not None
    assert all(boss.may(scope) for scope in Scope)
    assert [scope for scope in Scope if eye.may(scope)] == [
        Scope.EVENTS_READ,
        Scope.APPROVALS_READ,
        Scope.READ,
    ]


async def test_who_may_approve_something_may_look_at_it_and_decide_it_and_nothing_else(desk: Desk) -> None:
    secret, _ = await desk.keys.create("dora", [], permissions=["money.approve"])
    admin, _ = await desk.keys.create("admin", [Scope.ADMIN])
    reader, _ = await desk.keys.create("reader", [Scope.READ, Scope.APPROVALS_DECIDE])

    dora, boss, eye = (desk.keys.authenticate(key) for key in (secret, admin, reader))

    assert dora is not None
    assert boss is not None
    assert eye is not None
    assert [scope for scope in Scope if dora.may(scope)] == [Scope.APPROVALS_READ, Scope.APPROVALS_DECIDE]
    assert dora.may_approve("money.approve")
    assert not dora.may_approve("mail.approve")
    assert boss.may_approve("anything.at_all")
    assert not eye.may_approve("money.approve")


async def test_nothing_that_is_stored_is_the_key(desk: Desk) -> None:
    secret, _ = await desk.keys.create("crm", [Scope.READ])

    assert secret.removeprefix("hub_") not in repr(desk.store.keys)
    assert len(set(secret)) > 10


async def test_keys_are_known_again_after_a_restart(desk: Desk) -> None:
    secret, _ = await desk.keys.create("crm", [Scope.READ])

    again = Keys(desk.store, desk.clock)
    assert again.authenticate(secret) is None
    await again.load()

    assert again.authenticate(secret) is not None


async def test_a_revoked_key_is_refused_at_once_even_if_the_store_fails(desk: Desk) -> None:
    secret, key = await desk.keys.create("crm", [Scope.READ])
    desk.store.broken = True

    with pytest.raises(StoreUnavailable):
        await desk.keys.revoke(key.id)

    assert desk.keys.authenticate(secret) is None
    desk.store.broken = False
    assert await desk.keys.revoke(key.id)
    assert not await desk.keys.revoke(key.id)
    assert desk.store.keys == {}


class LateKeys(MemoryKeys):
    """Says which keys there are, and that one was removed, some turns of the loop later."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._random = Random(seed)

    async def all(self) -> list[ApiKey]:
        found = await super().all()
        await self._turns()
        return found

    async def remove(self, key_id: str) -> bool:
        await self._turns()
        removed = await super().remove(key_id)
        await self._turns()
        return removed

    async def _turns(self) -> None:
        for _ in range(self._random.randrange(6)):
            await asyncio.sleep(0)


@given(st.integers(0, 2**32))
def test_a_revoked_key_does_not_come_back_with_what_was_read_before(seed: int) -> None:
    async def known_after() -> bool:
        keys = Keys(LateKeys(seed), ManualClock(MORNING))
        secret, key = await keys.create("crm", [Scope.READ])
        _, _, revoked = await asyncio.gather(keys.load(), keys.load(), keys.revoke(key.id))
        assert revoked
        return keys.authenticate(secret) is not None

    assert not asyncio.run(known_after())


async def test_a_key_that_could_not_be_stored_is_no_key(desk: Desk) -> None:
    desk.store.broken = True

    with pytest.raises(StoreUnavailable):
        await desk.keys.create("crm", [Scope.READ])

    assert desk.keys.all() == []


async def test_a_key_ends_when_it_expires(desk: Desk) -> None:
    secret, _ = await desk.keys.create("temp", [Scope.READ], expires_at=to_us(MORNING + timedelta(hours=1)))

    assert desk.keys.authenticate(secret) is not None
    await desk.clock.advance(timedelta(hours=1))

    assert desk.keys.authenticate(secret) is None


async def test_a_name_is_a_source_and_has_one_key(desk: Desk) -> None:
    await desk.keys.create("crm", [Scope.READ])

    with pytest.raises(NameTaken, match="crm"):
        await desk.keys.create("crm", [Scope.ADMIN])


async def test_when_a_key_was_used_is_written_down_once_a_minute(desk: Desk) -> None:
    secret, key = await desk.keys.create("crm", [Scope.READ])
    stopping = asyncio.Event()

    async with asyncio.TaskGroup() as group:
        group.create_task(desk.keys.run(stopping))
        desk.keys.authenticate(secret)
        await desk.clock.advance(timedelta(seconds=59))
        assert desk.store.keys[key.id].last_used is None
        await desk.clock.advance(timedelta(seconds=1))
        assert desk.store.keys[key.id].last_used == to_us(MORNING + timedelta(minutes=1))
        desk.keys.authenticate(secret)
        await desk.clock.advance(timedelta(seconds=5))
        stopping.set()

    assert desk.store.keys[key.id].last_used == to_us(MORNING + timedelta(seconds=65))


async def test_a_store_that_fails_loses_no_use(desk: Desk) -> None:
    secret, key = await desk.keys.create("crm", [Scope.READ])
    desk.keys.authenticate(secret)
    desk.store.broken = True
    await desk.keys.remember_use()

    desk.store.broken = False
    await desk.keys.remember_use()

    assert desk.keys.all()[0].last_used == to_us(MORNING)
    assert desk.store.keys[key.id].last_used == to_us(MORNING)


@given(st.text(max_size=80) | st.text("0123456789abcdef", min_size=64, max_size=64).map("hub_".__add__))
async def test_no_guess_is_a_key(guess: str) -> None:
    desk = Desk()
    await desk.keys.create("crm", [Scope.ADMIN])

    assert desk.keys.authenticate(guess) is None
    assert desk.keys.authenticate(f"Bearer {guess}") is None
    assert desk.keys.authenticate(None) is None
