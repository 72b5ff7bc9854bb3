"""The workflow file: these models are the only definition of its format.

The JSON Schema for editors, the hover texts and the messages about unknown keys all come from here. `later` names the
keys that belong to the format and not yet to this version, so that nobody takes them for typing errors.
"""

from decimal import Decimal
from typing import Annotated, Any, ClassVar, Final, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    model_validator,
)
from pydantic_core import PydanticCustomError

from hub.engine.fields import (
    Default,
    Duration,
    EventName,
    Every,
    Expr,
    Identifier,
    Key,
    Line,
    Slug,
    TriggerId,
    VerbName,
    read_duration,
)
from hub.engine.program import Function

Replay = Literal["fire", "skip"]


class Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, populate_by_name=False)

    later: ClassVar[frozenset[str]] = frozenset()


class ParamFile(Part):
    """A number or a text that a reader may want to change, named once: `params.rate`."""

    type: Literal["money", "number", "percent", "string", "bool", "duration"] = Field(
        description="What the value is. Money names its currency."
    )
    default: Default = Field(description="The value.")
    currency: Annotated[str, StringConstraints(pattern=r"^[A-Z0-9]{3,8}$")] | None = Field(
        None, description="The currency of a money parameter, such as USD."
    )
    about: Line | None = Field(None, description="What the value is for.")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        numeric = self.type in {"money", "number", "percent"}
        kind = type(self.default)
        if numeric and (kind not in {int, Decimal} or abs(Decimal(self.default)) >= Decimal(10) ** 16):
            raise PydanticCustomError(
                "hub.default", "the default of a {type} parameter is a plain number", {"type": self.type}
            )
        if not numeric and kind is not (bool if self.type == "bool" else str):
            needed = "true or false" if self.type == "bool" else "text: put it between quotes"
            raise PydanticCustomError(
                "hub.default",
                "the default of a {type} parameter is {needed}",
                {"type": self.type, "needed": needed},
            )
        if self.type == "duration":
            read_duration(self.default)
        if (self.type == "money") != (self.currency is not None):
            needed = (
                "names its currency: add `currency: USD`"
                if self.type == "money"
                else "has no currency: remove it"
            )
            raise PydanticCustomError(
                "hub.currency", "a {type} parameter {needed}", {"type": self.type, "needed": needed}
            )
        return self


class RetractFile(Part):
    """An event that takes a contribution back: the one whose `ref` is equal."""

    event: EventName = Field(description="The type of the event that takes back.")
    ref: Annotated[str, StringConstraints(pattern=r"^event\.[a-z][a-z0-9_]*$")] = Field(
        description="The field both events share, such as event.deal."
    )


