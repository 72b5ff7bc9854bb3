"""Whether a message is still worth sending: a margin call an hour late does harm."""

import msgspec

from hub.clock import SECOND_US, iso
from hub.intents.expiry import expires_at
from hub.intents.intent import Intent


class _Expiring(msgspec.Struct):
    expires: str | None = None


_decode = msgspec.json.Decoder(_Expiring).decode
_MARK = b'"expires"'


def expiry_of(intent: Intent) -> int | None:
    """Return until when a message may be sent, in µs; None for one that stays worth sending."""
    if _MARK not in intent.params:
        return None
    try:
        return expires_at(_decode(intent.params).expires, intent.at)
    except (msgspec.DecodeError, ValueError):
        return None  # whoever sends it says what is wrong with it


def seconds_left(intent: Intent, now_us: int) -> int | None:
    """Return for how many whole seconds more a message may be sent, at least 1; None for one without an end."""
    until = expiry_of(intent)
    return None if until is None else max((until - now_us) // SECOND_US, 1)


def too_late(intent: Intent, now_us: int) -> str | None:
    """Return why a message is not sent any more, if it is not."""
    until = expiry_of(intent)
    return None if until is None or now_us < until else f"expired: it was of use until {iso(until)}"
