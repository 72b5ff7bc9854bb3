"""Client tokens: what a phone or a browser may hold. Short-lived, read-only, for the accounts of one client.

A token is 256 random bits and stored as a hash, like a key. It is looked up when it is used and remembered for some
seconds, so a token that is revoked in another process is refused there a moment later, and here at once.
"""

import asyncio
import secrets
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from hashlib import sha256
from typing import Final, NamedTuple, Protocol, final

import structlog

from hub.clock import MICROSECOND, Clock
from hub.errors import HubError, StoreUnavailable
from hub.stages import run_until

PREFIX: Final = "hubt_"
ID_PREFIX: Final = "tok_"
SHORTEST, USUAL, LONGEST = timedelta(minutes=1), timedelta(minutes=15), timedelta(hours=24)
MOST_OF_A_CLIENT: Final = 64
_LENGTH: Final = len(PREFIX) + 64
_REMEMBERED_FOR: Final = timedelta(seconds=5)
_REMEMBERED: Final = 50_000
_TIDY_EVERY: Final = timedelta(minutes=5)

log = structlog.get_logger(__name__)


class Token(NamedTuple):
    """A token as it is stored. `accounts` ("server:login") empty means all the client has at the moment it is used.

    `events` are the patterns of types it may read; `issued_by` is the name of a key; times are µs.
    """

    id: str
    hash: bytes
    client: str
    accounts: tuple[str, ...]
    events: tuple[str, ...]
    issued_by: str
    created_at: int
    expires_at: int


class TokenStore(Protocol):
    async def add(self, token: Token, *, most: int) -> bool:
        """Store a token unless its client has `most` that have not expired when it is created; return whether it did."""

    async def find(self, digest: bytes) -> Token | None: ...

    async def get(self, token_id: str) -> Token | None: ...

    async def of(self, client: str, *, after: str, limit: int) -> Sequence[Token]:
        """Return tokens with id > after, in order of id; of every client for ""."""

    async def remove(self, token_id: str) -> bool:
        """Return whether it was there."""

    async def remove_of(self, client: str) -> int:
        """Remove all tokens of a client; return how many there were."""

    async def remove_expired(self, now_us: int) -> int: ...


class TooManyTokens(HubError):
    def __init__(self, client: str) -> None:
        super().__init__(
            f"client {client} has {MOST_OF_A_CLIENT} tokens that are valid: use one of them, or revoke them"
        )


AccountsOf = Callable[[str], Awaitable[frozenset[str]]]


class _Remembered(NamedTuple):
    token: Token | None
    until: int


