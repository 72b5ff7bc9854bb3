"""`guard` and `verify` of an action: asked on what was just read of the account."""

from collections.abc import Mapping

import msgspec
import structlog

from hub.dispatch.effects.backend import Fields, ManagerBackend, ReadsAccounts, Refused, Unreadable
from hub.errors import ExpressionError
from hub.expr.judge import judge
from hub.intents.checks import FRESH, Check, Checks, checks_of
from hub.intents.intent import Intent
from hub.intents.kept import recall_all

log = structlog.get_logger(__name__)


class Unasked(Exception):
    """The condition could not be asked now; later it can."""


async def guarded(backend: ManagerBackend, intent: Intent) -> tuple[str, Fields | None]:
    """Return why an action must not be sent, and what was read; "" where nothing stands against it. Raises Unasked."""
    return await _asked(backend, intent, "guard")


async def verified(backend: ManagerBackend, intent: Intent) -> tuple[str, Fields | None]:
    """Return what does not hold after an action was applied, and what was read. Raises Unasked."""
    return await _asked(backend, intent, "verify")


async def _asked(backend: ManagerBackend, intent: Intent, what: str) -> tuple[str, Fields | None]:
    try:
        checks = checks_of(intent)
    except msgspec.DecodeError as problem:
        return f"{what}: the conditions of the action cannot be read: {problem}", None
    check = _one(checks, what)
    if check is None:
        return "", None
    if not isinstance(backend, ReadsAccounts):
        return (
            f"{what}: {backend.server} has no backend that reads accounts, so `{check.text}` cannot be asked",
            None,
        )
    try:
        fresh = await backend.read(intent.account)
    except Exception as bug:
        log.exception("action.read_failed", intent=intent.key)
        raise Unasked(f"{what}: the backend failed: {type(bug).__name__}") from bug
    match fresh:
        case Unreadable(reason):
            raise Unasked(f"{what}: the account could not be read: {reason}")
        case Refused(reason):
            return f"{what}: the account cannot be read: {reason}", None
        case _:
            return _answer(what, check, fresh), fresh


def _one(checks: Checks | None, what: str) -> Check | None:
    if checks is None:
        return None
    return checks.guard if what == "guard" else checks.verify


def _answer(what: str, check: Check, fresh: Fields) -> str:
    known: Mapping[str, object] = recall_all(check.values)
    try:
        told = judge(check.text, known, fresh, FRESH)
    except ExpressionError as problem:
        return f"{what}: {check.text} cannot be asked: {problem.message}"
    return f"{what}: {told}" if told is not None else ""


def told(fields: Fields | None) -> dict[str, object] | None:
    """Return what was read as an outcome tells it."""
    if fields is None:
        return None
    return {
        name: value if isinstance(value, bool | int | str) or value is None else str(value)
        for name, value in fields.items()
    }
