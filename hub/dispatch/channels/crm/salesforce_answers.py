"""What Salesforce's answers mean, by the codes it has for errors; of its words only names are repeated."""

import json
import re
from dataclasses import dataclass
from typing import Final

from hub.clock import SECOND_US
from hub.dispatch.channels.crm.answers import BadAccess, Made, Maybe, No, NotNow, Verdict, own_id
from hub.dispatch.channels.one_exchange import Reply
from hub.dispatch.schedule import parse_retry_after

DAY_US: Final = 4 * 3_600 * SECOND_US  # the requests of a day come back hour by hour
BUSY_US: Final = 30 * SECOND_US
OURS_US: Final = 60 * SECOND_US
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,79}")
_USAGE: Final = re.compile(r"api-usage=([0-9]{1,12})/([0-9]{1,12})")

# Ours to put right, whatever the record.
_OURS: Final = {
    "API_CURRENTLY_DISABLED": "the company's interface is off",
    "API_DISABLED_FOR_ORG": "the company's edition has no interface",
    "FUNCTIONALITY_NOT_ENABLED": "the company has not turned this on",
    "INVALID_OPERATION_WITH_EXPIRED_PASSWORD": "the password of the user has expired",
    "INVALID_LOGIN": "the user cannot sign in",
    "INACTIVE_ORG": "the company is not active",
    "ORG_LOCKED": "the company is locked",
    "PASSWORD_LOCKOUT": "the user is locked",
    "LOGIN_DURING_RESTRICTED_DOMAIN": "the user may not sign in from here",
    "LOGIN_DURING_RESTRICTED_TIME": "the user may not sign in now",
    "INSUFFICIENT_ACCESS": "the user may not do this",
    "INSUFFICIENT_ACCESS_OR_READONLY": "the user may not write this",
    "STORAGE_LIMIT_EXCEEDED": "the company has no room left",
    "INVALID_CLIENT_ID": "the connected app is not known",
    "TXN_SECURITY_RUNTIME_EXCEPTION": "a security policy stopped it",
    "TXN_SECURITY_METERING_ERROR": "a security policy stopped it",
}
# Nothing was done, and the same may work shortly.
_BUSY: Final = {
    "UNABLE_TO_LOCK_ROW": "the record is locked",
    "SERVER_UNAVAILABLE": "it is not available",
    "DUPLICATE_EXTERNAL_ID": "somebody else was writing it",
    "REQUEST_RUNNING_TOO_LONG": "it took too long",
    "QUERY_TIMEOUT": "it took too long",
    "CLIENT_NOT_ACCESSIBLE_FOR_USER": "it is not available",
}
_EXPIRED: Final = frozenset({"INVALID_SESSION_ID", "INVALID_AUTH_HEADER"})


@dataclass(frozen=True, slots=True)
class Said:
    """The first error of an answer."""

    code: str
    message: str
    fields: tuple[str, ...]


def verdict_of(reply: Reply, now_us: int, *, known_by: str = "") -> Verdict:
    """Return what an answer means that is no yes; `known_by` is the field that has to be unique."""
    said = _first_error(reply)
    reason = f"answered {reply.status}" + (f", {said.code}" if said.code else "")
    if said.fields:
        reason += f" ({', '.join(said.fields)})"
    wait = parse_retry_after(reply.retry_after, now_us) or 0
    match said.code:
        case code if code in _EXPIRED or (reply.status == 401 and not code):
            return BadAccess(f"{reason}: the session is over")
        case "REQUEST_LIMIT_EXCEEDED" if "oncurrent" in said.message:
            return NotNow(f"{reason}: too many requests at a time", wait or BUSY_US, all=True)
        case "REQUEST_LIMIT_EXCEEDED":
            return NotNow(f"{reason}: the day's requests are used up", wait or DAY_US, all=True)
        case "DUPLICATE_VALUE" if known_by and known_by in said.message:
            return NotNow(f"{reason}: somebody else was writing it", wait)
        case code if code in _OURS:
            return NotNow(f"{reason}: {_OURS[code]}", wait, ours=True)
        case code if code in _BUSY:
            return NotNow(f"{reason}: {_BUSY[code]}", wait or (BUSY_US if reply.status == 503 else 0))
        case _:
            return _by_status(reply.status, reason, wait)


def _by_status(status: int, reason: str, wait: int) -> Verdict:
    match status:
        case 300:
            return No(f"{reason}: several records have this id")
        case 401 | 403:
            return NotNow(f"{reason}: it does not let us in", wait or OURS_US, ours=True)
        case 429:
            return NotNow(f"{reason}: too many requests", wait or BUSY_US, all=True)
        case status if 400 <= status < 500 and status != 408:
            return No(reason)
        case _:
            return Maybe(reason, wait)


def made_of(reply: Reply, unless: str = "") -> Made | None:
    """Return the record an answer of 2xx tells of; `unless` it has no body, and then it is the one that was there."""
    if reply.status == 204:
        return Made(unless, new=False)
    said = reply.json()
    own = own_id(said.get("id"))
    created = said.get("created", reply.status == 201)
    return Made(own, created is True) if own and said.get("success") is not False else None


def calls_left(reply: Reply) -> int | None:
    """Return how many of the day's requests are left to the whole company, if the answer says so."""
    found = _USAGE.search(reply.headers.get("Sforce-Limit-Info", "")[:256])
    return None if found is None else int(found[2]) - int(found[1])


def _first_error(reply: Reply) -> Said:
    try:
        found = json.loads(reply.content or b"")
    except (ValueError, RecursionError):
        return Said("", "", ())
    if isinstance(found, dict):
        found = found.get("errors") or [found]
    first = found[0] if isinstance(found, list) and found and isinstance(found[0], dict) else {}
    code = first.get("errorCode") or first.get("statusCode") or first.get("error")
    message, fields = first.get("message"), first.get("fields")
    return Said(
        code if isinstance(code, str) and _NAME.fullmatch(code) else "",
        message[:1_024] if isinstance(message, str) else "",
        tuple(
            name
            for name in (fields if isinstance(fields, list) else [])[:5]
            if isinstance(name, str) and _NAME.fullmatch(name)
        ),
    )
