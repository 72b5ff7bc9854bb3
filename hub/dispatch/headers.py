"""Headers an endpoint asks for: which are refused because the hub or the connection says them, and which stay secret."""

import re
from collections.abc import Sequence
from typing import Final

from hub.errors import ConfigError
from hub.sealing import is_sealed

MOST: Final = 32
MAX_NAME: Final = 64
MAX_VALUE: Final = 2_048
MAX_BYTES: Final = 8 * 1024
HIDDEN: Final = "********"

_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", re.ASCII)
_HOP_BY_HOP: Final = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "expect",
    }
)
_SAID_BY_THE_HUB: Final = frozenset(
    {"host", "accept-encoding", "hub-signature", "x-hub-signature-256", "date", "user-agent"}
)
_FAMILIES: Final = ("content-", "webhook-")
# Nobody has to mark these: whoever sends one sends a password.
_ALWAYS_SECRET: Final = frozenset({"authorization", "cookie"})


class HeadersInvalid(ConfigError):
    """Headers the hub does not send."""


def check_headers(headers: Sequence[tuple[str, str]]) -> None:
    """Raise HeadersInvalid unless all of them can be sent, once each."""
    if len(headers) > MOST:
        raise HeadersInvalid(f"{len(headers)} headers: at most {MOST} are sent")
    if sum(len(name) + len(value) + 4 for name, value in headers) > MAX_BYTES:
        raise HeadersInvalid(f"the headers have more than {MAX_BYTES} bytes together")
    seen: set[str] = set()
    for name, value in headers:
        small = name.lower()
        if not _NAME.fullmatch(name) or len(name) > MAX_NAME:
            raise HeadersInvalid(f"{name[:MAX_NAME]!r} is no name of a header")
        if small in _HOP_BY_HOP:
            raise HeadersInvalid(f"{name} belongs to the connection: it cannot be set")
        if small in _SAID_BY_THE_HUB or small.startswith(_FAMILIES):
            raise HeadersInvalid(f"{name} is said by the hub itself: it cannot be set")
        if small in seen:
            raise HeadersInvalid(f"{name} is there twice")
        seen.add(small)
        if is_sealed(value):
            raise HeadersInvalid(f"the value of {name} cannot begin like a sealed text")
        if value == HIDDEN:
            raise HeadersInvalid(f"the hub has no value of {name} to keep: give it")
        # The value is never repeated: it may be a password.
        if not value.isascii() or not value.isprintable() or value != value.strip() or len(value) > MAX_VALUE:
            raise HeadersInvalid(
                f"the value of {name} must be plain ASCII without line breaks or blanks at its ends, "
                f"at most {MAX_VALUE} characters"
            )


def is_secret(name: str, marked: Sequence[str]) -> bool:
    small = name.lower()
    return small in _ALWAYS_SECRET or any(small == one.lower() for one in marked)


def shown(headers: Sequence[tuple[str, str]], marked: Sequence[str]) -> dict[str, str]:
    """Return headers as anybody may see them."""
    return {name: HIDDEN if is_secret(name, marked) else value for name, value in headers}


def kept(given: Sequence[tuple[str, str]], before: Sequence[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Return headers as they are to be stored: a secret that is given back as it was shown stays what it was."""
    known = {name.lower(): value for name, value in before}
    return tuple(
        (name, known.get(name.lower(), value) if value == HIDDEN else value) for name, value in given
    )
