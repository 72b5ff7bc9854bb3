"""Equity and margin: facts the hub derives from samples, and the platforms' own margin events."""

from datetime import date
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from hub.events.base import Data, Moment, Money, Name, Number, Percent, Price, ServerName

Age = Annotated[int, Field(strict=True, ge=0)]
TimeOfDay = Annotated[str, StringConstraints(strict=True, pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]


class LevelCrossed(Data):
    """A sampled value passed a level a workflow watches. `limit` is in the unit of `field`; `peak` is what it follows."""

    level_id: Name
    generation: Age
    field: Literal["equity", "floating", "free_margin", "margin_level"]
    edge: Literal["crossed", "recovered"]
    side: Literal["below", "above"]
    value: Money
    limit: Money
    sampled_at: Moment
    sample_age_ms: Age
    peak: Money | None = None


class PositionCrossed(Data):
    """The profit or the price of an open position passed a level a workflow watches; `value` and `limit` are of `field`.

    `profit` is the position's own, in the account's currency and without swap and commission.
    """

    position: Number
    level_id: Name
    generation: Age
    field: Literal["profit", "price"]
    edge: Literal["crossed", "recovered"]
    side: Literal["below", "above"]
    value: Money
    limit: Money
    sampled_at: Moment
    sample_age_ms: Age


class SymbolCrossed(Data):
    """The bid, the ask or the spread of a symbol passed a level a workflow watches; `value` and `limit` are of `field`.

    All of them are prices: the spread is ask - bid, as the quote says them, and not a number of points.
    """

    server: ServerName
    symbol: Name
    symbol_class: Name | None = None
    level_id: Name
    generation: Age
    field: Literal["bid", "ask", "spread"]
    edge: Literal["crossed", "recovered"]
    side: Literal["below", "above"]
    value: Money
    limit: Money
    bid: Price
    ask: Price
    sampled_at: Moment
    sample_age_ms: Age


class MarginState(Data):
    margin_level: Percent | None = None
    equity: Money | None = None
    margin: Money | None = None
    level: Percent | None = None
    mode: Literal["percent", "money"] | None = None


class DayRolled(Data):
    """`day` ended, at its `timestamp`: it is called by the date on which it began, at `daily_at` by the clock of `zone`.

    What is sampled is as it was last seen, at `sampled_at`. `peaks` are those of the levels that follow one.
    """

    day: date
    zone: Name
    daily_at: TimeOfDay | None = None
    balance: Money | None = None
    equity: Money | None = None
    floating: Money | None = None
    free_margin: Money | None = None
    margin_level: Percent | None = None
    sampled_at: Moment | None = None
    sample_age_ms: Age | None = None
    peaks: Annotated[dict[Name, Money], Field(max_length=256)] | None = None
