"""What starts a workflow, as its file writes it."""

from typing import Annotated, ClassVar, Final, Literal, Self

from pydantic import (
    Discriminator,
    Field,
    Tag,
    model_validator,
)
from pydantic_core import PydanticCustomError

from hub.engine.fields import (
    Duration,
    EventName,
    Expr,
    TriggerId,
)
from hub.engine.model_grants import PeriodEndTrigger
from hub.engine.model_part import Part
from hub.engine.model_timed import ManualTrigger, ScheduleTrigger

Replay = Literal["fire", "skip"]
_LATER_TRIGGERS: Final = frozenset({"for", "gap", "webhook"})


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
    """A sampled value of an account, a position or a symbol, and the level it is watched against."""

    value: Expr = Field(
        description="account.equity, account.floating, account.free_margin or account.margin_level; with `key: position` "
        "position.profit or position.price, with `key: symbol` symbol.bid, symbol.ask or symbol.spread (which is ask - bid)"
    )
    below: Expr | None = Field(None, description="Fires when the value falls below this.")
    above: Expr | None = Field(None, description="Fires when the value rises above this.")
    rearm: Expr | None = Field(None, description="Where the value has to return to before it can fire again.")
    inclusive: bool = Field(False, description="Whether being on the limit counts as past it.")
    hold: Duration | None = Field(
        None,
        alias="for",
        description="How long it has to stay past it before it fires, such as 30s; over restarts.",
    )
    gap: Literal["restart", "continue"] | None = Field(
        None,
        description="When the feed was away meanwhile: restart (the default) begins to count anew, continue counts on.",
    )

    @model_validator(mode="after")
    def _one_side(self) -> Self:
        if (self.below is None) == (self.above is None):
            raise PydanticCustomError("hub", "`crosses` has either `below` or `above`")
        if self.gap is not None and self.hold is None:
            raise PydanticCustomError("hub", "`gap` says what becomes of `for`, and there is none: remove it")
        return self


class CrossesTrigger(Part):
    """Starts the workflow when a sampled value passes a limit: equity or margin of an account, profit of a position, spread of a symbol."""

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


TRIGGER_KEYS: Final = ("event", "becomes", "crosses", "absent", "period_end", "schedule", "manual")


def _kind_of_trigger(value: object) -> str | None:
    if not isinstance(value, dict):
        return None
    return next((f"({key})" for key in TRIGGER_KEYS if key in value), None)


Trigger = Annotated[
    Annotated[EventTrigger, Tag("(event)")]
    | Annotated[BecomesTrigger, Tag("(becomes)")]
    | Annotated[CrossesTrigger, Tag("(crosses)")]
    | Annotated[AbsentTrigger, Tag("(absent)")]
    | Annotated[PeriodEndTrigger, Tag("(period_end)")]
    | Annotated[ScheduleTrigger, Tag("(schedule)")]
    | Annotated[ManualTrigger, Tag("(manual)")],
    Discriminator(_kind_of_trigger),
]


AnyTrigger = (
    EventTrigger
    | BecomesTrigger
    | CrossesTrigger
    | AbsentTrigger
    | PeriodEndTrigger
    | ScheduleTrigger
    | ManualTrigger
)
