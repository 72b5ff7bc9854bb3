"""What `trigger` and `error` are where a run knows more than how it began, and what is kept of a run for whoever asks."""

from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec

from hub.engine.decision import encode_trace
from hub.engine.rows import RunRow
from hub.engine.run_rows import Cause, OpenRun
from hub.engine.scene import Scene

Results = dict[str, dict[str, Any]]


class Began(NamedTuple):
    """What `trigger` is while a run looks at an event it waits for; `event` is the one it began with."""

    id: str
    at: datetime
    value: Decimal | None
    limit: Decimal | None
    event: Any
    inputs: Any = None
    by: str = ""


class Failure(NamedTuple):
    """What `error` is for the steps of `on_error`."""

    step: str
    message: str


class RunBody(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is kept of a run for whoever asks: why it began, what its steps gave, how it ended."""

    trigger: Cause
    caused_by: str
    mode: str
    steps: Results
    reason: str = ""


def row_of(scene: Scene, begun: OpenRun, results: Results, state: str, reason: str) -> RunRow:
    """Return what is kept of a run as it stands now."""
    body = RunBody(begun.cause, begun.caused_by, begun.mode, results, reason)
    return RunRow(
        scene.state.partition,
        begun.id,
        scene.state.key,
        begun.workflow,
        begun.version,
        state,
        begun.at,
        encode_trace(body),
    )
