"""A workflow as the engine runs it: loaded, typed, compiled, never changed afterwards."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import time, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any, Literal, NamedTuple

from hub.engine.keys import KeyedBy
from hub.engine.program_timed import Manual, Schedule, Trip
from hub.errors import Place
from hub.events.watched import POSITION_FIELDS
from hub.expr import Expression
from hub.intents.shape import Shape
from hub.intents.verbs import Verb
from hub.text import Template

LONGEST_PAUSE = timedelta(days=1)


class Mode(StrEnum):
    OFF = "off"
    SHADOW = "shadow"
    LIVE = "live"


@dataclass(frozen=True, slots=True)
class Calendar:
    """From local midnight (or `daily_at`) to the next boundary, by IANA zone: days of 23 and 25 hours included."""

    period: Literal["day", "week", "month", "quarter", "year"]
    zone: str
    daily_at: str = "00:00"


@dataclass(frozen=True, slots=True)
class Sliding:
    """(now - duration, now]."""

    duration: timedelta


@dataclass(frozen=True, slots=True)
class Tumbling:
    """[k * duration, (k + 1) * duration), counted from the epoch in UTC."""

    duration: timedelta


@dataclass(frozen=True, slots=True)
class Lifetime:
    pass


@dataclass(frozen=True, slots=True)
class SinceEnd:
    """Since a period of the calendar ended: for the present one, since it began."""

    calendar: Calendar


@dataclass(frozen=True, slots=True)
class Since:
    """What happened after the latest `event`; before the first one everything, or nobody knows (`missing`)."""

    event: str
    where: Expression | None
    missing: bool


Window = Calendar | Sliding | Tumbling | Lifetime | SinceEnd | Since
Function = Literal["sum", "count", "min", "max", "avg", "last", "distinct", "distinct_days", "best_day_share"]


@dataclass(frozen=True, slots=True)
class Retract:
    """An event of type `event` takes back the contribution whose `ref` field equals its own."""

    event: str
    ref: str


@dataclass(frozen=True, slots=True)
class Aggregate:
    """`id` hashes the definition (source, where, value, function, window, days, key, retract): workflows share equal ones."""

    id: str
    name: str
    source: str
    function: Function
    value: Expression | None
    where: Expression | None
    window: Window
    retract: Retract | None
    days: Calendar | None = None  # what a day is, where days are told apart
    over: Literal["positions", "accounts"] | None = None  # the present rows it is made of, not events


@dataclass(frozen=True, slots=True)
class OnEvent:
    id: str
    event: str  # a type, or a pattern such as trade.*
    where: Expression | None
    on_replay: Literal["fire", "skip"]


@dataclass(frozen=True, slots=True)
class Becomes:
    """Fires when `condition` turns from false to true for a key, or once it has held for so long."""

    id: str
    condition: Expression
    hold: timedelta | None
    on_first: bool
    on_replay: Literal["fire", "skip"]


Sampled = Literal["equity", "floating", "free_margin", "margin_level"]
OfPosition = Literal["profit", "price"]


@dataclass(frozen=True, slots=True)
class Trailing:
    """A limit that follows a peak: `line` reads the anchor, in a straight line; it goes not below or above the others."""

    anchor: str
    line: Expression
    low: tuple[Expression, ...] = ()
    high: tuple[Expression, ...] = ()


@dataclass(frozen=True, slots=True)
class Crosses:
    """Fires when a sampled field, of an account or of a position, passes `limit`; armed again at `rearm` (the limit itself where none is given).

    With `hold` it fires once the value has been past it for so long, as far as anybody saw: `gap` says what becomes of
    that when the feed is away. `trailing` and `trailing_rearm` are the limit and the rearm where they follow a peak.
    """

    id: str
    field: Sampled | OfPosition
    side: Literal["below", "above"]
    limit: Expression
    rearm: Expression | None
    on_first: bool
    inclusive: bool = False
    hold: timedelta | None = None
    gap: Literal["restart", "continue"] = "restart"
    trailing: Trailing | None = None
    trailing_rearm: Trailing | None = None

    @property
    def watched(self) -> str:
        """Return the sampled value as a workflow's file names it."""
        return f"position.{self.field}" if self.field in POSITION_FIELDS else f"account.{self.field}"

    @property
    def is_held(self) -> bool:
        """Whether somebody has to tell when the feed was away."""
        return self.hold is not None and self.gap == "restart"


@dataclass(frozen=True, slots=True)
class Absent:
    """Fires when no `event` came `within` a time: since `after`, or without it since the last one, or the first look."""

    id: str
    event: str
    where: Expression | None
    within: timedelta
    after: str | None
    after_where: Expression | None


