"""What the error codes of Twilio's interface say of a message, of its number, and of our account."""

from typing import Final

from hub.dispatch.effects.notifier import Bounced, Declined, Later, News, OptedOut, Told, Unsure

# There is no such number, or none that takes text messages.
_NOBODY: Final = {
    21211: "it is no valid number",
    21214: "the number cannot be reached",
    21217: "it does not look like a number",
    21401: "it is no valid number",
    21421: "it is no valid number",
    21614: "it is no mobile number",
    30005: "nobody knows the number",
    30006: "it is a landline, or its carrier takes no text messages",
}
_STOPPED: Final = {21610: "it answered STOP"}
# Ours to put right; the message is not at fault, so it waits.
_OURS: Final = {
    20003: "it does not accept our credentials",
    20005: "our account is not active",
    20404: "it does not know our account",
    20403: "our account may not do this",
    21408: "our account has no permission for this country",
    21603: "the sender is missing",
    21606: "the sender is not ours",
    21659: "the sender is not ours",
    21704: "the messaging service has no senders",
    21705: "there is no such messaging service",
}
_NOT_NOW: Final = {
    14107: "the sender sends too fast",
    20429: "too many requests",
    21611: "the sender's queue is full",
    20503: "it is not available",
}


def meaning(status: int, code: object, to: str) -> Told:
    """Return what an answer other than 2xx means. Codes win over the status; of what is not known, the status tells."""
    number = code if isinstance(code, int) and not isinstance(code, bool) and 0 < code < 1_000_000 else 0
    said = f"answered {status}" + (f", code {number}" if number else "")
    news = news_of(number, to)
    if news is not None:
        return Declined(f"{said}: {news.reason}", (news,))
    if number in _OURS or (not number and status in {401, 403, 404}):
        return Later(f"{said}: {_OURS.get(number, 'it does not accept our account')}")
    if number in _NOT_NOW or status == 429:
        return Later(f"{said}: {_NOT_NOW.get(number, 'too many requests')}")
    if 400 <= status < 500 and status != 408:
        return Declined(f"{said}: the message is not taken")
    # 5xx, 408, a redirect: nobody can say how far it came.
    return Unsure(f"{said}: it may have been taken")


def news_of(code: int, to: str) -> News | None:
    """Return what a code says of the number itself."""
    if code in _NOBODY:
        return Bounced("sms", to, _NOBODY[code])
    if code in _STOPPED:
        return OptedOut("sms", to, _STOPPED[code])
    return None