@final
class Tokens:
    """`accounts_of` returns the accounts that a client has now; the answer is remembered for so long.

    Where `links_changed` is called with every change, that may be long.
    """

    def __init__(
        self,
        store: TokenStore,
        clock: Clock,
        accounts_of: AccountsOf,
        *,
        remembered_for: timedelta = _REMEMBERED_FOR,
    ) -> None:
        self._store = store
        self._clock = clock
        self._links = _Links(accounts_of, clock, remembered_for)
        self._known: OrderedDict[bytes, _Remembered] = OrderedDict()
        self._changes = 0
        self._checked: OrderedDict[str, int] = (
            OrderedDict()
        )  # token id to the changes it was found valid after

    async def issue(
        self,
        client: str,
        *,
        accounts: Sequence[str],
        events: Sequence[str],
        lifetime: timedelta,
        by: str,
    ) -> tuple[str, Token]:
        """Return the new token's secret, the only time it is seen, and what is stored of it; raises TooManyTokens."""
        secret = PREFIX + secrets.token_hex(32)
        digest = sha256(secret.encode()).digest()
        now = self._clock.now_us()
        token = Token(
            id=ID_PREFIX + digest.hex()[:16],
            hash=digest,
            client=client,
            accounts=tuple(sorted(set(accounts))),
            events=tuple(events),
            issued_by=by,
            created_at=now,
            expires_at=now + min(max(lifetime, SHORTEST), LONGEST) // MICROSECOND,
        )
        if not await self._store.add(token, most=MOST_OF_A_CLIENT):
            raise TooManyTokens(client)
        return secret, token

    async def authenticate(self, secret: str) -> Token | None:
        """Return the token a secret stands for; None for what is none, or none any more."""
        if not secret.startswith(PREFIX) or len(secret) != _LENGTH or not secret.isascii():
            return None
        digest = sha256(secret.encode()).digest()
        now = self._clock.now_us()
        known = self._known.get(digest)
        if known is None or known.until <= now:
            changes = self._changes
            known = _Remembered(await self._store.find(digest), now + _REMEMBERED_FOR // MICROSECOND)
            if changes == self._changes:  # else what was read may have been revoked meanwhile
                self._remember(digest, known)
        return known.token if known.token is not None and known.token.expires_at > now else None

    def at_hand(self, secret: str) -> Token | None:
        """Return the token a secret stands for, where it was looked up a moment ago."""
        if len(secret) != _LENGTH or not secret.isascii():
            return None
        now = self._clock.now_us()
        known = self._known.get(sha256(secret.encode()).digest())
        if known is None or known.until <= now or known.token is None:
            return None
        return known.token if known.token.expires_at > now else None

    def accounts_at_hand(self, token: Token) -> frozenset[str] | None:
        """Return what a token may read now, where that was asked a moment ago."""
        have = self._links.at_hand(token.client)
        return have & frozenset(token.accounts) if have is not None and token.accounts else have

    async def current(self, token_id: str) -> Token | None:
        """Return a token that is valid now."""
        token = await self._store.get(token_id)
        return token if token is not None and token.expires_at > self._clock.now_us() else None

    async def stands(self, token: Token) -> bool:
        """Return whether a token that was valid still is; its row is read only after some token was revoked."""
        if token.expires_at <= self._clock.now_us():
            return False
        changes = self._changes
        if self._checked.get(token.id) == changes:
            return True
        if await self._store.get(token.id) is None:
            return False
        self._checked[token.id] = changes
        if len(self._checked) > _REMEMBERED:
            self._checked.popitem(last=False)
        return True

    async def accounts(self, token: Token) -> frozenset[str]:
        """Return what a token may read now: of the accounts it was issued for those its client still has."""
        have = await self._links.of(token.client)
        return have & frozenset(token.accounts) if token.accounts else have

    async def accounts_of_client(self, client: str) -> frozenset[str]:
        return await self._links.of(client)

    async def fresh_accounts_of(self, client: str) -> frozenset[str]:
        """Return them as they stand at this moment."""
        return await self._links.of(client, fresh=True)

    async def listed(self, client: str, *, after: str, limit: int) -> Sequence[Token]:
        return await self._store.of(client, after=after, limit=limit)

    async def revoke(self, token_id: str) -> bool:
        """Stop a token at once; return whether there was one."""
        self.forget()
        found = await self._store.remove(token_id)
        self.forget()
        return found

    async def revoke_all(self, client: str) -> int:
        self.forget()
        gone = await self._store.remove_of(client)
        self.forget()
        return gone

    def links_changed(self) -> None:
        """Ask again which accounts clients have."""
        self._links.forget()

    def forget(self) -> None:
        """Look every token up again: one of them was revoked, here or elsewhere."""
        self._changes += 1
        self._known.clear()

    async def run(self, stopping: asyncio.Event) -> None:
        """Delete what expired, now and then."""
        await run_until(stopping, self._keep_tidy)

    async def _keep_tidy(self) -> None:
        while True:
            await self._clock.sleep(_TIDY_EVERY)
            try:
                await self._store.remove_expired(self._clock.now_us())
            except StoreUnavailable as problem:
                log.warning("tokens.not_tidied", reason=str(problem))

    def _remember(self, digest: bytes, known: _Remembered) -> None:
        self._known[digest] = known
        self._known.move_to_end(digest)
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)


@final
class _Links:
    """Which accounts a client has, asked at most every few seconds."""

    def __init__(self, accounts_of: AccountsOf, clock: Clock, remembered_for: timedelta) -> None:
        self._ask = accounts_of
        self._clock = clock
        self._for_us = remembered_for // MICROSECOND
        self._changes = 0
        self._known: OrderedDict[str, tuple[int, frozenset[str]]] = OrderedDict()

    def at_hand(self, client: str) -> frozenset[str] | None:
        known = self._known.get(client)
        return known[1] if known is not None and known[0] > self._clock.now_us() else None

    async def of(self, client: str, *, fresh: bool = False) -> frozenset[str]:
        now = self._clock.now_us()
        known = self._known.get(client)
        if known is not None and known[0] > now and not fresh:
            return known[1]
        changes = self._changes
        accounts = await self._ask(client)
        if changes != self._changes:  # what was read may be what was
            return accounts
        self._known[client] = now + self._for_us, accounts
        self._known.move_to_end(client)
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return accounts

    def forget(self) -> None:
        self._changes += 1
        self._known.clear()
