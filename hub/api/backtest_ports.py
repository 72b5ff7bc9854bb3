"""What the routes of backtests need: somebody who runs them one after the other, and keeps the latest."""

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple, Protocol


class JobState(StrEnum):
    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class BacktestAsked(NamedTuple):
    """`text` "": the live version. Times are RFC 3339, `warm_up` a duration, all or none, `assume` approve or deny; "" is left out."""

    workflow: str
    by: str
    text: str = ""
    since: str = ""
    until: str = ""
    warm_up: str = ""
    assume: str = ""


class BacktestJob(NamedTuple):
    """One backtest as it stands. `share` is from 0 to 1; `result` JSON and `page` HTML once it is done; times in µs."""

    id: str
    asked: BacktestAsked
    state: JobState
    at: int
    share: float = 0.0
    events: int = 0
    ended_at: int | None = None
    reason: str = ""
    result: bytes = b""
    page: str = ""


class BacktestsFull(Exception):
    """As many wait as may."""


class Backtests(Protocol):
    def ask(self, asked: BacktestAsked) -> BacktestJob:
        """Have one run when those before it are over. Raises BacktestsFull."""

    def job(self, job_id: str) -> BacktestJob | None: ...

    def jobs(self) -> Sequence[BacktestJob]:
        """Return those that are kept, the newest first, without results."""

    def cancel(self, job_id: str) -> BacktestJob | None:
        """End one that waits or runs, forget one that is over; None when there is none of that id."""
