"""What belongs to periods: the trigger of their end, and the promise that is booked by difference."""

from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from hub.engine.fields import Duration, Expr, Identifier, TriggerId, VerbName
from hub.engine.model_part import Part

PeriodName = Literal["day", "week", "month", "quarter", "year"]
Zone = Annotated[str, StringConstraints(min_length=1, max_length=64)]
TimeOfDay = Annotated[str, StringConstraints(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]
Words = Annotated[str, StringConstraints(min_length=1, max_length=1024)]


class PeriodEndFile(Part):
    """A calendar period, and how long after its end."""

    calendar: PeriodName = Field(description="Which period: from local midnight to local midnight.")
    tz: Zone = Field(description="The time zone by name, such as Europe/Nicosia.")
    daily_at: TimeOfDay = Field("00:00", description='When a day begins, such as "17:00".')
    delay: Duration | None = Field(
        None, description="How long after its end, such as 6h: what comes late is counted till then."
    )


class PeriodEndTrigger(Part):
    """Starts the workflow when a period is over: `period.label`, `period.start` and `period.end` say which."""

    id: TriggerId | None = Field(None, description="Its name; needed where there are several triggers.")
    period_end: PeriodEndFile
    catch_up: Literal["last", "all", "none"] = Field(
        "last", description="What happens for periods that ended while the hub was down."
    )


class BookFile(Part):
    """When a grant is booked for the first time."""

    at: Literal["period_end", "once_true"] = Field(
        description="period_end: when its period is over; once_true: as soon as `while` holds."
    )
    delay: Duration | None = Field(
        None, description="How long after the period's end, such as 6h: late trades are counted till then."
    )
    on_first: bool = Field(
        False,
        description="Whether it is booked where it holds already at the first look, or because of history.",
    )

    @model_validator(mode="after")
    def _delay_of_an_end(self) -> Self:
        if self.delay is not None and self.at != "period_end":
            raise PydanticCustomError("hub", "`delay` belongs to `at: period_end`")
        if self.on_first and self.at != "once_true":
            raise PydanticCustomError("hub", "`on_first` belongs to `at: once_true`")
        return self


class TakeBackFile(Part):
    """What happens to what was booked when it is owed no more."""

    mode: Literal["full", "proportional", "none"] = Field(
        description="full: all of the difference; proportional: as much as a withdrawal takes of the deposit; none."
    )
    deposit: Expr | None = Field(
        None,
        description="What was paid in for it, such as an aggregate of deposits; `mode: proportional` needs it.",
    )
    cap: Expr | None = Field(
        None, description="Never more than this is taken, such as account.credit; evaluated each time."
    )
    if_short: Literal["report", "hold"] = Field(
        "report",
        description="Where the cap is too low. report: take what is there and say so; hold: wait until all is there.",
    )

    @model_validator(mode="after")
    def _fits_the_mode(self) -> Self:
        if (self.mode == "proportional") != (self.deposit is not None):
            needed = (
                "`mode: proportional` needs `deposit`: the deposit the bonus was given for"
                if self.deposit is None
                else "`deposit` belongs to `mode: proportional`"
            )
            raise PydanticCustomError("hub", "{needed}", {"needed": needed})
        if self.mode == "none" and self.cap is not None:
            raise PydanticCustomError(
                "hub", "`cap` says how much is taken back, and `mode: none` takes nothing"
            )
        return self


class GrantFile(Part):
    """A promise that is kept: what it is worth is worked out with every event, and the difference is booked."""

    id: Identifier = Field(description="Its name for ever: what it pays is counted under it.")
    action: VerbName = Field(description="What it gives: credit.grant, bonus.grant or balance.deposit.")
    amount: Expr = Field(description="What it is worth, over account, client, params and aggregates.")
    condition: Expr = Field(alias="while", description="As long as this holds, it is owed.")
    book: BookFile = Field(description="When it is booked.")
    watch: Duration | None = Field(
        None, description="How long it is followed after that, such as 30d: late trades, what is taken back."
    )
    take_back: TakeBackFile = Field(description="What happens when it is owed no more.")
    comment: Words | None = Field(None, description="The text on the account's statement.")
