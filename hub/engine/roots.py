"""What `trigger` and `error` are where a run knows more than how it began."""

from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple


class Began(NamedTuple):
    """What `trigger` is while a run looks at an event it waits for; `event` is the one it began with."""

    id: str
    at: datetime
    value: Decimal | None
    limit: Decimal | None
    event: Any


class Failure(NamedTuple):
    """What `error` is for the steps of `on_error`."""

    step: str
    message: str
