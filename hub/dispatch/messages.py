"""What was written to clients: one entry a message, from the moment it is looked at until its channel has told the last of it."""

from collections.abc import Mapping
from hashlib import sha256
from typing import Final, NamedTuple, Protocol

from hub.bus.pages import Page
from hub.intents.intent import State

LONGEST_REF: Final = 200
LONGEST_ERROR: Final = 200

BOUNCED: Final = "bounced"  # a mail that came back after it was taken
# What a channel tells of a message it took, and how far that is: word of it may come in any order, and twice.
_FAR: Final[Mapping[str, int]] = {
    "": 0,
    "accepted": 1,
    "scheduled": 1,
    "queued": 1,
    "sending": 2,
    "sent": 3,
    "delivered": 4,
    "undelivered": 4,
    "failed": 4,
    BOUNCED: 4,
    "canceled": 4,
    "read": 5,
}


class Message(NamedTuple):
    """`client` is "" where nobody knows whose it is; `template` what it was made of, in `version`; times in µs.

    `ref` is the channel's own number for it; `status` and `error` are what the channel told of it later.
    """

    id: str
    intent: str
    client: str
    account: str
    channel: str
    address: str
    category: str
    template: str
    version: str
    at: int
    expires: int | None = None
    ref: str = ""
    status: str = ""
    error: str = ""
    status_at: int | None = None


class Listed(NamedTuple):
    """A message and how it stands: `state` of its intent, None where that is not kept any more."""

    message: Message
    state: State | None
    reason: str
    attempts: int


class Report(NamedTuple):
    """What a channel tells of a message it took."""

    ref: str
    status: str
    error: str
    at: int


class Messages(Protocol):
    async def get(self, message_id: str) -> Message | None: ...

    async def numbered(self, message_id: str, ref: str) -> None:
        """Keep the number the channel gave a message."""

    async def reported(self, message_id: str, report: Report) -> Message | None:
        """Keep what a channel tells, if it is further than what is known; return the message where it was news."""

    async def of_client(self, client: str, *, after: str, limit: int) -> Page[Listed]:
        """Return what was written to a client, the newest first. Raises BadCursor."""


def message_id(intent: str) -> str:
    """Return the id of an intent's message: it follows from the intent's key and does not tell it."""
    return f"msg_{sha256(intent.encode()).hexdigest()[:32]}"


def is_status(text: str) -> bool:
    return text in _FAR and text != ""


def after_report(message: Message, report: Report) -> Message | None:
    """Return the message with what was told of it; None where that is no news, or of another message."""
    if message.ref and message.ref != report.ref:
        return None
    if _FAR[report.status] <= _FAR[message.status]:
        return None
    return message._replace(
        ref=report.ref, status=report.status, error=report.error[:LONGEST_ERROR], status_at=report.at
    )
