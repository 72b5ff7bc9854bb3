"""What a channel for messages must be able to do: at least once, with an id that stays the same."""

from dataclasses import dataclass
from typing import Protocol

from hub.intents.intent import Intent


@dataclass(frozen=True, slots=True)
class Sent:
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Declined:
    """It will never be taken: the address or the message is wrong."""

    reason: str


@dataclass(frozen=True, slots=True)
class Later:
    """Temporary trouble: try again on the schedule."""

    reason: str


Told = Sent | Declined | Later


class Notifier(Protocol):
    @property
    def offers(self) -> frozenset[str]: ...

    async def send(self, intent: Intent) -> Told:
        """Make one attempt. Trouble with the receiver is an outcome, never an exception; it may be called twice."""
