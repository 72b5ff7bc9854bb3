"""What changed about an account, told from two sights of it."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from hub.clock import iso, to_us
from hub.events.account import AccountChanged, AccountFieldChanged
from hub.events.facts import Entity
from hub.ingest.derive import Telling
from hub.ingest.feed import AccountRow, Platform
from hub.ingest.server_clock import ServerClock

Value = str | int | bool | Decimal | None
Changed = dict[str, tuple[Value, Value]]

_UPDATED = ("name", "email", "country", "currency")
_SWITCHES = {
    "enabled": ("account.enabled", "account.disabled"),
    "trading_enabled": ("account.trading_enabled", "account.trading_disabled"),
}
_MOVED = {"group": "account.group_changed", "leverage": "account.leverage_changed"}


class DerivingAccounts:
    """`type_of` tells what accounts of a group are (real, demo, contest), where the source itself does not say."""

    def __init__(
        self,
        server: str,
        platform: Platform,
        clock: ServerClock,
        *,
        type_of: Callable[[str], str | None] = lambda _: None,
    ) -> None:
        self._server = server
        self._platform = platform
        self._clock = clock
        self._type_of = type_of

    def first_sight(
        self, account: AccountRow, *, open_positions: int, open_lots: Decimal, is_new: bool
    ) -> Telling:
        """Return all that is known of an account the hub had not seen: a starting point, and no history."""
        registered = iso(to_us(self._clock.to_utc(account.registered_at))) if account.registered_at else None
        seen: dict[str, Value] = {
            "platform": self._platform.value,
            "type": self._type(account),
            "group": account.group,
            "currency": account.currency,
            "leverage": account.leverage,
            "name": account.name or None,
            "email": account.email or None,
            "country": account.country or None,
            "balance": account.balance,
            "credit": account.credit,
            "enabled": account.enabled,
            "trading_enabled": account.trading_enabled,
            "open_positions": open_positions,
            "open_lots": open_lots,
            "registered_at": registered,
        }
        changes: Changed = {name: (None, value) for name, value in seen.items() if value is not None}
        return self._changed("account.created" if is_new else "account.updated", account.login, changes)

    def tell(self, before: AccountRow, now: AccountRow) -> list[Telling]:
        """Return the changes; balance and credit are not among them, they follow from trades and cash."""
        told: list[Telling] = []
        for name, kind in _MOVED.items():
            old, new = getattr(before, name), getattr(now, name)
            if new is not None and old != new:
                data = AccountFieldChanged.model_construct(before=old, after=new)
                told.append(Telling(kind, now.login, data, entity=self._entity(now.login, name, new)))
        for name, (on, off) in _SWITCHES.items():
            old, new = getattr(before, name), getattr(now, name)
            if new is not None and old != new:
                told.append(self._changed(on if new else off, now.login, {name: (old, new)}))
        updated: Changed = {
            name: (getattr(before, name), getattr(now, name))
            for name in _UPDATED
            if getattr(now, name) is not None and getattr(before, name) != getattr(now, name)
        }
        old_type, new_type = self._type(before), self._type(now)
        if new_type is not None and old_type != new_type:
            updated["type"] = (old_type, new_type)
        if updated:
            told.append(self._changed("account.updated", now.login, updated))
        return told

    def corrected(self, login: int, balance: tuple[Value, Value], credit: tuple[Value, Value]) -> Telling:
        """Return what to believe when balance or credit is not what the events so far add up to.

        Two corrections to one amount are two facts, unlike two tellings of one state: the moment is part of them.
        """
        changes = {
            name: pair for name, pair in (("balance", balance), ("credit", credit)) if pair[0] != pair[1]
        }
        return self._changed("account.updated", login, changes, moment=f"@{self._clock.now()}")

    def _type(self, account: AccountRow) -> str | None:
        return account.type or (self._type_of(account.group) if account.group else None)

    def _changed(self, kind: str, login: int, changes: Changed, moment: str = "") -> Telling:
        # Constructed, not validated: these values were read field by field, and validation would turn a group or
        # name that is all digits into a number.
        changed: Any = {name: {"before": before, "after": after} for name, (before, after) in changes.items()}
        data = AccountChanged.model_construct(changed=changed)
        field = "+".join(sorted(changes))
        state = ";".join(f"{name}={after}" for name, (_, after) in sorted(changes.items()))
        return Telling(kind, login, data, entity=self._entity(login, field, state + moment))

    def _entity(self, login: int, field: str, state: object) -> Entity:
        return Entity(f"{self._server}:account:{login}:{field}", str(state))
