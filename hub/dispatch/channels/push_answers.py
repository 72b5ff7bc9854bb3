"""What Firebase's answers to one push message mean: for the message, for the device, for our account."""

from dataclasses import dataclass
from typing import Any, Final

from hub.clock import SECOND_US
from hub.dispatch.channels.one_exchange import Reply
from hub.dispatch.schedule import parse_retry_after

QUOTA_US: Final = 60 * SECOND_US
_LONGEST_CODE: Final = 60


@dataclass(frozen=True, slots=True)
class Pushed:
    name: str


@dataclass(frozen=True, slots=True)
class DeadToken:
    reason: str


@dataclass(frozen=True, slots=True)
class OtherSender:
    """Our project may not send to the token: one of the two belongs to another app."""

    reason: str


@dataclass(frozen=True, slots=True)
class BadMessage:
    """No device will ever take it."""

    reason: str


@dataclass(frozen=True, slots=True)
class BadAccess:
    """The access token is not accepted: another one may be."""

    reason: str


@dataclass(frozen=True, slots=True)
class NotNow:
    """`ours`: a person has to put something right; `all`: it goes for every message until then."""

    reason: str
    after_us: int = 0
    ours: bool = False
    all: bool = False


Answer = Pushed | DeadToken | OtherSender | BadMessage | BadAccess | NotNow


def answer_of(reply: Reply, now_us: int) -> Answer:
    """Return what an answer means; what nobody foresaw is tried again."""
    said = reply.json()
    if 200 <= reply.status < 300:
        name = said.get("name")
        return Pushed(name if isinstance(name, str) else "")
    error = said.get("error")
    error = error if isinstance(error, dict) else {}
    code = _code(error)
    reason = f"answered {reply.status}" + (f", {code}" if code else "")
    wait = parse_retry_after(reply.retry_after, now_us) or 0
    match reply.status, code:
        case (404, "UNREGISTERED"):
            return DeadToken(reason)
        case (403, "SENDER_ID_MISMATCH"):
            return OtherSender(reason)
        case (400, _) if _blames_token(error):
            return DeadToken(reason)
        case (400 | 413, _):
            return BadMessage(reason)
        case (401, "THIRD_PARTY_AUTH_ERROR"):
            return NotNow(f"{reason}: the APNs key of the project does not work", wait, ours=True)
        case (401, _):
            return BadAccess(reason)
        case (403 | 404, _):
            why = f"{reason}: look at push.project and the rights of the service account"
            return NotNow(why, wait, ours=True, all=True)
        case (429, _):
            return NotNow(f"{reason}: too many messages", wait or QUOTA_US, all=True)
        case _:
            return NotNow(reason, wait, all=wait > 0)


def _code(error: dict[str, Any]) -> str:
    """Return the code FCM itself gives, which says more than the one of the interface around it."""
    for detail in _details(error):
        code = detail.get("errorCode")
        if isinstance(code, str):
            return code[:_LONGEST_CODE]
    status = error.get("status")
    return status[:_LONGEST_CODE] if isinstance(status, str) else ""


def _blames_token(error: dict[str, Any]) -> bool:
    for detail in _details(error):
        violations = detail.get("fieldViolations")
        for violation in violations if isinstance(violations, list) else []:
            if isinstance(violation, dict) and violation.get("field") == "message.token":
                return True
    message = error.get("message")
    return isinstance(message, str) and "not a valid FCM registration token" in message


def _details(error: dict[str, Any]) -> list[dict[str, Any]]:
    details = error.get("details")
    return [each for each in details if isinstance(each, dict)] if isinstance(details, list) else []
