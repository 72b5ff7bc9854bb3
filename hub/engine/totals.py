"""What is counted: rows of aggregates by periods, and of the timer that waits for what a window lets go."""

from decimal import Decimal

import msgspec


class Bucket(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """One period's running value; `low` and `high` are kept only where the aggregate asks for them."""

    start: int
    sum: Decimal
    count: int
    low: Decimal | None = None
    high: Decimal | None = None


class Total(msgspec.Struct, frozen=True, gc=False):
    """A calendar or lifetime aggregate: its current and previous periods, oldest first."""

    buckets: tuple[Bucket, ...]
    v: int = 1


class Alarm(msgspec.Struct, frozen=True, gc=False):
    """The timer that waits for an aggregate's next expiry."""

    due: int
    timer: str
    v: int = 1
