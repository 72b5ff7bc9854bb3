"""API keys: shown once, stored as a hash, checked with one sha256 and one dictionary look-up.

A key is 256 random bits, so nothing about a stored hash can be guessed, and looking a hash up tells a clock nothing
about the key. Keys never appear in logs, URLs or errors: only their id and name do.
"""

import asyncio
import secrets
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from enum import StrEnum
from hashlib import sha256
from typing import Final, NamedTuple, Protocol, final

from hub.clock import Clock
from hub.errors import ConfigError, StoreUnavailable

PREFIX: Final = "hub_"
PERMISSION: Final = r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+$"  # such as money.approve
_LENGTH = len(PREFIX) + 64
_REMEMBER_USE_EVERY = timedelta(minutes=1)


class Scope(StrEnum):
    EVENTS_WRITE = "events:write"
    EVENTS_READ = "events:read"
    SAMPLES_WRITE = "samples:write"
    ENDPOINTS_MANAGE = "endpoints:manage"
    CLIENTS_WRITE = "clients:write"
    MAIL_REPORT = "mail:report"  # hand on mails that came back, as a mail server does
    TOKENS_ISSUE = "tokens:issue"  # make and revoke what phones and browsers hold
    APPROVALS_READ = "approvals:read"
    APPROVALS_DECIDE = "approvals:decide"  # with the permission each approval asks for
    WORKFLOWS_START = "workflows:start"  # start runs by hand
    WORKFLOWS_BACKTEST = (
        "workflows:backtest"  # have recorded events told to workflows, and read what it comes to
    )
    OPERATE = "operate"  # halt and resume manager actions, reset breakers
    READ = "read"  # everything that can be looked at: events, clients, accounts, runs, deliveries, actions
    ADMIN = "admin"  # everything, keys included


class ApiKey(NamedTuple):
    """A key as it is stored. `servers` empty means any; times are µs; `name` is who it is for, and is unique.

    `permissions` are what it may approve, such as money.approve.
    """

    id: str
    hash: bytes
    name: str
    scopes: tuple[Scope, ...]
    servers: tuple[str, ...]
    created_at: int
    expires_at: int | None = None
    last_used: int | None = None
    permissions: tuple[str, ...] = ()


class KeyStore(Protocol):
    async def all(self) -> list[ApiKey]: ...

    async def add(self, key: ApiKey) -> None: ...

    async def remove(self, key_id: str) -> bool:
        """Return whether it was there."""

    async def used(self, moments: Mapping[str, int]) -> None:
        """Remember when keys, by id, were last used; an id that is gone is passed over."""


class NameTaken(ConfigError):
    def __init__(self, name: str) -> None:
        super().__init__(f"there is a key named {name}: revoke it first, or choose another name")
        self.name = name


@final
class Principal:
    """Who asks: the name of a key and what it may do."""

    __slots__ = ("_expires_at", "_permissions", "_scopes", "expires", "hash", "id", "name", "servers", "source")  # fmt: skip

    def __init__(self, key: ApiKey) -> None:
        self.id = key.id
        self.hash = key.hash
        self.name = key.name
        self.source = f"api:{key.name}"
        self.servers = frozenset(key.servers) if key.servers else None
        self._scopes = _implied(key)
        self._permissions = frozenset(key.permissions)
        self._expires_at = key.expires_at
        self.expires = key.expires_at is not None

    def may(self, scope: Scope) -> bool:
        return scope in self._scopes

    def may_approve(self, permission: str) -> bool:
        return Scope.ADMIN in self._scopes or permission in self._permissions

    def has_expired(self, now_us: int) -> bool:
        return self._expires_at is not None and now_us >= self._expires_at


