"""The steps of a workflow as the engine runs them, and the values they are given."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any, Literal

from hub.engine.messages import Message
from hub.engine.program_timed import Quiet
from hub.errors import Place
from hub.events.declared import Declared
from hub.expr import Expression
from hub.expr.tree import Node
from hub.intents.shape import Shape
from hub.intents.verbs import Verb
from hub.text import Template

LONGEST_PAUSE = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Literally:
    value: Any


@dataclass(frozen=True, slots=True)
class Computed:
    expression: Expression


@dataclass(frozen=True, slots=True)
class Rendered:
    """`reads` are the fields its text names that stand as text in their event, and are another thing to whoever reads it."""

    template: Template
    reads: tuple[Node, ...] = ()


@dataclass(frozen=True, slots=True)
class Nested:
    """A mapping or a list whose parts are values themselves."""

    parts: Mapping[str, "Value"] | tuple["Value", ...]


@dataclass(frozen=True, slots=True)
class Chosen:
    """A message by name, in a language that is computed as well, and the values it reads beside what everybody knows."""

    name: "Value"
    language: "Value | None"
    values: Mapping[str, "Value"]
    messages: Mapping[str, Message]


@dataclass(frozen=True, slots=True)
class Worded:
    """What a message says for one parameter: the first of its `parts` that there is; or its language, or its version."""

    chosen: Chosen
    says: str
    parts: tuple[str, ...]


Value = Literally | Computed | Rendered | Nested | Worded


@dataclass(frozen=True, slots=True)
class Retry:
    """At most `max` times more after a refusal, `delay` later and each time `factor` times longer, at most `up_to` or a day."""

    max: int
    delay: timedelta
    factor: Decimal
    up_to: timedelta | None

    def pause(self, tried: int) -> timedelta:
        """Return how long to wait after so many refusals."""
        seconds = Decimal(self.delay // timedelta(microseconds=1)) * self.factor ** (tried - 1)
        longest = self.up_to if self.up_to is not None else max(self.delay, LONGEST_PAUSE)
        return min(longest, timedelta(microseconds=int(min(seconds, Decimal(10) ** 15))))


@dataclass(frozen=True, slots=True)
class Do:
    """`path` names the step within its workflow, for intent identity: its id, or its position ("2", "2.then.0")."""

    path: str
    id: str | None
    verb: Verb
    params: Mapping[str, Value]
    place: Place | None = None
    retry: Retry | None = None
    goes_on: bool = False  # where the step does not come about
    timeout: timedelta | None = None  # how long the run waits for its outcome
    guard: Expression | None = None  # asked on a fresh look at the account, right before it is sent
    verify: Expression | None = None  # and this one after it was applied
    undo: "Do | None" = None  # what takes it back
    may_repeat: bool = True  # a request that was not answered may be sent again: it does the same but once
    shape: Shape | None = None  # what its answer has to look like
    secrets: frozenset[str] = frozenset()  # that it needs, by name
    tells: Declared | None = None  # what somebody declared of the event it publishes

    @property
    def waits(self) -> bool:
        """Whether the run goes on only when it is known what came of it."""
        return self.verb.is_manager or self.verb.answers or self.timeout is not None


@dataclass(frozen=True, slots=True)
class If:
    path: str
    id: str | None
    condition: Expression
    then: tuple["Step", ...]
    otherwise: tuple["Step", ...]


@dataclass(frozen=True, slots=True)
class Set:
    """Values as they are now, read as `steps.ID.NAME` afterwards."""

    path: str
    id: str
    values: Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Stop:
    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class Wait:
    """For `span`, until a moment, for an `event`, or until `condition` holds; the last two no longer than `timeout`.

    The one before the first step waits for the end of the quiet hours.
    """

    path: str
    id: str | None
    span: timedelta | None
    until: Expression | None
    event: str | None
    where: Expression | None
    from_start: bool  # an event that came while the run was busy with something else counts
    condition: Expression | None
    timeout: timedelta | None
    on_timeout: Literal["continue", "stop", "fail"]
    quiet: Quiet | None = None
    from_trigger: bool = False  # and one that came before the run began, since what started it happened


@dataclass(frozen=True, slots=True)
class Approve:
    """Waits `within` a time for as many people as `quorum` to approve what follows, none of them one of `not_by`."""

    path: str
    id: str
    permission: str
    quorum: int
    not_by: tuple[Value, ...]
    show: tuple[str, ...]
    within: timedelta
    on_timeout: Literal["reject", "fail"]
    text: Value | None


@dataclass(frozen=True, slots=True)
class Parallel:
    """Branches side by side; the run goes on when all are at their end."""

    path: str
    id: str | None
    branches: tuple[tuple["Step", ...], ...]
    goes_on: bool  # where a branch fails


@dataclass(frozen=True, slots=True)
class ForEach:
    """The same steps for every item of a list, read as `name`; of so many items at a time."""

    path: str
    id: str | None
    items: Expression
    name: str
    steps: tuple["Step", ...]
    concurrency: int
    most: int
    goes_on: bool  # where an item fails


Step = Do | If | Set | Stop | Wait | Approve | Parallel | ForEach


def steps_of(steps: Iterable[Step]) -> Iterator[Do]:
    """Yield every verb step, those under conditions and in branches as well, and what takes them back."""
    for step in steps:
        match step:
            case Do():
                yield step
                if step.undo is not None:
                    yield step.undo
            case If(then=then, otherwise=otherwise):
                yield from steps_of(then)
                yield from steps_of(otherwise)
            case Parallel(branches=branches):
                for branch in branches:
                    yield from steps_of(branch)
            case ForEach(steps=inner):
                yield from steps_of(inner)
            case Set() | Stop() | Wait() | Approve():
                pass
