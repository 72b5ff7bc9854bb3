"""Names a workflow file takes from elsewhere: types of events and time zones, and what is wrong with them."""

from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

from hub.engine.draft import Draft
from hub.engine.draft_declared import ask_whether_declared
from hub.engine.draft_key import unheard
from hub.engine.keys import KeyKind
from hub.engine.nodes import Location
from hub.engine.problems import did_you_mean, quoted
from hub.engine.scopes import event_root, is_undeclared, unknown_event
from hub.expr import Kind

# Nothing of these happens to an account, so nothing counted per account can start at them.
_OF_ACCOUNTS: Final = frozenset({KeyKind.ACCOUNT, KeyKind.CLIENT, KeyKind.POSITION})
_NAMED_BY_EVENTS: Final = frozenset({KeyKind.SYMBOL, KeyKind.POSITION})
_WITHOUT_ACCOUNT: Final = (
    "connector.",
    "endpoint.",
    "delivery.",
    "notification.",
    "group.",
    "symbol.",
    "lead.",
    "workflow.",
    "manager.",
)


def event_is_sound(draft: Draft, location: Location, name: str, *, pattern: bool) -> bool:
    if problem := unknown_event(name):
        draft.error(location, problem)
        return False
    if name.endswith(".*") and not pattern:
        draft.error(location, f"one type of event is needed here, not the pattern `{name}`")
        return False
    if problem := _unheard(draft, name):
        draft.error(location, problem)
        return False
    ask_whether_declared(draft, location, name)
    naming = draft.scopes.naming
    of_accounts = draft.scopes.key in _OF_ACCOUNTS if naming is None else not naming.of_events
    if belongs_to_no_account(name) and of_accounts:
        draft.warn(location, f"`{name}` belongs to no account, so nothing counted per account comes of it")
    return True


def belongs_to_no_account(name: str) -> bool:
    return name.startswith(_WITHOUT_ACCOUNT)


def _unheard(draft: Draft, name: str) -> str | None:
    """Return why keys of a kind never hear of an event, or None."""
    key, declared = draft.scopes.key, draft.scopes.declared
    if draft.scopes.naming is not None:
        return unheard(draft, draft.scopes.naming, name)
    field = key.partition(".")[2] or str(key)
    if is_undeclared(name, declared) or (isinstance(key, KeyKind) and key not in _NAMED_BY_EVENTS):
        return None
    if key is KeyKind.SYMBOL and name == "symbol.updated":
        return None
    found = (event_root(frozenset({name}), declared).fields or {}).get(field)
    if found is None:
        return f"`{name}` names no {field}, so nothing kept by {field} hears of it"
    if found.kind in {Kind.STRING, Kind.ANY} or found.numeric:
        return None
    return f"`key: {key}` needs a text or a number, and in `{name}` it is {found}"


@lru_cache(maxsize=1)
def zones() -> frozenset[str]:
    return frozenset(available_timezones())


@lru_cache(maxsize=1024)
def is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        return False
    return True


def zone_is_known(draft: Draft, location: Location, zone: str) -> bool:
    if is_zone(zone):
        return True
    near = did_you_mean(zone, zones()) or "; write it by name, such as Europe/Nicosia"
    draft.error(location, f"unknown time zone {quoted(zone)}{near}")
    return False
