"""Equity and margin: facts the hub derives from samples, and the platforms' own margin events."""

from datetime import date
from typing import Annotated, Literal

from pydantic import Field

from hub.events.base import Data, Moment, Money, Name, Percent

Age = Annotated[int, Field(strict=True, ge=0)]


class LevelCrossed(Data):
    """A sampled value passed a level a workflow watches. `limit` is in the unit of `field`."""

    level_id: Name
    generation: Age
    field: Literal["equity", "floating", "free_margin", "margin_level"]
    edge: Literal["crossed", "recovered"]
    side: Literal["below", "above"]
    value: Money
    limit: Money
    sampled_at: Moment
    sample_age_ms: Age


class MarginState(Data):
    margin_level: Percent | None = None
    equity: Money | None = None
    margin: Money | None = None
    level: Percent | None = None
    mode: Literal["percent", "money"] | None = None


class DayRolled(Data):
    day: date
    zone: Name
    balance: Money | None = None
    equity: Money | None = None
    sampled_at: Moment | None = None
    sample_age_ms: Age | None = None
