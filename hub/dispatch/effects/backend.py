"""What a manager backend must be able to do, and the values it answers with."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from hub.intents.intent import Intent

Fields = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Applied:
    """Done, and the backend said so. `ticket` where it numbers such things."""

    ticket: int | None = None
    before: Fields | None = None
    after: Fields | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """It said no, definitely: nothing was changed."""

    reason: str
    before: Fields | None = None


@dataclass(frozen=True, slots=True)
class Unknown:
    """It was sent and nobody knows what became of it."""

    reason: str


@dataclass(frozen=True, slots=True)
class NotSent:
    """Nothing left this machine: trying again later is safe."""

    reason: str


Executed = Applied | Refused | Unknown | NotSent


@dataclass(frozen=True, slots=True)
class Found:
    """More than one ticket is a duplicate a person must hear of."""

    tickets: tuple[int, ...] = ()
    after: Fields | None = None


@dataclass(frozen=True, slots=True)
class NotFound:
    """A complete read that does not show it."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    reason: str


@dataclass(frozen=True, slots=True)
class Doubtful:
    """The read shows something that may be it and may not: only a person can tell."""

    reason: str
    tickets: tuple[int, ...] = field(default=())


Seen = Found | NotFound | Unreadable | Doubtful


class ManagerBackend(Protocol):
    """One server's back office.

    `execute` sends at most once and never tries again by itself; it is called only after SENDING is on disk. `look`
    only reads, may be called at any time, and says NotFound only after a complete read. Neither raises for trouble
    with the backend. Verbs with a desired state compare before they send, so calling `execute` twice is harmless.
    """

    @property
    def server(self) -> str: ...

    @property
    def offers(self) -> frozenset[str]: ...

    @property
    def simulated(self) -> bool:
        """Return whether no real money hangs on it: then it may be used without arming."""

    async def execute(self, intent: Intent) -> Executed: ...

    async def look(self, intent: Intent) -> Seen: ...


@runtime_checkable
class ReadsAccounts(Protocol):
    """A backend that can say how an account stands now: without it no `guard` and no `verify` can be asked."""

    async def read(self, account: str) -> Fields | Refused | Unreadable:
        """Return what was read just now, named as expressions name it; what the platform does not tell is left out."""
