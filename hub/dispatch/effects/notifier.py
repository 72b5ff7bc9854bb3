"""What a channel for messages must be able to do, and what it may have to tell."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol, runtime_checkable

from hub.intents.intent import Intent

TAKEN: Final = "taken"  # of one of several devices: it has the message


@dataclass(frozen=True, slots=True)
class Bounced:
    """There is nobody at the address, and there never will be."""

    channel: str
    address: str
    reason: str


@dataclass(frozen=True, slots=True)
class OptedOut:
    """Whoever is there has told the channel itself that he wants no more of it."""

    channel: str
    address: str
    reason: str


@dataclass(frozen=True, slots=True)
class TokenDead:
    """A device takes nothing any more; `seen_at` is when its app had last told of the token."""

    device: str
    client: str
    seen_at: int
    reason: str


@dataclass(frozen=True, slots=True)
class SenderRefused:
    """A channel takes nothing from us until a person has put something right; `sender` is who we are there."""

    channel: str
    sender: str
    reason: str


News = Bounced | OptedOut | TokenDead | SenderRefused


@dataclass(frozen=True, slots=True)
class Sent:
    """`ref` is the channel's own number for the message; `made` that of what there is now in another system.

    `each`, here and below: of a message that goes to several devices, what became of it at each.
    """

    reason: str = ""
    ref: str = ""
    news: tuple[News, ...] = ()
    made: str = ""
    each: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Declined:
    """It will never be taken: the address or the message is wrong."""

    reason: str
    news: tuple[News, ...] = ()
    each: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Later:
    """Temporary trouble, and surely not sent: try again on the schedule, and not before what the receiver asked for.

    `taken`: of several devices some have it.
    """

    reason: str
    after_us: int = 0
    news: tuple[News, ...] = ()
    taken: bool = False
    each: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Unsure:
    """It was handed over and nobody knows whether it was taken: it is not sent again."""

    reason: str


Told = Sent | Declined | Later | Unsure


class Notifier(Protocol):
    @property
    def offers(self) -> frozenset[str]: ...

    async def send(self, intent: Intent) -> Told:
        """Make one attempt. Trouble with the receiver is an outcome, never an exception; it may be called twice."""


@runtime_checkable
class SendsOnce(Protocol):
    """A notifier whose messages must not go twice: each is written down as being sent before it is.

    One that was being sent when the hub stopped is not sent again.
    """

    @property
    def sends_once(self) -> bool: ...
