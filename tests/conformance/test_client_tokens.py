"""Tokens and tickets as every store keeps them."""

import asyncio
from hashlib import sha256
from typing import Any

from conformance.backends import StoreBackend

from hub.clock import to_us
from hub.control.tickets import Ticket
from hub.control.tokens import Token
from hub.testing import MORNING

NOW = to_us(MORNING)
SECOND = 1_000_000


def a_token(name: str, client: str = "c1", **fields: Any) -> Token:
    plausible = {
        "accounts": ("live-1:7001",),
        "events": ("trade.*", "balance.*"),
        "issued_by": "app",
        "created_at": NOW,
        "expires_at": NOW + 60 * SECOND,
    }
    digest = sha256(name.encode()).digest()
    return Token(id=f"tok_{name}", hash=digest, client=client, **{**plausible, **fields})


async def test_a_token_is_found_by_its_hash_and_its_id_until_it_is_removed(store: StoreBackend) -> None:
    tokens, one = store.store.tokens, a_token("one")

    assert await tokens.add(one, most=5)
    await store.reopen()
    tokens = store.store.tokens

    assert await tokens.find(one.hash) == one
    assert await tokens.get(one.id) == one
    assert await tokens.find(b"x" * 32) is None
    assert await tokens.remove(one.id)
    assert not await tokens.remove(one.id)
    assert await tokens.find(one.hash) is None


async def test_a_client_has_no_more_valid_tokens_than_allowed(store: StoreBackend) -> None:
    tokens = store.store.tokens
    old = a_token("old", created_at=NOW - 90 * SECOND, expires_at=NOW - SECOND)
    assert await tokens.add(old, most=3)

    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(tokens.add(a_token(f"t{n}"), most=3)) for n in range(6)]

    assert sorted(task.result() for task in asked) == [False] * 3 + [True] * 3
    assert await tokens.add(a_token("other", "c2"), most=3)


async def test_tokens_are_listed_and_removed_by_client(store: StoreBackend) -> None:
    tokens = store.store.tokens
    every = [a_token("a"), a_token("b", "c2"), a_token("c"), a_token("d")]
    for token in every:
        await tokens.add(token, most=9)

    assert await tokens.of("", after="", limit=2) == every[:2]
    assert await tokens.of("", after=every[1].id, limit=9) == every[2:]
    assert await tokens.of("c2", after="", limit=9) == [every[1]]
    assert await tokens.remove_of("c1") == 3
    assert await tokens.of("", after="", limit=9) == [every[1]]


async def test_what_expired_goes(store: StoreBackend) -> None:
    tokens = store.store.tokens
    await tokens.add(a_token("a", expires_at=NOW + SECOND), most=9)
    await tokens.add(a_token("b"), most=9)

    assert await tokens.remove_expired(NOW + SECOND) == 1
    assert [token.id for token in await tokens.of("", after="", limit=9)] == ["tok_b"]


async def test_of_many_who_use_a_ticket_at_once_one_succeeds(store: StoreBackend) -> None:
    tickets = store.store.tickets
    one = Ticket(b"h" * 32, "key_1", NOW + 60 * SECOND)
    assert await tickets.add(one, now_us=NOW, most=5)

    async with asyncio.TaskGroup() as group:
        taken = [group.create_task(tickets.take(one.hash)) for _ in range(8)]

    assert [task.result() for task in taken if task.result() is not None] == [one]


async def test_a_holder_has_no_more_tickets_than_allowed_and_old_ones_do_not_count(
    store: StoreBackend,
) -> None:
    tickets = store.store.tickets
    for n in range(2):
        assert await tickets.add(Ticket(bytes([n]) * 32, "key_1", NOW + SECOND), now_us=NOW, most=2)

    assert not await tickets.add(Ticket(b"x" * 32, "key_1", NOW + SECOND), now_us=NOW, most=2)
    assert await tickets.add(Ticket(b"y" * 32, "key_2", NOW + SECOND), now_us=NOW, most=2)
    assert await tickets.add(Ticket(b"z" * 32, "key_1", NOW + 9 * SECOND), now_us=NOW + SECOND, most=2)
    assert await tickets.take(bytes([0]) * 32) is None
