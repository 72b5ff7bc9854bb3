"""Anchors as a workflow file writes them: values that are remembered, and when they are taken."""

from typing import Annotated, Final, Literal, Self

from pydantic import Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from hub.engine.fields import EventName, Expr
from hub.engine.model_part import Part

WAYS: Final = (
    'an anchor is `{take: ..., daily_at: "00:00", tz: Europe/Prague}`, `{take: ..., once: true}`, '
    "`{take: ..., event: account.created}`, `{max: ...}` or `{min: ...}`"
)


class AnchorFile(Part):
    """A value that is remembered for each key, and read by its name."""

    take: Expr | None = Field(
        None, description="The value to remember. With `daily_at` it may be sampled, such as account.equity."
    )
    max: Expr | None = Field(
        None, description="Remembers the largest it ever was, of account.equity between the events as well."
    )
    min: Expr | None = Field(
        None, description="Remembers the smallest it ever was, of account.equity between the events as well."
    )
    daily_at: Annotated[str, StringConstraints(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")] | None = Field(
        None, description='Taken when a day begins, such as "00:00" or "17:00".'
    )
    tz: Annotated[str, StringConstraints(min_length=1, max_length=64)] | None = Field(
        None, description="By whose clock: the time zone by name, such as Europe/Prague."
    )
    once: Literal[True] | None = Field(None, description="Taken when it is first known, and never again.")
    event: EventName | None = Field(None, description="Taken whenever such an event comes.")
    where: Expr | None = Field(None, description="Which of these events.")
    first: Expr | None = Field(
        None, description="What stands in until a value is taken. A `max` or `min` begins with it."
    )
    lock: Expr | None = Field(None, description="How far a `max` or `min` goes: beyond it nothing counts.")

    cash_flows: Literal["ignore", "shift"] = Field(
        "ignore",
        description="What money that comes or leaves does to it: nothing, or it moves by the amount of the deposit or withdrawal.",
    )

    @model_validator(mode="after")
    def _taken_one_way(self) -> Self:
        given = [word for word in ("take", "max", "min") if getattr(self, word) is not None]
        when = [word for word in ("daily_at", "once", "event") if getattr(self, word) is not None]
        if len(given) != 1 or len(when) != (given == ["take"]):
            raise PydanticCustomError("hub", WAYS)
        if (self.daily_at is None) != (self.tz is None):
            raise PydanticCustomError(
                "hub", "`daily_at` and `tz` belong together: whose clock shows the time"
            )
        if self.where is not None and self.event is None:
            raise PydanticCustomError("hub", "`where` says which events of `event` count: name them there")
        if self.lock is not None and given == ["take"]:
            raise PydanticCustomError(
                "hub", "`lock` belongs to `max` and `min`: a value that is taken stays as it is"
            )
        return self
