"""A workflow as the engine runs it: loaded, typed, compiled, never changed afterwards."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Literal, NamedTuple

from hub.engine.keys import KeyedBy
from hub.engine.naming import Naming
from hub.engine.program_steps import Step, Value
from hub.engine.program_timed import Limit, Manual, Quiet, Schedule, Trip
from hub.errors import Place
from hub.events.watched import POSITION_FIELDS, SYMBOL_FIELDS
from hub.expr import Expression
from hub.intents.verbs import Verb


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
OfSymbol = Literal["bid", "ask", "spread"]


@dataclass(frozen=True, slots=True)
class Trailing:
    """A limit that follows a peak: `line` reads the anchor, in a straight line; it goes not below or above the others."""

    anchor: str
    line: Expression
    low: tuple[Expression, ...] = ()
    high: tuple[Expression, ...] = ()


@dataclass(frozen=True, slots=True)
class Crosses:
    """Fires when a sampled field, of an account, a position or a symbol, passes `limit`; armed again at `rearm` (the limit itself where none is given).

    With `hold` it fires once the value has been past it for so long, as far as anybody saw: `gap` says what becomes of
    that when the feed is away. `trailing` and `trailing_rearm` are the limit and the rearm where they follow a peak.
    """

    id: str
    field: Sampled | OfPosition | OfSymbol
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
        if self.field in SYMBOL_FIELDS:
            return f"symbol.{self.field}"
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
    `shifts`: deposits and withdrawals move it by their amount.
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
    shifts: bool = False

    @property
    def trails(self) -> bool:
        return self.field is not None

    @property
    def expressions(self) -> tuple[Expression, ...]:
        """Return what it is made of, as far as it moves with events."""
        given = (None if self.trails else self.take, self.first, self.lock, self.where)
        return tuple(each for each in given if each is not None)


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
    """`hash` is sha256 of the file's text: a run is pinned to it. `stopped`: it is in shadow because its breaker tripped."""

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
    stopped: bool = False
    naming: Naming | None = None  # where its keys are worked out

    @property
    def kept_by(self) -> str:
        """Return its key as the file writes it."""
        return self.naming.text if self.naming is not None else str(self.key)
