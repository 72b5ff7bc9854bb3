"""What starts a workflow by the clock or by a person, and what stops one that does too much, as its file writes it."""

from typing import Annotated, ClassVar, Final, Literal, Self

from pydantic import Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from hub.engine.fields import Default, Duration, Identifier, Line, TriggerId
from hub.engine.model_part import Part

_LATER: Final = frozenset({"period_end", "for", "gap", "webhook"})
MOST_INPUTS: Final = 32
PERMISSION: Final = r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+$"


class ScheduleFile(Part):
    """Moments of a local clock."""

    cron: Annotated[str, StringConstraints(min_length=1, max_length=200)] = Field(
        description='Minute, hour, day of the month, month and day of the week, such as "0 9 * * mon-fri".'
    )
    tz: str = Field(description="Whose clock: a time zone by name, such as Europe/Nicosia.")
    catch_up: Literal["last", "all", "none"] = Field(
        "last",
        description="What happens to moments the hub missed: the last one counts, all of them (at most 100), none.",
    )
    within: Duration | None = Field(
        None, description="How late one that was missed may still count, such as 2h."
    )

    @model_validator(mode="after")
    def _within_something(self) -> Self:
        if self.catch_up == "none" and self.within is not None:
            raise PydanticCustomError(
                "hub", "`within` says how late a missed moment may count, and with `catch_up: none` none does"
            )
        return self


class ScheduleTrigger(Part):
    """Starts the workflow at moments of a local clock, for every key there is."""

    later: ClassVar[frozenset[str]] = _LATER

    id: TriggerId | None = Field(None, description="Its name; needed where there are several triggers.")
    schedule: ScheduleFile


class InputFile(Part):
    """A value a person gives when he starts the workflow: `trigger.inputs.NAME`."""

    type: Literal["money", "number", "percent", "string", "bool", "duration", "time"] = Field(
        description="What the value is. Money names its currency."
    )
    required: bool = Field(True, description="Whether it has to be given; else it may be missing.")
    default: Default | None = Field(None, description="The value where none is given.")
    currency: Annotated[str, StringConstraints(pattern=r"^[A-Z0-9]{3,8}$")] | None = Field(
        None, description="The currency of a money value, such as USD."
    )
    about: Line | None = Field(None, description="What the value is for.")

    @model_validator(mode="after")
    def _has_its_currency(self) -> Self:
        if (self.type == "money") != (self.currency is not None):
            needed = (
                "names its currency: add `currency: USD`"
                if self.type == "money"
                else "has no currency: remove it"
            )
            raise PydanticCustomError(
                "hub.currency", "a {type} input {needed}", {"type": self.type, "needed": needed}
            )
        return self


class ManualFile(Part):
    """What a person has to say who starts the workflow, and who may."""

    inputs: Annotated[dict[Identifier, InputFile], Field(max_length=MOST_INPUTS)] = Field(
        {}, description="The values he gives."
    )
    permission: Annotated[str, StringConstraints(max_length=64, pattern=PERMISSION)] | None = Field(
        None, description="A permission his key needs, such as money.approve."
    )


class ManualTrigger(Part):
    """Starts the workflow when somebody asks for it, over the API or with `hub workflows start`."""

    later: ClassVar[frozenset[str]] = _LATER

    id: TriggerId | None = Field(None, description="Its name; needed where there are several triggers.")
    manual: ManualFile


class TripFile(Part):
    """The circuit breaker: when the workflow asks for too much, a person has to look before it goes on."""

    more_than: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        description="It trips at the first action beyond so many …"
    )
    risk: Literal["money", "account", "trading", "notify", "any"] = Field(
        description="… of this kind, counted when they are about to be sent, events that are published when they are …"
    )
    within: Duration = Field(description="… within this time, such as 5m.")
