"""Names a workflow file takes from elsewhere: types of events and time zones, and what is wrong with them."""

from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

from hub.engine.draft import Draft
from hub.engine.keys import KeyKind
from hub.engine.nodes import Location
from hub.engine.problems import did_you_mean, quoted
from hub.engine.scopes import event_root, is_undeclared, unknown_event

# Nothing of these happens to an account, so nothing counted per account can start at them.
_WITHOUT_ACCOUNT: Final = (
    "connector.",
    "endpoint.",
    "delivery.",
    "notification.",
    "group.",
    "symbol.",
    "lead.",
)


def event_is_sound(draft: Draft, location: Location, name: str, *, pattern: bool) -> bool:
    if problem := unknown_event(name):
        draft.error(location, problem)
        return False
    if name.endswith(".*") and not pattern:
        draft.error(location, f"one type of event is needed here, not the pattern `{name}`")
        return False
    if draft.scopes.key is KeyKind.SYMBOL and not _names_symbol(name):
        draft.error(location, f"`{name}` names no symbol, so nothing kept by symbol hears of it")
        return False
    if name.startswith(_WITHOUT_ACCOUNT):
        draft.warn(location, f"`{name}` belongs to no account, so nothing counted per account comes of it")
    return True


def _names_symbol(name: str) -> bool:
    return is_undeclared(name) or "symbol" in (event_root(frozenset({name})).fields or {})


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
