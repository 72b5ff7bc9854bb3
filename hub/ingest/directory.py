"""The directory of clients: who is behind an account, told to the partition of every account it concerns."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal, NamedTuple, Protocol, final

from hub.clock import Clock, from_us
from hub.errors import HubError, StoreUnavailable
from hub.events.account import ClientChanged
from hub.events.base import AccountRef, Change
from hub.events.catalogue import BY_NAME
from hub.events.facts import Fact, make_fact
from hub.ingest.clients import NOTHING, Client, LinkedAccount, told

SOURCE = "directory"
_CHANGES_AN_EVENT = 64
_TRIES = 8


class StoredClient(NamedTuple):
    """`body` is the record as JSON; `version` counts its changes from 1; times are µs."""

    id: str
    version: int
    body: bytes
    created_at: int
    updated_at: int


class PutOutcome(NamedTuple):
    """`stale`: another change came first; `taken`: `account` is linked to `client` already. Nothing was stored then."""

    state: Literal["stored", "stale", "taken"]
    account: str = ""
    client: str = ""


class ClientStore(Protocol):
    """Clients, and which account belongs to which: an account has one client at most."""

    async def get(self, client_id: str) -> StoredClient | None: ...

    async def list(self, *, after: str, limit: int) -> Sequence[StoredClient]:
        """Return clients with id > after, in order of id."""

    async def put(self, client: StoredClient, accounts: Sequence[str], facts: Sequence[Fact]) -> PutOutcome:
        """Store the client, its accounts ("server:login", in place of those it had) and the facts in one transaction.

        Only if what is stored has the version before this one (none at all for version 1). Returns once on disk.
        """


class AccountTaken(HubError):
    def __init__(self, account: str, client: str) -> None:
        super().__init__(f"{account} is linked to client {client}: unlink it there first")
        self.account = account
        self.client = client


@dataclass(frozen=True, slots=True)
class Kept:
    """A client as it stands; `created` and `changed` say what a put did."""

    stored: StoredClient
    client: Client
    created: bool = False
    changed: bool = False


@final
class Directory:
    def __init__(self, store: ClientStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def get(self, client_id: str) -> Kept | None:
        stored = await self._store.get(client_id)
        return _kept(stored) if stored is not None else None

    async def list(self, *, after: str, limit: int) -> Sequence[Kept]:
        return [_kept(stored) for stored in await self._store.list(after=after, limit=limit)]

    async def put(self, client_id: str, client: Client) -> Kept:
        """Make the record what it says, tell the difference, and return once it is on disk; repeating it does nothing.

        Raises AccountTaken when an account is somebody else's.
        """
        return await self._change(client_id, lambda _: client)

    async def merge(self, client_id: str, fields: Mapping[str, Any]) -> Kept:
        """Change the fields that are given, keep the others. An attribute that is null is taken out.

        Raises AccountTaken, or ValidationError where the record would not be right.
        """
        return await self._change(client_id, lambda before: merged(before, fields))

    async def _change(self, client_id: str, make: Callable[[Client | None], Client]) -> Kept:
        for _ in range(_TRIES):
            stored = await self._store.get(client_id)
            before = _kept(stored) if stored is not None else None
            body = (
                make(before.client if before is not None else None)
                .model_dump_json(exclude_none=True)
                .encode()
            )
            # As it will be read back, or the comparison below finds differences.
            client = Client.model_validate_json(body)
            if (
                before is not None
                and before.client == client
                and not _difference(told(before.client), told(client))
            ):
                return before
            now_us = self._clock.now_us()
            after = StoredClient(
                id=client_id,
                version=stored.version + 1 if stored is not None else 1,
                body=body,
                created_at=stored.created_at if stored is not None else now_us,
                updated_at=now_us,
            )
            facts = changes_of(after, before.client if before is not None else None, client)
            outcome = await self._store.put(after, [account.key for account in client.accounts], facts)
            if outcome.state == "stored":
                return Kept(after, client, created=before is None, changed=True)
            if outcome.state == "taken":
                raise AccountTaken(outcome.account, outcome.client)
        raise StoreUnavailable(f"client {client_id} is being changed by too many at once: try again")


def merged(before: Client | None, fields: Mapping[str, Any]) -> Client:
    """Return the record with the fields that are given. Raises ValidationError."""
    known: dict[str, Any] = {}
    if before is not None:
        known = {name: getattr(before, name) for name in before.model_fields_set}
    attributes = fields.get("attributes")
    if isinstance(attributes, dict):
        both = {**known.get("attributes", {}), **attributes}
        fields = {**fields, "attributes": {name: value for name, value in both.items() if value is not None}}
    given = {name: value for name, value in fields.items() if value is not None}
    left = {name: value for name, value in known.items() if name not in fields}
    return Client.model_validate({**left, **given})


def changes_of(stored: StoredClient, before: Client | None, after: Client) -> list[Fact]:
    """Return what a change tells: the whole record to accounts newly linked, the difference to those that were.

    An account that was unlinked is told that everything about its client is unknown now.
    """
    old = before or NOTHING
    linked = [account for account in after.accounts if account not in set(old.accounts)]
    stayed = [account for account in after.accounts if account in set(old.accounts)]
    left = [account for account in old.accounts if account not in set(after.accounts)]
    difference = _difference(told(old), told(after))
    facts: list[Fact] = []
    if before is None:
        facts += _facts(stored, "client.created", None, difference)
    elif difference and not stayed:
        facts += _facts(stored, "client.updated", None, difference)
    for account in stayed:
        facts += _facts(stored, "client.updated", account, difference)
    whole = {name: Change(after=value) for name, value in told(after).items()}
    for account in linked:
        facts += _facts(stored, "client.linked", account, whole)
    nothing = {name: Change(before=value) for name, value in told(old).items() if value is not None}
    for account in left:
        facts += _facts(stored, "client.updated", account, nothing)
    return facts


def _difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Change]:
    names = [*after, *(name for name in before if name not in after)]
    return {
        name: Change(before=before.get(name), after=after.get(name))
        for name in names
        if not _same(before.get(name), after.get(name))
    }


def _same(before: object, after: object) -> bool:
    """Return whether a value stayed what it was; to Python alone 0 is False, and 1.0 is 1."""
    return type(before) is type(after) and before == after


def _facts(
    stored: StoredClient, name: str, account: LinkedAccount | None, changes: Mapping[str, Change]
) -> list[Fact]:
    """Return one event, or more where there are more changes than one event may carry."""
    left = iter(changes.items())
    parts = [dict(islice(left, _CHANGES_AN_EVENT))]
    while part := dict(islice(left, _CHANGES_AN_EVENT)):
        parts.append(part)
    where = account.key if account is not None else ""
    return [
        make_fact(
            BY_NAME[name],
            name,
            ClientChanged(client=stored.id, changed=part),
            timestamp=from_us(stored.updated_at),
            received_us=stored.updated_at,
            source=SOURCE,
            account=AccountRef(server=account.server, login=account.login) if account is not None else None,
            dedupe_key=f"{stored.id}:{stored.version}:{where}:{number}",
        )
        for number, part in enumerate(parts)
    ]


def _kept(stored: StoredClient) -> Kept:
    return Kept(stored, Client.model_validate_json(stored.body))
