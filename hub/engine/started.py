"""What `trigger` is for the steps of a run that somebody asked for."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from hub.engine.kept import recall_all
from hub.engine.run_rows import Cause


class Started(NamedTuple):
    """A cause with the values that were given, as what they are."""

    id: str
    at: datetime
    value: Decimal | None
    limit: Decimal | None
    inputs: Mapping[str, Any]
    by: str


def shown_by(cause: Cause) -> Started:
    return Started(cause.id, cause.at, cause.value, cause.limit, recall_all(cause.inputs), cause.by)
