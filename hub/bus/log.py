"""The `input` log: everything a decision may depend on is one of its rows.

Partitions number their rows without gaps (`n`); an account lives in one partition, so its rows are in order. `append`
returns after the rows are on disk, and only then.
"""

from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple, Protocol

from typing_extensions import override

from hub.events.facts import Fact


class InputKind(IntEnum):
    """Written into the log: never renumbered."""

    EVENT = 1
    TIMER = 2
    OUTCOME = 3  # of an intent: body is the outcome, ref the intent's key
    MAIL = 4  # from another key's partition
    COMMAND = 5  # a person or the hub's own watcher asks for something
    ACTIVATED = 6  # another set of workflows is live from here on
    APPROVAL = 7  # a person decides: ref is the approval, body the ballot


class Lane(IntEnum):
    LIVE = 0
    BULK = 1  # imports, replays, files: let in while few live inputs wait


class Input(NamedTuple):
    """One row. `at` is when the hub learned it (µs), `key` the account's or "", `sequence` the account's event number.

    `rank` is the order in which one log took rows of all its partitions.
    """

    partition: int
    n: int
    at: int
    kind: int
    key: str
    ref: str
    sequence: int | None
    body: bytes
    rank: int = 0


@dataclass(frozen=True, slots=True)
class NewInput:
    """An input that is no event. `unique`, where given, makes a second telling a duplicate."""

    partition: int
    kind: InputKind
    key: str
    ref: str
    body: bytes
    unique: str | None = None


@dataclass(frozen=True, slots=True)
class Mark:
    """Something a source remembers about itself (a cursor), written with the facts it belongs to."""

    source: str
    name: str
    value: bytes | None


class Appended(NamedTuple):
    """`mismatch`: the same key is stored with other content; the first telling stands."""

    id: str
    duplicate: bool
    mismatch: bool


class Teller(Protocol):
    """What whoever brings facts needs: the log itself, or the way to the process that owns its partitions."""

    def append(
        self, facts: Sequence[Fact], *, marks: Sequence[Mark] = (), lane: Lane = Lane.LIVE
    ) -> Awaitable[list[Appended]]:
        """Return, one per fact and in order, once all of it is safe. Raises StoreUnavailable when it may not be.

        Telling the same facts again is always harmless.
        """

    async def find(self, key: bytes) -> Input | None:
        """Return the event stored under a dedupe key."""

    async def marks(self, source: str) -> Mapping[str, bytes]:
        """Return what a source remembers about itself."""


class Places(Protocol):
    """How far a consumer of the log has come, where it says so by itself and not with what it writes."""

    async def reached(self, consumer: str) -> list[int]:
        """Return the last n the consumer is done with, for every partition."""

    async def reach(self, consumer: str, positions: Mapping[int, int]) -> None: ...


class Log(Teller, Protocol):
    @override
    def append(
        self,
        facts: Sequence[Fact],
        *,
        inputs: Sequence[NewInput] = (),
        marks: Sequence[Mark] = (),
        lane: Lane = Lane.LIVE,
    ) -> Awaitable[list[Appended]]:
        """Store what is new and return, one per fact and in order, once all of it is on disk.

        Everything in one call is one transaction. Raises StoreUnavailable when nothing was stored.
        """

    async def read(self, partition: int, after: int, limit: int) -> list[Input]:
        """Return up to `limit` rows of a partition with n > after, in order of n."""

    async def start(self, positions: Sequence[int]) -> int:
        """Return a rank before which every row is within `positions` (the last n of each partition)."""

    async def scan(self, after: int, limit: int) -> list[Input]:
        """Return up to `limit` rows of any partition with rank > after, in order of rank."""

    def heads(self) -> Sequence[int]:
        """Return the last committed n of every partition."""
