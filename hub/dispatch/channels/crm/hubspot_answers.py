"""What HubSpot's answers mean, by status, category and the limit it names; of its words only names are repeated."""

import re
from collections.abc import Iterator
from typing import Any, Final

from hub.clock import SECOND_US
from hub.dispatch.channels.crm.answers import Made, Maybe, No, NotNow, Verdict, own_id
from hub.dispatch.channels.one_exchange import Reply
from hub.dispatch.schedule import parse_retry_after

LOCKED_US: Final = 2 * SECOND_US
SHORT_US: Final = 10 * SECOND_US
OURS_US: Final = 60 * SECOND_US
# It begins anew at midnight where the account is, and no answer says when that is. What waits is tried for longer than a day so.
DAY_US: Final = 4 * 3_600 * SECOND_US
MIGRATION_US: Final = 3_600 * SECOND_US
_MOST_NAMES: Final = 5
_NAME: Final = re.compile(r"[A-Za-z0-9_.:-]{1,60}")
_IN_TEXT: Final = re.compile(r'"(?:name|error)"\s*:\s*"([A-Za-z0-9_]{1,60})"')
# The edge in front of it could not reach it at all.
_NEVER_THERE: Final = frozenset({521, 523, 525, 526, 530})


def verdict_of(reply: Reply, now_us: int) -> Verdict:
    """Return what an answer means that is no yes."""
    said = reply.json()
    reason = f"answered {reply.status}{_names_in(said)}"
    wait = parse_retry_after(reply.retry_after, now_us) or 0
    match reply.status:
        case 401:
            return NotNow(f"{reason}: look at the token", wait or OURS_US, ours=True, all=True)
        case 403:
            return NotNow(f"{reason}: look at the scopes of the private app", wait, ours=True)
        case 409:
            return NotNow(f"{reason}: somebody else writes to it", wait)
        case 423:
            return NotNow(f"{reason}: locked", wait or LOCKED_US, all=True)
        case 429 if said.get("policyName") == "DAILY":
            return NotNow(f"{reason}: the day's requests are used up", wait or DAY_US, all=True)
        case 429:
            return NotNow(f"{reason}: too many requests", wait or SHORT_US, all=True)
        case 477:
            return NotNow(f"{reason}: the account is being moved", wait or MIGRATION_US, all=True)
        case status if status in _NEVER_THERE:
            return NotNow(reason, wait)
        case status if 400 <= status < 500 and status != 408:
            return No(reason)
        case _:
            return Maybe(reason, wait)


def made_of(result: object) -> Made | None:
    """Return the record one result tells of."""
    if not isinstance(result, dict) or not (own := own_id(result.get("id"))):
        return None
    new = result.get("new")
    return Made(own, new if isinstance(new, bool) else None)


def error_of(error: object, status: int) -> Verdict:
    """Return what an error among the results of several means."""
    said = error if isinstance(error, dict) else {}
    category = said.get("category")
    reason = f"answered {status}{_names_in(said)}"
    match category:
        case "RATE_LIMITS":
            return NotNow(reason, SHORT_US, all=True)
        case "CONFLICT" | "INTERNAL_ERROR" | "TIMEOUT":
            return NotNow(reason)
        case "MISSING_SCOPES" | "INVALID_AUTHENTICATION" | "EXPIRED_AUTHENTICATION":
            return NotNow(reason, OURS_US, ours=True)
        case _:
            return No(reason)


def _names_in(said: dict[str, Any]) -> str:
    """Return the codes, the properties and the number its support knows an error by: never a value that was sent."""
    codes = [said.get(name) for name in ("category", "subCategory", "policyName", "errorType")]
    names = dict.fromkeys(_spelled([*codes, *_details(said)]))
    number = next(iter(_spelled([said.get("correlationId")])), "")
    told = f", {' '.join(list(names)[: _MOST_NAMES + 3])}" if names else ""
    return told + (f" (correlation id {number})" if number else "")


def _details(said: dict[str, Any]) -> Iterator[object]:
    errors = said.get("errors")
    for error in (errors if isinstance(errors, list) else [])[:_MOST_NAMES]:
        if not isinstance(error, dict):
            continue
        yield error.get("code")
        context = error.get("context")
        for values in list(context.values())[:_MOST_NAMES] if isinstance(context, dict) else ():
            yield from (values if isinstance(values, list) else [])[:_MOST_NAMES]
    message = said.get("message")
    if isinstance(message, str):
        yield from _IN_TEXT.findall(message[:4_096])[: 2 * _MOST_NAMES]


def _spelled(values: list[object]) -> list[str]:
    return [value for value in values if isinstance(value, str) and _NAME.fullmatch(value)]
