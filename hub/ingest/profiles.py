"""What the broker says about an account beside its platform: its programme and phase, tags, attributes.

Only what is named is changed. The platform and the events of a challenge may say otherwise later: what is told last
counts.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal, NamedTuple, Protocol, final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from hub.clock import MICROSECOND, Clock, from_us
from hub.errors import StoreUnavailable
from hub.events.account import AccountChanged
from hub.events.base import AccountRef, Change, Money, Name
from hub.events.catalogue import BY_NAME
from hub.events.facts import Fact, make_fact
from hub.ingest.clients import Attributes, LinkedAccount, Tags, fits_an_event
from hub.ingest.directory import SOURCE
from hub.ingest.settings import AccountType

_KIND = "account.updated"
_TRIES = 8
_CHANGES_AN_EVENT = 64
# What was told may not be folded yet: until then an account that shows something else is no reason to tell it again.
_ON_ITS_WAY_US = timedelta(minutes=1) // MICROSECOND


class AccountProfile(BaseModel):
    """A field that is left out stays as it is; null makes it unknown. Attributes are named one by one in the same way."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    program: Name | None = None
    phase: Name | None = None
    type: AccountType | None = None
    initial_balance: Annotated[Money, Field(ge=0)] | None = None
    tags: Annotated[Tags, AfterValidator(fits_an_event)] | None = None
    attributes: Attributes = {}


_PLAIN = ("program", "phase", "type", "initial_balance")


class StoredProfile(NamedTuple):
    """`account` is "server:login", `body` the profile as JSON; `version` counts its changes from 1; times are µs."""

    account: str
    version: int
    body: bytes
    created_at: int
    updated_at: int


class ProfileStore(Protocol):
    async def get(self, account: str) -> StoredProfile | None: ...

    async def put(self, profile: StoredProfile, facts: Sequence[Fact]) -> Literal["stored", "stale"]:
        """Store the profile and the facts in one transaction, if what is stored has the version before this one.

        Returns once on disk.
        """


Folded = Callable[[str], Awaitable[Mapping[str, Any] | None]]


@dataclass(frozen=True, slots=True)
class KeptProfile:
    stored: StoredProfile
    profile: AccountProfile
    created: bool = False
    changed: bool = False


@final
class Profiles:
    """`folded` gives the account as its events told it: that may lag behind what was told."""

    def __init__(self, store: ProfileStore, clock: Clock, folded: Folded) -> None:
        self._store = store
        self._clock = clock
        self._folded = folded

    async def change(self, account: LinkedAccount, fields: AccountProfile) -> KeptProfile:
        """Change what is named, tell the difference, and return once it is on disk; repeating it does nothing."""
        for _ in range(_TRIES):
            stored = await self._store.get(account.key)
            before = read_profile(stored) if stored is not None else AccountProfile()
            body = changed(before, fields).model_dump_json(exclude_none=True).encode()
            after = AccountProfile.model_validate_json(body)  # as it will be read back
            changes = _difference(before, after) or await self._overruled(account.key, stored, after, fields)
            if stored is not None and not changes:
                return KeptProfile(stored, before)
            now_us = self._clock.now_us()
            record = StoredProfile(
                account=account.key,
                version=stored.version + 1 if stored is not None else 1,
                body=body,
                created_at=stored.created_at if stored is not None else now_us,
                updated_at=now_us,
            )
            facts = _facts(record, account, changes)
            if await self._store.put(record, facts) == "stored":
                return KeptProfile(record, after, created=stored is None, changed=bool(changes))
        raise StoreUnavailable(f"account {account.key} is being changed by too many at once: try again")

    async def _overruled(
        self, account: str, stored: StoredProfile | None, profile: AccountProfile, fields: AccountProfile
    ) -> dict[str, Change]:
        """Return what is asked for again because others have said otherwise since."""
        if stored is None or self._clock.now_us() - stored.updated_at < _ON_ITS_WAY_US:
            return {}
        now = await self._folded(account)
        if now is None:
            return {}
        wanted, shown = told(profile), _shown(now)
        named = [name for name in fields.model_fields_set if name != "attributes"]
        named += [f"attributes.{name}" for name in fields.attributes]
        return {
            name: Change(before=shown.get(name), after=wanted.get(name))
            for name in sorted(named)
            if not _same(shown.get(name), wanted.get(name))
        }


def read_profile(stored: StoredProfile) -> AccountProfile:
    return AccountProfile.model_validate_json(stored.body)


def changed(before: AccountProfile, fields: AccountProfile) -> AccountProfile:
    """Return the profile with the fields that are named."""
    values = {name: getattr(before, name) for name in AccountProfile.model_fields}
    values |= {name: getattr(fields, name) for name in fields.model_fields_set}
    attributes = {**before.attributes, **fields.attributes}
    values["attributes"] = {name: value for name, value in attributes.items() if value is not None}
    return AccountProfile.model_validate(values)


def told(profile: AccountProfile) -> dict[str, Any]:
    """Return the fields events tell, flat, each a scalar or None where it is not known."""
    fields: dict[str, Any] = {name: getattr(profile, name) for name in _PLAIN}
    fields["tags"] = ",".join(profile.tags) if profile.tags else None
    return fields | {f"attributes.{name}": value for name, value in profile.attributes.items()}


def _difference(before: AccountProfile, after: AccountProfile) -> dict[str, Change]:
    old, new = told(before), told(after)
    names = [*new, *(name for name in old if name not in new)]
    return {
        name: Change(before=old.get(name), after=new.get(name))
        for name in names
        if not _same(old.get(name), new.get(name))
    }


def _same(before: object, after: object) -> bool:
    """Return whether a value stayed what it was; to Python alone 0 is False."""
    return isinstance(before, bool) is isinstance(after, bool) and before == after


def _shown(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a folded account as `told` would."""
    fields: dict[str, Any] = {name: row.get(name) for name in _PLAIN}
    if fields["initial_balance"] is not None:
        fields["initial_balance"] = Decimal(fields["initial_balance"])
    fields["tags"] = ",".join(row.get("tags") or ()) or None
    return fields | {f"attributes.{name}": value for name, value in (row.get("attributes") or {}).items()}


def _facts(stored: StoredProfile, account: LinkedAccount, changes: Mapping[str, Change]) -> list[Fact]:
    """Return one event, or more where there are more changes than one event may carry."""
    names = list(changes)
    parts = [names[start : start + _CHANGES_AN_EVENT] for start in range(0, len(names), _CHANGES_AN_EVENT)]
    return [
        make_fact(
            BY_NAME[_KIND],
            _KIND,
            AccountChanged(changed={name: changes[name] for name in part}),
            timestamp=from_us(stored.updated_at),
            received_us=stored.updated_at,
            source=SOURCE,
            account=AccountRef(server=account.server, login=account.login),
            dedupe_key=f"{stored.account}:{stored.version}:{number}",
        )
        for number, part in enumerate(parts)
    ]
