"""What a workflow is made into to be run: its plan, its triggers, its feeds, and what an event of a type concerns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple, Protocol
from urllib.parse import quote

from hub.engine.accumulators import Counting
from hub.engine.code import Instruction
from hub.engine.joined import Part, alone
from hub.engine.program import Aggregate, Anchor, Mode, Trigger, Workflow
from hub.engine.program_steps import Approve
from hub.engine.split import Equalities, Split
from hub.engine.values import Slot
from hub.expr import Expression, Fast
from hub.expr.generate import Doubt, Fixed, Sought

PRIORITY = {"critical": 0, "normal": 1, "bulk": 2}


@lru_cache(maxsize=4096)  # names of triggers and steps, and the keys that fire just now
def quoted(part: str) -> str:
    """Percent-encode one part of a run's or an intent's identity; `server:login` and `client=ID` stay readable."""
    return quote(part, safe=":=")


@dataclass(slots=True, eq=False)
class Feed:
    """An aggregate as it is fed; workflows with an equal one share it.

    `watched`: a condition reads it, so its expiry is an input of its own; `lets_go`: a late one does while none of `edges` is up. The fast ones answer or raise.
    """

    order: int
    name: str
    slot: Slot
    alarm: Slot
    aggregate: Aggregate
    accumulator: Counting
    gate: Expression | None  # its `where`
    value: Expression | None
    gate_fast: Fast | None
    value_fast: Fast | None
    params: Mapping[str, object]
    ref: str | None
    watched: bool = False
    # Every condition that reads it counts upwards, so that what leaves its window can only end one of these.
    lets_go: bool = True
    edges: list[Slot] = field(default_factory=list)  # of the conditions that read it
    granted: bool = (
        False  # a grant reads it: what it was in a period is kept as long as the grant is followed
    )


@dataclass(slots=True, eq=False)
class Remembered:
    """An anchor of a workflow: `index` names it where conditions are asked because it changed."""

    name: str
    index: str
    slot: Slot
    anchor: Anchor
    plan: "Plan"


class Binding(NamedTuple):
    """What an environment needs beside the event, the account and the client: aggregates, anchors, params if any is read.

    Triggers that need the same share one, so that an environment filled for one of them serves the next.
    """

    feeds: tuple[tuple[str, Feed], ...]
    params: Mapping[str, object] | None
    anchors: tuple[Remembered, ...] = ()


NOTHING_BOUND = Binding((), None)


class Watcher(Protocol):
    """Sees which steps runs take, by their place in the code, and how their branches are answered."""

    def took(self, position: int) -> None: ...

    def answered(self, position: int, holds: bool, /) -> None: ...


@dataclass(slots=True, eq=False)
class Plan:
    """A workflow with what running it needs: `prefix` starts the identity of every run and intent of it."""

    workflow: Workflow
    prefix: str
    params: Mapping[str, object]
    code: Sequence[Instruction]
    handler: int | None
    feeds: tuple[tuple[str, Feed], ...]
    triggers: Mapping[str, "Candidate"]
    granted_on: frozenset[str] = frozenset()  # what a grant's worth depends on, as changes are named
    anchors: tuple[Remembered, ...] = ()

    asks: bool = field(init=False)  # a person, somewhere on its way
    watcher: "Watcher | None" = None

    def __post_init__(self) -> None:
        self.asks = any(isinstance(step, Approve) for step in self.code)

    @property
    def shadow(self) -> bool:
        return self.workflow.mode is not Mode.LIVE

    @property
    def stopped(self) -> bool:
        """Return whether it is in shadow only until a person has looked at its breaker."""
        return self.shadow and self.workflow.stopped


@dataclass(slots=True, eq=False)
class Candidate:
    """One trigger of one workflow; `part` names both. `feeds` are the aggregates its conditions read.

    `fast` answers the trigger's condition or raises; a plain no from it is the end of most questions.
    """

    order: int
    plan: Plan
    trigger: Trigger
    gate: Expression | None  # its workflow's scope
    part: str
    edge: Slot
    binding: Binding
    condition: Expression | None
    fast: Fast | None
    on_event: bool

    _alone: dict[bool, Doubt | None] = field(default_factory=dict, init=False)

    def alone(self, *, held: bool) -> Doubt | None:
        """Return the question whether its condition may turn, by how it stood; None where that takes care."""
        if held not in self._alone:
            self._alone[held] = alone(self.part_of_question, held=held)
        return self._alone[held]

    @property
    def part_of_question(self) -> Part:
        roots: dict[str, Fixed | Sought] = {name: Sought(feed) for name, feed in self.feeds}
        if self.binding.params is not None:
            roots["params"] = Fixed(self.binding.params)
        # What is remembered stands in the environment alone: such a condition is asked by itself.
        condition = None if self.binding.anchors else self.condition
        return Part(condition, roots, None if self.on_event else self.edge)

    @property
    def part_in_any_scope(self) -> Part:
        """Return its part of a question that leaves its scope open; where nothing else is asked, the scope is."""
        part = self.part_of_question
        return part._replace(condition=self.gate) if self.on_event and self.condition is None else part

    @property
    def feeds(self) -> tuple[tuple[str, Feed], ...]:
        return self.binding.feeds


@dataclass(frozen=True, slots=True)
class TypePlan:
    """What an event of one type concerns. `asked` remembers, by what changed, where to look for the candidates."""

    listed: Sequence[tuple[Candidate, Equalities]]
    triggers: Split[Candidate]
    feeds: Split[Feed]
    retracted: tuple[Feed, ...]
    absents: tuple["Candidate", ...] = ()  # that wait for it not to come, or begin with it
    of_client: bool = False  # told of the client behind the account
    begins: tuple[Feed, ...] = ()  # whose windows begin anew with it
    awaited: bool = False  # runs may wait for it
    anchored: tuple[Plan, ...] = ()  # whose anchors may be taken now
    asked: dict[tuple[str, ...], tuple[Split[Candidate], ...]] = field(default_factory=dict)