@dataclass(frozen=True, slots=True)
class PeriodEnd:
    """Fires `delay` after the end of each period; `catch_up` says which of those missed."""

    id: str
    calendar: Calendar
    delay: timedelta
    catch_up: Literal["last", "all", "none"]


Trigger = OnEvent | Becomes | Crosses | Absent | PeriodEnd | Schedule | Manual


@dataclass(frozen=True, slots=True)
class Anchor:
    """A value to remember, as `take` has it: when a day begins, once, at an event, or the extreme of all it ever was.

    `field` is the sampled value whose extreme is followed; `first` stands in until there is a value, and is where an
    extreme begins; an extreme counts no further than to `lock`. `definition` changes with what makes the value another.
    """

    name: str
    how: Literal["daily", "once", "event", "max", "min"]
    take: Expression
    definition: str
    first: Expression | None = None
    lock: Expression | None = None
    day: Calendar | None = None
    event: str | None = None
    where: Expression | None = None
    field: Sampled | None = None

    @property
    def trails(self) -> bool:
        return self.field is not None

    @property
    def expressions(self) -> tuple[Expression, ...]:
        """Return what it is made of, as far as it moves with events."""
        given = (None if self.trails else self.take, self.first, self.lock, self.where)
        return tuple(each for each in given if each is not None)


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `max` runs within `every` (None: for ever), per key, or per key and trigger."""

    max: int
    every: timedelta | None
    per: Literal["key", "trigger"]


@dataclass(frozen=True, slots=True)
class Quiet:
    """From `start` to `end` by a local clock, past midnight where `end` is earlier: [start, end)."""

    start: time
    end: time
    zone: str | Expression
    skip: bool


@dataclass(frozen=True, slots=True)
class Literally:
    value: Any


@dataclass(frozen=True, slots=True)
class Computed:
    expression: Expression


@dataclass(frozen=True, slots=True)
class Rendered:
    template: Template


@dataclass(frozen=True, slots=True)
class Nested:
    """A mapping or a list whose parts are values themselves."""

    parts: Mapping[str, "Value"] | tuple["Value", ...]


Value = Literally | Computed | Rendered | Nested


@dataclass(frozen=True, slots=True)
class Retry:
    """At most `max` times more after a refusal, `delay` later and each time `factor` times longer, at most `up_to`."""

    max: int
    delay: timedelta
    factor: Decimal
    up_to: timedelta | None

    def pause(self, tried: int) -> timedelta:
        """Return how long to wait after so many refusals."""
        seconds = Decimal(self.delay // timedelta(microseconds=1)) * self.factor ** (tried - 1)
        longest = self.up_to if self.up_to is not None else LONGEST_PAUSE
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


class Unread(NamedTuple):
    """A workflow file that cannot be loaded now: its name, and the id it gives itself if that much can be read."""

    file: str
    workflow: str | None


@dataclass(frozen=True, slots=True)
class TakeBack:
    """`deposit` where it is in proportion to what a withdrawal takes of it; `waits` where the cap is too low."""

    mode: Literal["full", "proportional", "none"]
    deposit: Expression | None
    cap: Expression | None
    waits: bool


@dataclass(frozen=True, slots=True)
class Grant:
    """A promise per key and period of `calendar` (None: one for ever), booked by difference and watched for a time."""

    id: str
    verb: Verb
    back: Verb
    amount: Expression
    condition: Expression
    calendar: Calendar | None
    at_end: bool  # booked when the period is over, or else once the condition holds
    on_first: bool  # a lifetime's: also where it holds at the first look
    delay: timedelta
    watch: timedelta
    take_back: TakeBack
    comment: Value | None
    place: Place | None = None

    @property
    def expressions(self) -> tuple[Expression, ...]:
        """Return what decides how much is owed and taken."""
        found = (self.amount, self.condition, self.take_back.cap, self.take_back.deposit)
        return tuple(each for each in found if each is not None)


@dataclass(frozen=True, slots=True)
class Workflow:
    """`hash` is sha256 of the file's text: a run is pinned to it."""

    id: str
    title: str
    owner: str
    mode: Mode
    priority: Literal["critical", "normal", "bulk"]
    scope: Expression | None
    key: KeyedBy
    params: Mapping[str, Decimal | str | bool | timedelta]
    aggregates: tuple[Aggregate, ...]
    triggers: tuple[Trigger, ...]
    limit: Limit | None
    most_open: int | None  # runs of one key; None: as many as the engine takes
    quiet: Quiet | None
    itself: bool  # its own effects may start it again
    steps: tuple[Step, ...]
    on_error: tuple[Step, ...]
    hash: str
    text: str
    place: Place
    grant: Grant | None = None
    anchors: tuple[Anchor, ...] = ()
    queue: int | None = None  # how many runs of one key may wait for the open one; None: none does
    trip: Trip | None = None
