"""What actions would have done: in shadow nothing is sent, and later steps of a run see the account as if it had been."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

import msgspec

from hub.engine.account_rows import AccountRow
from hub.intents.verbs import MoveCredit, MoveMoney, Params, SetGroup, SetLeverage

ADDED: Final = "+"  # before the name of a field something is added to
_SETS: Final[Mapping[str, Mapping[str, Any]]] = {
    "account.enable": {"enabled": True},
    "account.disable": {"enabled": False},
    "account.enable_trading": {"trading_enabled": True},
    "account.disable_trading": {"trading_enabled": False},
    "position.close_all": {"open_positions": 0, "open_lots": Decimal(0)},
}
_ADDS: Final[Mapping[str, tuple[str, int]]] = {
    "balance.deposit": ("balance", 1),
    "balance.withdraw": ("balance", -1),
    "credit.grant": ("credit", 1),
    "credit.remove": ("credit", -1),
}
Assumed = dict[str, Any]


def with_effect(assumed: Assumed, verb: str, params: Params) -> Assumed:
    """Return what is assumed of the account after one more action."""
    match params:
        case SetGroup(group=group):
            return assumed | {"group": group}
        case SetLeverage(leverage=leverage):
            return assumed | {"leverage": leverage}
        case MoveMoney(amount=amount) | MoveCredit(amount=amount) if verb in _ADDS:
            field, sign = _ADDS[verb]
            name = f"{ADDED}{field}"
            return assumed | {name: assumed.get(name, Decimal(0)) + sign * amount}
        case _:
            partial = getattr(params, "symbol", None) or getattr(params, "side", None)
            return assumed if partial else assumed | dict(_SETS.get(verb, {}))


def together(before: Assumed, ends: list[Assumed]) -> Assumed:
    """Return what is assumed after branches that all began with the same: what they add, adds up."""
    found = dict(before)
    for ended in ends:
        for name, value in ended.items():
            if not name.startswith(ADDED):
                found[name] = value
            else:
                found[name] = found.get(name, Decimal(0)) + value - before.get(name, Decimal(0))
    return found


def overlaid(account: AccountRow, assumed: Assumed) -> AccountRow:
    """Return the account as it would stand; of what nobody knows, nobody knows what was added to it."""
    changes: dict[str, Any] = {}
    for name, value in assumed.items():
        field = name.removeprefix(ADDED)
        known = getattr(account, field)
        if field == name:
            changes[field] = value
        elif known is not None:
            changes[field] = known + value
    return msgspec.structs.replace(account, **changes)
