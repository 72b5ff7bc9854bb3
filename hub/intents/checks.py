"""Conditions an intent takes along, to be asked on a fresh look at the account where it is carried out.

They stand among its parameters, so whatever stores intents stores them too; a backend never sees them.
"""

from typing import Final

import msgspec

from hub.intents.intent import Intent
from hub.intents.kept import Kept

# No parameter can be called that.
CHECKS: Final = "$checks"
_MARK: Final = b'"$checks"'
_OURS: Final = b'"$'  # what stands beside the parameters begins so

# What only a fresh look at the account may say: what was known when the step was decided is no answer.
FRESH: Final = frozenset(
    {
        "balance",
        "credit",
        "equity",
        "floating",
        "margin",
        "free_margin",
        "margin_level",
        "group",
        "leverage",
        "enabled",
        "trading_enabled",
        "open_positions",
        "open_lots",
    }
)


class Check(msgspec.Struct, frozen=True):
    """A condition with the values its other names had when the step was decided, by their whole paths."""

    text: str
    values: dict[str, Kept]


class Checks(msgspec.Struct, frozen=True, omit_defaults=True):
    """`guard` has to hold right before it is sent, `verify` after it was applied; `within_us` is how long somebody waits."""

    guard: Check | None = None
    verify: Check | None = None
    within_us: int = 0


_encode = msgspec.json.Encoder().encode
_decode_parts = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_checks = msgspec.json.Decoder(Checks).decode


def with_checks(params: bytes, checks: Checks) -> bytes:
    """Return parameters that take the conditions along."""
    return _encode({**_decode_parts(params), CHECKS: checks})


def checks_of(intent: Intent) -> Checks | None:
    """Return the conditions an intent takes along. Raises msgspec.DecodeError for what is none."""
    if _MARK not in intent.params:
        return None
    found = _decode_parts(intent.params).get(CHECKS)
    return _decode_checks(found) if found is not None else None


def without_checks(intent: Intent) -> Intent:
    """Return the intent as a backend takes it."""
    if _OURS not in intent.params:
        return intent
    parts = _decode_parts(intent.params)
    params = {name: value for name, value in parts.items() if not name.startswith("$")}
    return intent._replace(params=_encode(params))