@final
class Keys:
    """All keys, in memory: `load` first; whatever changes them goes through here."""

    def __init__(self, store: KeyStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._keys: dict[str, ApiKey] = {}
        self._principals: dict[bytes, Principal] = {}
        self._used: set[str] = set()
        self._changing = asyncio.Lock()

    async def load(self) -> None:
        async with self._changing:  # what was read before a key was revoked must not bring it back
            self._keys = {key.id: key for key in await self._store.all()}
            self._principals = {key.hash: Principal(key) for key in self._keys.values()}

    def all(self) -> list[ApiKey]:
        return sorted(self._keys.values(), key=lambda key: (key.created_at, key.id))

    async def create(
        self,
        name: str,
        scopes: Iterable[Scope],
        *,
        servers: Sequence[str] = (),
        expires_at: int | None = None,
        permissions: Iterable[str] = (),
    ) -> tuple[str, ApiKey]:
        """Return the new key's secret, the only time it is seen, and what is stored of it; raises NameTaken."""
        async with self._changing:
            if any(key.name == name for key in self._keys.values()):
                raise NameTaken(name)
            secret = PREFIX + secrets.token_hex(32)
            digest = sha256(secret.encode()).digest()
            key = ApiKey(
                id="key_" + digest.hex()[:16],
                hash=digest,
                name=name,
                scopes=tuple(sorted(set(scopes))),
                servers=tuple(servers),
                created_at=self._clock.now_us(),
                expires_at=expires_at,
                permissions=tuple(sorted(set(permissions))),
            )
            await self._store.add(key)
            self._keys[key.id] = key
            self._principals[key.hash] = Principal(key)
            return secret, key

    async def revoke(self, key_id: str) -> bool:
        """Stop a key at once; return whether there was one."""
        async with self._changing:
            key = self._keys.get(key_id)
            if key is None:
                return False
            # Refused from here on, even if the store fails below: then it is revoked again after the next start.
            self._principals.pop(key.hash, None)
            await self._store.remove(key_id)
            del self._keys[key_id]
            return True

    def authenticate(self, header: str | None) -> Principal | None:
        """Return who sent ``Bearer hub_…`` (or the bare key), or None."""
        if header is None:
            return None
        if not header.startswith(PREFIX):
            if header[:7].lower() != "bearer ":
                return None
            header = header[7:]
        if len(header) != _LENGTH or not header.isascii():
            return None
        principal = self._principals.get(sha256(header.encode()).digest())
        return principal if principal is not None and self.still_knows(principal) else None

    def still_knows(self, principal: Principal) -> bool:
        """Return whether the key of somebody who was known before is still good; it counts as used."""
        if self._principals.get(principal.hash) is not principal:
            return False
        if principal.expires and principal.has_expired(self._clock.now_us()):
            return False
        self._used.add(principal.id)
        return True

    def current(self, key_id: str) -> Principal | None:
        """Return who has a key of this id now."""
        key = self._keys.get(key_id)
        principal = self._principals.get(key.hash) if key is not None else None
        return None if principal is None or principal.has_expired(self._clock.now_us()) else principal

    async def run(self, stopping: asyncio.Event) -> None:
        """Write down, once a minute and at the end, which keys were used."""
        async with asyncio.TaskGroup() as group:
            keeper = group.create_task(self._keep_remembering())
            await stopping.wait()
            keeper.cancel()
        await self.remember_use()

    async def remember_use(self) -> None:
        used, self._used = self._used, set()
        if not used:
            return
        now_us = self._clock.now_us()
        try:
            await self._store.used(dict.fromkeys(used, now_us))
        except StoreUnavailable:
            self._used |= used
            return
        for key_id in used & self._keys.keys():
            self._keys[key_id] = self._keys[key_id]._replace(last_used=now_us)

    async def _keep_remembering(self) -> None:
        while True:
            await self._clock.sleep(_REMEMBER_USE_EVERY)
            await self.remember_use()


def _implied(key: ApiKey) -> frozenset[Scope]:
    """Return a key's scopes with everything they include."""
    given = set(key.scopes)
    if Scope.ADMIN in given:
        return frozenset(Scope)
    if Scope.READ in given:
        given |= {Scope.EVENTS_READ, Scope.APPROVALS_READ}
    if key.permissions:
        given.add(Scope.APPROVALS_DECIDE)
    if Scope.APPROVALS_DECIDE in given:  # nobody decides what he cannot look at
        given.add(Scope.APPROVALS_READ)
    return frozenset(given)
