"""What starts a workflow by the clock or by a person, and what holds one back or stops it, as the engine runs it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import time, timedelta
from typing import Any, Literal

from hub.expr import Expression, Type


@dataclass(frozen=True, slots=True)
class Schedule:
    """Fires at moments of a local clock; `within`: how late one that was missed still counts."""

    id: str
    cron: str
    zone: str
    catch_up: Literal["last", "all", "none"]
    within: timedelta | None

    @property
    def rule(self) -> str:
        """Return what the moments follow from: while it stays, an edit moves none of them."""
        return f"{self.cron} {self.zone}"


@dataclass(frozen=True, slots=True)
class Asked:
    """A value somebody gives who starts a workflow; `default` None: there is none."""

    type: Type
    required: bool
    default: Any
    about: str


@dataclass(frozen=True, slots=True)
class Manual:
    """Fires when somebody asks; `permission` is what his key needs beside the scope for starting."""

    id: str
    inputs: Mapping[str, Asked]
    permission: str | None


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `max` runs within `every` (None: for ever), per key, or per key and trigger."""

    max: int
    every: timedelta | None
    per: Literal["key", "trigger"]


@dataclass(frozen=True, slots=True)
class Quiet:
    """From `start` to `end` by a local clock, past midnight where `end` is earlier: [start, end)."""

    start: time
    end: time
    zone: str | Expression
    skip: bool


@dataclass(frozen=True, slots=True)
class Trip:
    """More than so many actions of a risk within a time switch the workflow to shadow until a person resets it."""

    more_than: int
    risk: Literal["money", "account", "trading", "notify", "any"]
    within: timedelta
