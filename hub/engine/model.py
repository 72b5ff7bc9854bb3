"""The workflow file: these models are the only definition of its format.

The JSON Schema for editors, the hover texts and the messages about unknown keys all come from here. `later` names the
keys that belong to the format and not yet to this version, so that nobody takes them for typing errors.
"""

from decimal import Decimal
from typing import Annotated, Any, ClassVar, Final, Literal, Self

from pydantic import (
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)
from pydantic_core import PydanticCustomError

from hub.engine.fields import (
    Default,
    Every,
    Expr,
    Identifier,
    Key,
    Line,
    Slug,
    read_duration,
)
from hub.engine.model_aggregates import (
    AggregateFile,
    CalendarWindow,
    DaysFile,
    RetractFile,
    ShareFile,
    SinceAnchorFile,
    SinceFile,
    SinceWindow,
    SlidingWindow,
    TumblingWindow,
)
from hub.engine.model_anchors import AnchorFile
from hub.engine.model_approve import ApproveFile, ApproveStep
from hub.engine.model_grants import BookFile, GrantFile, PeriodEndFile, PeriodEndTrigger, TakeBackFile
from hub.engine.model_part import Part
from hub.engine.model_steps import (
    ChoiceFile,
    ChooseStep,
    DoStep,
    ForEachFile,
    ForEachStep,
    IfStep,
    ParallelStep,
    RetryFile,
    SetStep,
    Step,
    StopStep,
    UndoFile,
    WaitFile,
    WaitStep,
)
from hub.engine.model_timed import (
    InputFile,
    ManualFile,
    ManualTrigger,
    ScheduleFile,
    ScheduleTrigger,
    TripFile,
)
from hub.engine.model_triggers import (
    AbsentFile,
    AbsentTrigger,
    BecomesTrigger,
    CrossesFile,
    CrossesTrigger,
    EventTrigger,
    Trigger,
)


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


class RunFile(Part):
    """What happens to a run that would begin while another of the same workflow and key is open."""

    mode: Literal["single", "queued", "parallel"] = Field(
        description="single: it does not begin; queued: it begins when that one ends; parallel: it begins."
    )
    max: Annotated[int, Field(ge=1, le=200)] | None = Field(
        None, description="How many may be open at once; with queued, how many may wait (20 without it)."
    )

    @model_validator(mode="after")
    def _one_is_single(self) -> Self:
        if self.mode == "single" and self.max is not None:
            raise PydanticCustomError(
                "hub", "`max` belongs to `mode: parallel` and `mode: queued`: of single runs one is open"
            )
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


class WorkflowFile(Part):
    """What happens when, for every account: one file."""

    model_config = ConfigDict(title="Workflow")

    later: ClassVar[frozenset[str]] = frozenset()

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
    scope: Expr | None = Field(
        None, description="Which accounts it is for; by another key, whom, and whose events count."
    )
    key: Key = Field(
        "account",
        description="What edges, limits, aggregates and runs are kept per: account, client, group, symbol, position, all, a field "
        "of events such as event.request, or an expression that says whose an event is.",
    )
    aggregates: dict[Identifier, AggregateFile] = Field({}, description="Running values, per key.")
    anchors: Annotated[dict[Identifier, AnchorFile], Field(max_length=16)] = Field(
        {},
        description="Values that are remembered, per key: of the day's beginning, of the start, the highest.",
    )
    grant: GrantFile | None = Field(
        None,
        description="A promise that is booked by difference; without it `when` and `steps` say what is done.",
    )
    when: Annotated[list[Trigger], Field(min_length=1, max_length=64)] = Field(
        [], description="What starts it."
    )
    limit: LimitFile | None = Field(None, description="How often it may run. Money needs one.")
    run: RunFile | None = Field(None, description="How many of its runs may be open for one key.")
    trip: TripFile | None = Field(None, description="When it is stopped, because it asks for too much.")
    quiet_hours: QuietFile | None = Field(None, description="When it runs later, or not at all.")
    itself: bool = Field(False, alias="self", description="Whether its own effects may start it again.")
    steps: Annotated[list[Step], Field(min_length=1, max_length=256)] = Field([], description="What it does.")
    on_error: Annotated[list[Step], Field(max_length=64)] = Field(
        [], description="What it does when a run fails: `error.step` and `error.message` say where and why."
    )

    @model_validator(mode="after")
    def _runs_or_promises(self) -> Self:
        if self.grant is None:
            for name in ("when", "steps"):
                if not getattr(self, name):
                    raise PydanticCustomError(
                        "hub",
                        "`{name}` is missing or empty: {about} A workflow has `when` and `steps`, or a `grant`",
                        {"name": name, "about": str(type(self).model_fields[name].description)},
                    )
            return self
        for name in ("anchors", "when", "steps", "on_error", "limit", "run", "quiet_hours", "self"):
            if self.itself if name == "self" else getattr(self, name):
                raise PydanticCustomError(
                    "hub",
                    "`{name}` belongs to a workflow that starts runs, and a `grant` is booked without one: remove it",
                    {"name": name},
                )
        return self


# The parts as the locations of validation errors name them.
TAGGED: Final[dict[str, type[Part]]] = {
    "(calendar)": CalendarWindow,
    "(sliding)": SlidingWindow,
    "(tumbling)": TumblingWindow,
    "(since)": SinceWindow,
    "(days)": DaysFile,
    "(share)": ShareFile,
    "(since_event)": SinceFile,
    "(since_anchor)": SinceAnchorFile,
    "(since_end)": Part,
    "(event)": EventTrigger,
    "(becomes)": BecomesTrigger,
    "(crosses)": CrossesTrigger,
    "(absent)": AbsentTrigger,
    "(period_end)": PeriodEndTrigger,
    "(schedule)": ScheduleTrigger,
    "(manual)": ManualTrigger,
    "(do)": DoStep,
    "(if)": IfStep,
    "(choose)": ChooseStep,
    "(set)": SetStep,
    "(stop)": StopStep,
    "(wait)": WaitStep,
    "(approve)": ApproveStep,
    "(parallel)": ParallelStep,
    "(for_each)": ForEachStep,
    "(step)": Part,
    "(branch)": Part,
    "(undo)": UndoFile,
    "(none)": Part,
    "(lifetime)": Part,
    "(true)": Part,
    "(value)": Part,
}
NAMED: Final[dict[str, type[Part]]] = {
    "limit": LimitFile,
    "retract": RetractFile,
    "since": SinceFile,
    "crosses": CrossesFile,
    "choose": ChoiceFile,
    "wait": WaitFile,
    "approve": ApproveFile,
    "retry": RetryFile,
    "for_each": ForEachFile,
    "undo": UndoFile,
    "quiet_hours": QuietFile,
    "absent": AbsentFile,
    "run": RunFile,
    "period_end": PeriodEndFile,
    "grant": GrantFile,
    "book": BookFile,
    "take_back": TakeBackFile,
    "schedule": ScheduleFile,
    "manual": ManualFile,
    "inputs": InputFile,
    "trip": TripFile,
}


def workflow_schema() -> dict[str, Any]:
    """Return the JSON Schema of a workflow file, for editors."""
    schema = WorkflowFile.model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": "workflow-1.json", **schema}
