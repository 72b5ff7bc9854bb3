"""What one transaction of the engine writes, as rows; the store knows their columns and nothing of their meaning."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from hub.bus.lease import Lease
from hub.bus.log import Input, NewInput
from hub.events.facts import Fact
from hub.intents.intent import Intent


class StateRow(NamedTuple):
    """One value belonging to one key; `value` None deletes it. `kind` and `name` are the engine's."""

    partition: int
    key: str
    kind: int
    name: str
    value: bytes | None


class SeriesRow(NamedTuple):
    """One contribution to an aggregate that must be able to let it go again; `value` None deletes it."""

    partition: int
    key: str
    name: str
    at: int
    ref: str
    value: str | None


class TimerRow(NamedTuple):
    """(due, id) makes it unique; `key` and `kind` are the engine's. Firing appends an input of kind TIMER whose ref is kind:due:id."""

    partition: int
    due: int
    id: str
    key: str
    kind: str
    body: bytes


class TimerKey(NamedTuple):
    """What it takes to cancel a timer: the store keeps timers by their time, so the time is part of the name."""

    partition: int
    due: int
    id: str


class LevelRow(NamedTuple):
    """A sampled value somebody waits for. `state`: new (never seen), armed, crossed, or gone (delete it).

    A crossing counts only while its generation is the row's; every change of the row is a new generation. `rule` is
    that of `hub.events.watched`.

    Two more kinds of rows stand among them. State day: the day whose clock is (`side`, `threshold`) rolls over, and has
    until `rearm`. State trail: of `field` the largest (`side` max) or smallest value is followed, from `threshold` on,
    or from the `peak` that was written since.
    """

    partition: int
    level_id: str
    key: str
    field: str
    side: str
    threshold: str
    rearm: str
    generation: int
    state: str
    rule: str = ""
    peak: str = ""


class Peak(NamedTuple):
    """How far a trail has come; it counts for that generation of the row alone."""

    partition: int
    level_id: str
    generation: int
    peak: str


class RunRow(NamedTuple):
    partition: int
    id: str
    key: str
    workflow: str
    version: str
    state: str  # queued, running, done, failed
    at: int
    body: bytes


class ApprovalRow(NamedTuple):
    """A question to people, as it was asked: `shown` is JSON, what they are shown and `hash` was made of; b"" in a list.

    `state` is open, approved, declined, expired or withdrawn; `votes` JSON, who said what. Those two change.
    """

    partition: int
    id: str
    key: str
    workflow: str
    run: str
    step: str
    title: str
    account: str
    permission: str
    state: str
    at: int
    due: int
    hash: str
    shown: bytes
    votes: bytes


class ApprovalFilter(NamedTuple):
    """Which questions are wanted: those of this state, workflow, account and permission; an empty text wants all."""

    state: str = ""
    workflow: str = ""
    account: str = ""
    permission: str = ""


ANY_APPROVAL = ApprovalFilter()


class ApprovalMove(NamedTuple):
    """What changed of a question that was asked before."""

    id: str
    state: str
    votes: bytes


class TraceRow(NamedTuple):
    """Why: one decision that fired, armed, was held back or failed. `id` is unique within its input."""

    partition: int
    n: int
    id: str
    workflow: str
    key: str
    at: int
    outcome: str
    body: bytes


@dataclass(slots=True)
class Batch:
    """Everything one batch of inputs changed, with the position it leaves each partition at: one transaction."""

    positions: dict[int, int] = field(default_factory=dict)
    states: list[StateRow] = field(default_factory=list)
    series: list[SeriesRow] = field(default_factory=list)
    timers: list[TimerRow] = field(default_factory=list)
    cancelled: list[TimerKey] = field(default_factory=list)
    levels: list[LevelRow] = field(default_factory=list)
    runs: list[RunRow] = field(default_factory=list)
    approvals: list[ApprovalRow] = field(default_factory=list)  # those asked now
    approval_moves: list[ApprovalMove] = field(default_factory=list)  # written behind them
    intents: list[Intent] = field(default_factory=list)
    facts: list[Fact] = field(default_factory=list)  # events a workflow or an outcome publishes
    traces: list[TraceRow] = field(default_factory=list)
    mail: list[NewInput] = field(default_factory=list)  # for keys of any partition, in this order


class KeyRows(NamedTuple):
    states: Sequence[tuple[int, str, bytes]]  # kind, name, value
    series: Sequence[tuple[str, int, str, str]]  # name, at, ref, value; in order of at
    levels: Sequence[LevelRow]


class EngineStore(Protocol):
    """Where the engine keeps what it knows. One process owns a partition; the fence, its leases, proves it in every write."""

    async def positions(self, consumer: str) -> list[int]:
        """Return the last n decided, for every partition."""

    async def load(self, keys: Sequence[tuple[int, str]]) -> Mapping[str, KeyRows]:
        """Return everything known of each (partition, key); a key nobody knows has no rows."""

    async def keys(self, partition: int, after: str, limit: int) -> list[str]:
        """Return keys with any state, in order, to walk over a partition."""

    async def commit(self, batch: Batch, fence: Sequence[Lease]) -> None:
        """Write all of it or nothing. Raises LeaseLost when somebody else owns one of the partitions now.

        Intents, runs, timers and traces that are there already are left as they are: replay asks for nothing twice.
        """

    async def fire_timers(self, now_us: int, limit: int) -> int:
        """Turn due timers, in (due, id) order, into inputs; return how many. A timer fires once."""

    def next_timer(self) -> int | None:
        """Return when the earliest timer is due, in µs."""

    async def run(self, run_id: str) -> RunRow | None: ...

    async def open_runs(self, partition: int) -> list[RunRow]: ...

    async def levels(self) -> list[LevelRow]:
        """Return every level, for a watcher that starts."""

    async def save_peaks(self, peaks: Sequence[Peak], fence: Sequence[Lease]) -> None:
        """Write how far trails have come, beside what the engine writes of them. Raises LeaseLost as `commit` does."""

    async def save_version(self, version: str, workflow: str, text: str) -> None: ...

    async def version(self, version: str) -> str | None:
        """Return the text of a workflow by its hash."""

    async def active(self) -> str | None:
        """Return the manifest of the workflows now live, as `activate` was given it."""

    async def activate(self, manifest: str, inputs: Sequence[NewInput]) -> None:
        """Write the manifest and one ACTIVATED input per partition in one transaction."""

    async def leave(self, item: NewInput) -> None:
        """Append an input behind everything whose commit was told of by now, whoever told it."""

    async def traces(
        self, *, workflow: str, key: str, limit: int, before: int | None = None
    ) -> list[TraceRow]: ...


class Inbox(Protocol):
    """One consumer's place in the log."""

    async def take(self, limit: int) -> list[Input]:
        """Return the next inputs in order per partition, waiting until there are any; empty when told to stop or wake."""

    def backlog(self) -> int: ...
