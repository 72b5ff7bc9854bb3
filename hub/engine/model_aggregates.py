"""Aggregates as a workflow file writes them: what is kept, over which events, and over which time."""

from typing import Annotated, ClassVar, Final, Literal, Self

from pydantic import (
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    model_validator,
)
from pydantic_core import PydanticCustomError

from hub.engine.fields import (
    Duration,
    EventName,
    Expr,
    Identifier,
    Source,
)
from hub.engine.model_part import Part
from hub.engine.program import Function


class RetractFile(Part):
    """An event that takes a contribution back: the one whose `ref` is equal."""

    event: EventName = Field(description="The type of the event that takes back.")
    ref: Annotated[str, StringConstraints(pattern=r"^event\.[a-z][a-z0-9_]*$")] = Field(
        description="The field both events share, such as event.deal."
    )


class CalendarWindow(Part):
    later: ClassVar[frozenset[str]] = frozenset({"until"})

    calendar: Literal["day", "week", "month", "quarter", "year"] = Field(
        description="The period, from local midnight to local midnight."
    )
    tz: Annotated[str, StringConstraints(min_length=1, max_length=64)] = Field(
        description="The time zone by name, such as Europe/Nicosia."
    )
    daily_at: Annotated[str, StringConstraints(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")] = Field(
        "00:00", description='When a day begins, such as "17:00".'
    )


class SinceFile(Part):
    """The event a window begins with."""

    event: EventName = Field(description="The type of the event, such as balance.deposited.")
    where: Expr | None = Field(None, description="Which of them the window begins with.")
    otherwise: Literal["all", "missing"] = Field(
        "all",
        alias="else",
        description="Before the first one: `all` counts everything, with `missing` the value is unknown.",
    )


class SinceAnchorFile(Part):
    """The anchor a window begins with."""

    anchor: Identifier = Field(
        description="An anchor that is taken when a day begins, or at an event: what happened after that counts."
    )


def _kind_of_since(value: object) -> str:
    if not isinstance(value, dict):
        return "(since_end)"
    return "(since_anchor)" if "anchor" in value else "(since_event)"


class SinceWindow(Part):
    since: Annotated[
        Annotated[SinceFile, Tag("(since_event)")]
        | Annotated[SinceAnchorFile, Tag("(since_anchor)")]
        | Annotated[Literal["period_end"], Tag("(since_end)")],
        Discriminator(_kind_of_since),
    ] = Field(
        description="What happened after the latest `{event: TYPE}`, or after `{anchor: NAME}` was taken; or, with `period_end`, what came since the period "
        "ended: that of the grant, or of the trigger `period_end`."
    )


class SlidingWindow(Part):
    sliding: Duration = Field(description="The last 7d, 24h and so on, up to now.")


class TumblingWindow(Part):
    tumbling: Duration = Field(description="One span after another, such as 1h: from full hour to full hour.")


WINDOW_KEYS: Final = ("sliding", "tumbling", "calendar", "since")


def _kind_of_window(value: object) -> str | None:
    if isinstance(value, dict):
        return next((f"({key})" for key in WINDOW_KEYS if key in value), None)
    return "(lifetime)" if isinstance(value, str) else None


Window = Annotated[
    Annotated[CalendarWindow, Tag("(calendar)")]
    | Annotated[SlidingWindow, Tag("(sliding)")]
    | Annotated[TumblingWindow, Tag("(tumbling)")]
    | Annotated[SinceWindow, Tag("(since)")]
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
    "best_day_share",
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


class ShareFile(DaysFile):
    """A value to add up day by day, and what a day is."""

    of: Expr = Field(description="The value to add up, such as event.net_profit.")


def _kind_of_share(value: object) -> str:
    return "(share)" if isinstance(value, dict) else "(value)"


Share = Annotated[
    Annotated[ShareFile, Tag("(share)")] | Annotated[Expr, Tag("(value)")], Discriminator(_kind_of_share)
]


class AggregateFile(Part):
    """A running value per key: what it adds up, over which events and which window."""

    source: Source = Field(
        alias="from",
        description="The type of the events it is made of; or `positions`, `accounts`: what stands at present.",
    )
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
    best_day_share: Share | None = Field(
        None,
        description="The best day's part of the total in percent: `{of: event.net_profit, tz: Europe/Prague}`, "
        "or the value alone for the calendar window's days.",
    )
    window: Window | None = Field(
        None,
        description="Over which time: a calendar period, a sliding or tumbling span, since an event, or lifetime. "
        "Needed for events.",
    )
    retract: RetractFile | None = Field(None, description="What takes a contribution back.")

    @model_validator(mode="after")
    def _one_function(self) -> Self:
        if sum(getattr(self, name) is not None for name in FUNCTIONS) != 1:
            raise PydanticCustomError(
                "hub",
                "an aggregate has exactly one of sum, count, min, max, avg, last, distinct, distinct_days and "
                "best_day_share, "
                "such as `sum: event.lots`",
            )
        return self
