"""What the hub and the process that sends messages to teams tell each other: one JSON line each way for each message."""

from enum import StrEnum
from typing import Final

import msgspec

LONGEST_LINE: Final = 256 * 1024


class Order(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One message. `url` is a secret: it goes through a pipe, never into arguments, the environment or a log."""

    url: str
    title: str
    text: str
    urgent: bool
    seconds: float
    allow_loopback: bool
    networks: tuple[str, ...]


class Trouble(StrEnum):
    """Why something was not sent, or what went wrong once it was."""

    NO_ADDRESS = "no address"  # Apprise does not understand it
    NOT_HTTP = "not http"
    NOT_SECURE = "not secure"
    INSIDE = "inside"  # the host leads to an address the hub does not call
    UNREACHED = "unreached"
    LOST = "lost"  # it was sent, and no answer came


class Begun(msgspec.Struct, frozen=True, tag="begun"):
    """Something is about to leave this machine: from here on nobody knows, until `Done` says."""


class Answer(msgspec.Struct, frozen=True):
    status: int
    retry_after: str | None = None


class Done(msgspec.Struct, frozen=True, tag="done"):
    """`taken` is the word of Apprise; `answers` are those it got, in order. Nothing in here comes from the address."""

    taken: bool
    answers: tuple[Answer, ...] = ()
    troubles: tuple[Trouble, ...] = ()


Line = Begun | Done

encode_order = msgspec.json.Encoder().encode
decode_order = msgspec.json.Decoder(Order).decode
encode_line = msgspec.json.Encoder().encode
_decode_line = msgspec.json.Decoder(Line).decode


def decode_line(text: bytes) -> Line:
    found: Line = _decode_line(text)
    return found