class CalendarWindow(Part):
    later: ClassVar[frozenset[str]] = frozenset({"since", "until"})

    calendar: Literal["day", "week", "month", "quarter", "year"] = Field(
        description="The period, from local midnight to local midnight."
    )
    tz: Annotated[str, StringConstraints(min_length=1, max_length=64)] = Field(
        description="The time zone by name, such as Europe/Nicosia."
    )
    daily_at: Annotated[str, StringConstraints(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")] = Field(
        "00:00", description='When a day begins, such as "17:00".'
    )


class SlidingWindow(Part):
    sliding: Duration = Field(description="The last 7d, 24h and so on, up to now.")


class TumblingWindow(Part):
    tumbling: Duration = Field(description="One span after another, such as 1h: from full hour to full hour.")


def _kind_of_window(value: object) -> str | None:
    if isinstance(value, dict):
        return next((f"({key})" for key in ("sliding", "tumbling", "calendar") if key in value), None)
    return "(lifetime)" if isinstance(value, str) else None


Window = Annotated[
    Annotated[CalendarWindow, Tag("(calendar)")]
    | Annotated[SlidingWindow, Tag("(sliding)")]
    | Annotated[TumblingWindow, Tag("(tumbling)")]
    | Annotated[Literal["lifetime"], Tag("(lifetime)")],
    Discriminator(_kind_of_window),
]
FUNCTIONS: Final[tuple[Function, ...]] = (
    "sum",
    "count",
    "min",
    "max",
    "avg",
    "last",
    "distinct",
    "distinct_days",
)


class DaysFile(Part):
    """What a day is, where days are counted."""

    tz: Annotated[str, StringConstraints(min_length=1, max_length=64)] = Field(
        description="The time zone by name, such as Europe/Prague."
    )
    daily_at: Annotated[str, StringConstraints(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")] = Field(
        "00:00", description='When a day begins, such as "17:00".'
    )


def _kind_of_days(value: object) -> str:
    return "(days)" if isinstance(value, dict) else "(true)"


Days = Annotated[
    Annotated[DaysFile, Tag("(days)")] | Annotated[Literal[True], Tag("(true)")], Discriminator(_kind_of_days)
]


class AggregateFile(Part):
    """A running value per key: what it adds up, over which events and which window."""

    source: EventName = Field(alias="from", description="The type of the events it is made of.")
    where: Expr | None = Field(None, description="Which of them count.")
    sum: Expr | None = Field(None, description="The value to add up, such as event.lots.")
    count: Literal[True] | None = Field(None, description="`count: true` counts the events.")
    min: Expr | None = Field(None, description="The value whose smallest is kept.")
    max: Expr | None = Field(None, description="The value whose largest is kept.")
    avg: Expr | None = Field(None, description="The value to average.")
    last: Expr | None = Field(None, description="The value to keep as the latest event told it.")
    distinct: Expr | None = Field(None, description="The text or number whose different values are counted.")
    distinct_days: Days | None = Field(
        None,
        description="Counts the days with an event: `{tz: Europe/Prague}`, or true for the calendar window's days.",
    )
    window: Window = Field(
        description="Over which time: a calendar period, a sliding or tumbling span, or lifetime."
    )
    retract: RetractFile | None = Field(None, description="What takes a contribution back.")

    @model_validator(mode="after")
    def _one_function(self) -> Self:
        if sum(getattr(self, name) is not None for name in FUNCTIONS) != 1:
            raise PydanticCustomError(
                "hub",
                "an aggregate has exactly one of sum, count, min, max, avg, last, distinct and distinct_days, "
                "such as `sum: event.lots`",
            )
        return self


_LATER_TRIGGERS: Final = frozenset({"schedule", "period_end", "manual", "for", "gap", "catch_up", "webhook"})


class EventTrigger(Part):
    """Starts the workflow for every event of a type."""

    later: ClassVar[frozenset[str]] = _LATER_TRIGGERS

    id: TriggerId | None = Field(None, description="Its name; needed where there are several triggers.")
    event: EventName = Field(description="The type of the event, or a pattern such as trade.*")
    where: Expr | None = Field(None, description="Which of them start the workflow.")
    on_replay: Replay | None = Field(
        None,
        description="What a backfilled event does. Without it: fire where money or accounts are touched.",
    )


class BecomesTrigger(Part):
    """Starts the workflow when a condition turns from false to true."""

    later: ClassVar[frozenset[str]] = _LATER_TRIGGERS - {"for"}

    id: TriggerId | None = Field(None, description="Its name; needed where there are several triggers.")
    becomes: Expr = Field(description="The condition, over account, client, params and aggregates.")
    hold: Duration | None = Field(
        None, alias="for", description="How long it has to hold before it fires, such as 30s; over restarts."
    )
    on_first: bool = Field(False, description="Whether it fires when it is true at the first look.")
    on_replay: Replay | None = Field(
        None,
        description="What a backfilled event does. Without it: fire where money or accounts are touched.",
    )


class CrossesFile(Part):
    """A sampled value of an account, and the level it is watched against."""

    later: ClassVar[frozenset[str]] = frozenset({"for", "gap"})

    value: Expr = Field(
        description="account.equity, account.floating, account.free_margin or account.margin_level"
    )
    below: Expr | None = Field(None, description="Fires when the value falls below this.")
    above: Expr | None = Field(None, description="Fires when the value rises above this.")
    rearm: Expr | None = Field(None, description="Where the value has to return to before it can fire again.")

    @model_validator(mode="after")
    def _one_side(self) -> Self:
        if (self.below is None) == (self.above is None):
            raise PydanticCustomError("hub", "`crosses` has either `below` or `above`")
        return self


class CrossesTrigger(Part):
    """Starts the workflow when equity, floating profit, free margin or margin level passes a limit."""

    later: ClassVar[frozenset[str]] = _LATER_TRIGGERS

    id: TriggerId | None = Field(None, description="Its name; needed where there are several triggers.")
    crosses: CrossesFile
    on_first: bool = Field(False, description="Whether it fires when it is already beyond at the first look.")


class AbsentFile(Part):
    """An event that does not come, and how long it is waited for."""

    event: EventName = Field(description="The type of the event that should have come, or a pattern.")
    where: Expr | None = Field(None, description="Which of them count as coming.")
    within: Duration = Field(description="How long it is waited for, such as 30d.")
    after: EventName | None = Field(
        None,
        description="What the time begins with. Without it: with the last one, or the key's first event.",
    )
    after_where: Expr | None = Field(None, description="Which of these begin it.")

    @model_validator(mode="after")
    def _after_something(self) -> Self:
        if self.after is None and self.after_where is not None:
            raise PydanticCustomError(
                "hub", "`after_where` says which events of `after` count: name them there"
            )
        return self


class AbsentTrigger(Part):
    """Starts the workflow when an event did not come in time."""

    later: ClassVar[frozenset[str]] = _LATER_TRIGGERS

    id: TriggerId | None = Field(None, description="Its name; needed where there are several triggers.")
    absent: AbsentFile


TRIGGER_KEYS: Final = ("event", "becomes", "crosses", "absent")


def _kind_of_trigger(value: object) -> str | None:
    if not isinstance(value, dict):
        return None
    return next((f"({key})" for key in TRIGGER_KEYS if key in value), None)


Trigger = Annotated[
    Annotated[EventTrigger, Tag("(event)")]
    | Annotated[BecomesTrigger, Tag("(becomes)")]
    | Annotated[CrossesTrigger, Tag("(crosses)")]
    | Annotated[AbsentTrigger, Tag("(absent)")],
    Discriminator(_kind_of_trigger),
]


AnyTrigger = EventTrigger | BecomesTrigger | CrossesTrigger | AbsentTrigger


class RunFile(Part):
    """What happens to a run that would begin while another of the same workflow and key is open."""

    mode: Literal["single", "parallel"] = Field(description="single: it does not begin; parallel: it does.")
    max: Annotated[int, Field(ge=1, le=200)] | None = Field(None, description="How many may be open at once.")

    @model_validator(mode="after")
    def _one_is_single(self) -> Self:
        if self.mode == "single" and self.max is not None:
            raise PydanticCustomError("hub", "`max` belongs to `mode: parallel`: of single runs one is open")
        return self


class LimitFile(Part):
    """How often the workflow may run."""

    max: Annotated[int, Field(ge=1, le=1_000_000)] = Field(description="At most so many runs …")
    every: Every = Field(description="… within this time, such as 30d, or forever.")
    per: Literal["key", "trigger"] = Field("key", description="Counted per key, or per key and trigger.")


_TIME_OF_DAY: Final = r"^([01][0-9]|2[0-3]):[0-5][0-9]$"


class QuietFile(Part):
    """The hours in which nobody is to be disturbed."""

    start: Annotated[str, StringConstraints(pattern=_TIME_OF_DAY)] = Field(
        alias="from", description='When they begin, such as "21:00".'
    )
    end: Annotated[str, StringConstraints(pattern=_TIME_OF_DAY)] = Field(
        alias="to", description='When they end, such as "08:00"; the next day, if that is earlier.'
    )
    tz: Expr = Field(
        description="Whose clock: a time zone by name, or an expression such as client.timezone."
    )
    then: Literal["delay", "skip"] = Field("delay", description="Run when they end, or not at all.")

    @model_validator(mode="after")
    def _some_hours(self) -> Self:
        if self.start == self.end:
            raise PydanticCustomError(
                "hub", "`from` and `to` are the same time: nothing or everything is quiet"
            )
        return self


_LATER_STEPS: Final = frozenset({"for_each", "parallel", "approve", "timeout", "verify", "guard", "undo"})
Params = dict[Annotated[str, StringConstraints(min_length=1, max_length=128)], Any]


class RetryFile(Part):
    """How often an action that was refused is asked for again. One that may have happened never is."""

    max: Annotated[int, Field(ge=1, le=100)] = Field(description="At most so many times more.")
    delay: Duration = Field(description="How long after the first refusal, such as 200ms.")
    factor: Annotated[Decimal, Field(ge=1, le=10)] | Annotated[int, Field(ge=1, le=10)] = Field(
        1, description="By how much each pause is longer than the one before."
    )
    up_to: Duration | None = Field(None, description="The longest pause.")


class DoStep(Part):
    """One verb with its parameters."""

    later: ClassVar[frozenset[str]] = _LATER_STEPS

    id: Identifier | None = Field(
        None, description="Its name: `steps.NAME` reads its outcome. Money needs one."
    )
    do: VerbName = Field(description="What to do.")
    params: Params = Field({}, alias="with", description="The verb's parameters; `= ...` is an expression.")
    retry: RetryFile | None = Field(
        None, description="What happens where the broker refuses it; else nothing."
    )
    on_error: Literal["fail", "continue"] = Field(
        "fail", description="Whether the run ends, or goes on, where the step does not come about."
    )


class IfStep(Part):
    """Steps under a condition, and others where it does not hold."""

    later: ClassVar[frozenset[str]] = _LATER_STEPS

    id: Identifier | None = Field(None, description="Its name, or that of the one step beside it.")
    condition: Expr = Field(alias="if", description="The condition.")
    do: VerbName | None = Field(None, description="The one thing to do where it holds …")
    params: Params | None = Field(None, alias="with", description="… with these parameters.")
    then: "list[Step] | None" = Field(None, description="The steps where it holds.")
    steps: "list[Step] | None" = Field(None, description="The same as `then`.")
    otherwise: "list[Step]" = Field([], alias="else", description="The steps where it does not hold.")

    @model_validator(mode="after")
    def _one_body(self) -> Self:
        if sum(body is not None for body in (self.do, self.then, self.steps)) != 1:
            raise PydanticCustomError("hub", "`if` has exactly one of `do`, `then` and `steps` beside it")
        if self.params is not None and self.do is None:
            raise PydanticCustomError("hub", "`with` belongs to `do`: move it into the step")
        return self


class ChoiceFile(Part):
    """One way of a `choose`: its steps where the condition holds, or, as the last one, otherwise."""

    condition: Expr | None = Field(None, alias="if", description="The condition.")
    steps: "list[Step] | None" = Field(None, description="The steps where it holds.")
    otherwise: "list[Step] | None" = Field(
        None, alias="else", description="The steps where none of them holds."
    )

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.condition is None) == (self.otherwise is None) or (self.condition is None) != (
            self.steps is None
        ):
            raise PydanticCustomError(
                "hub",
                "a way of `choose` is `{if: CONDITION, steps: [...]}`, and the last may be `{else: [...]}`",
            )
        return self


class ChooseStep(Part):
    """The first way whose condition holds, and no other."""

    later: ClassVar[frozenset[str]] = _LATER_STEPS

    id: Identifier | None = Field(None, description="Its name.")
    choose: Annotated[list[ChoiceFile], Field(min_length=1, max_length=64)] = Field(
        description="The ways, in order."
    )

    @model_validator(mode="after")
    def _else_is_last(self) -> Self:
        if any(way.condition is None for way in self.choose[:-1]):
            raise PydanticCustomError(
                "hub", "`else` is the last way of `choose`: nothing after it is looked at"
            )
        return self


class SetStep(Part):
    """Values kept under a name, as they are now: `steps.NAME.FIELD` reads them."""

    later: ClassVar[frozenset[str]] = _LATER_STEPS

    id: Identifier = Field(description="Its name: `steps.NAME.FIELD` reads the values.")
    values: Annotated[dict[Identifier, Any], Field(min_length=1, max_length=64)] = Field(
        alias="set", description="The values; `= ...` is an expression."
    )


class StopStep(Part):
    """The end of the run."""

    later: ClassVar[frozenset[str]] = _LATER_STEPS

    id: Identifier | None = Field(None, description="Its name.")
    stop: Line = Field(description="Why, for whoever asks later.")


class WaitFile(Part):
    """What a run waits for: a span, a moment, an event, or a condition."""

    later: ClassVar[frozenset[str]] = frozenset({"becomes"})

    span: Duration | None = Field(None, alias="for", description="So long, such as 2h.")
    until: Expr | None = Field(None, description="The moment, an expression that gives a time.")
    event: EventName | None = Field(None, description="An event of this type or pattern, of the same key.")
    where: Expr | None = Field(
        None,
        description="Which one: `event` is the one that came, `trigger.event` the one the run began with.",
    )
    since: Literal["run_start", "now"] | None = Field(
        None, description="From when on it counts: the run's start, unless `now` is said."
    )
    condition: Expr | None = Field(None, alias="if", description="A condition that has to hold.")
    timeout: Duration | None = Field(None, description="How long at most; an event or a condition needs one.")
    on_timeout: Literal["continue", "stop", "fail"] = Field(
        "continue", description="What then: the next step, the end, or the end as a failure."
    )

    @model_validator(mode="after")
    def _one_thing(self) -> Self:
        given = (self.span, self.until, self.event, self.condition)
        if sum(part is not None for part in given) != 1:
            raise PydanticCustomError("hub", "`wait` has exactly one of `for`, `until`, `event` and `if`")
        if self.event is None and (self.where is not None or self.since is not None):
            raise PydanticCustomError("hub", "`where` and `since` belong to a wait for an `event`")
        open_ended = self.event is not None or self.condition is not None
        if open_ended and self.timeout is None:
            raise PydanticCustomError(
                "hub", "a wait for an event or a condition needs a `timeout`, such as `timeout: 24h`"
            )
        if not open_ended and self.timeout is not None:
            raise PydanticCustomError("hub", "`timeout` belongs to a wait for an event or a condition")
        return self


class WaitStep(Part):
    """A pause that survives restarts: `steps.NAME.timed_out` says how it ended."""

    later: ClassVar[frozenset[str]] = _LATER_STEPS

    id: Identifier | None = Field(None, description="Its name: `steps.NAME` reads how it ended.")
    wait: WaitFile


_STEP_KEYS: Final = ("choose", "set", "stop", "wait", "if", "do")


def _kind_of_step(value: object) -> str | None:
    if not isinstance(value, dict):
        return None
    return next((f"({key})" for key in _STEP_KEYS if key in value), None)


Step = Annotated[
    Annotated[DoStep, Tag("(do)")]
    | Annotated[IfStep, Tag("(if)")]
    | Annotated[ChooseStep, Tag("(choose)")]
    | Annotated[SetStep, Tag("(set)")]
    | Annotated[StopStep, Tag("(stop)")]
    | Annotated[WaitStep, Tag("(wait)")],
    Discriminator(_kind_of_step),
]
AnyStep = DoStep | IfStep | ChooseStep | SetStep | StopStep | WaitStep


class WorkflowFile(Part):
    """What happens when, for every account: one file."""

    model_config = ConfigDict(title="Workflow")

    later: ClassVar[frozenset[str]] = frozenset({"grant", "anchors", "trip", "catch_up", "undo", "sample"})

    version: Literal[1] = Field(alias="schema", description="The version of the file format: 1.")
    id: Slug = Field(description="Its name for ever: runs and payments are counted under it.")
    title: Line = Field(description="What it does, in one sentence.")
    owner: Line | None = Field(None, description="Who answers for it.")
    mode: Literal["off", "shadow", "live"] = Field(
        "shadow", description="off: not evaluated; shadow: decided and recorded, nothing sent; live."
    )
    priority: Literal["critical", "normal", "bulk"] = Field(
        "normal", description="Which lane its actions take."
    )
    params: dict[Identifier, ParamFile] = Field(
        {}, description="Values to change without touching the rules."
    )
    scope: Expr | None = Field(None, description="Which accounts it is for.")
    key: Key = Field(
        "account",
        description="What edges, limits, aggregates and runs are kept per: account, client, group, symbol or all.",
    )
    aggregates: dict[Identifier, AggregateFile] = Field({}, description="Running values, per key.")
    when: Annotated[list[Trigger], Field(min_length=1, max_length=64)] = Field(description="What starts it.")
    limit: LimitFile | None = Field(None, description="How often it may run. Money needs one.")
    run: RunFile | None = Field(None, description="How many of its runs may be open for one key.")
    quiet_hours: QuietFile | None = Field(None, description="When it runs later, or not at all.")
    itself: bool = Field(False, alias="self", description="Whether its own effects may start it again.")
    steps: Annotated[list[Step], Field(min_length=1, max_length=256)] = Field(description="What it does.")
    on_error: Annotated[list[Step], Field(max_length=64)] = Field(
        [], description="What it does when a run fails: `error.step` and `error.message` say where and why."
    )


# The parts as the locations of validation errors name them.
TAGGED: Final[dict[str, type[Part]]] = {
    "(calendar)": CalendarWindow,
    "(sliding)": SlidingWindow,
    "(tumbling)": TumblingWindow,
    "(days)": DaysFile,
    "(event)": EventTrigger,
    "(becomes)": BecomesTrigger,
    "(crosses)": CrossesTrigger,
    "(absent)": AbsentTrigger,
    "(do)": DoStep,
    "(if)": IfStep,
    "(choose)": ChooseStep,
    "(set)": SetStep,
    "(stop)": StopStep,
    "(wait)": WaitStep,
    "(lifetime)": Part,
    "(true)": Part,
}
NAMED: Final[dict[str, type[Part]]] = {
    "limit": LimitFile,
    "retract": RetractFile,
    "crosses": CrossesFile,
    "choose": ChoiceFile,
    "wait": WaitFile,
    "retry": RetryFile,
    "quiet_hours": QuietFile,
    "absent": AbsentFile,
    "run": RunFile,
}


def workflow_schema() -> dict[str, Any]:
    """Return the JSON Schema of a workflow file, for editors."""
    schema = WorkflowFile.model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": "workflow-1.json", **schema}
