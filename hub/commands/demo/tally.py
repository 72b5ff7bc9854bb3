"""What the demo counts while it runs, and shows."""

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from hub.bus.log import Input, InputKind
from hub.clock import to_us
from hub.engine.decision import Trace, Verdict
from hub.engine.rows import Batch
from hub.events.records import Envelope, decode_envelope

_decode_trace = msgspec.json.Decoder(Trace).decode
_decode_data = msgspec.json.Decoder(dict[str, object]).decode
_SHOWN = (
    "symbol",
    "side",
    "lots",
    "net_profit",
    "amount",
    "field",
    "value",
    "verb",
    "after",
    "reason",
    "login",
    "alert",
)


class Line(NamedTuple):
    """One thing that happened, as a person reads it; `at` in µs."""

    at: int
    what: str
    who: str
    text: str


@dataclass(slots=True)
class Tally:
    """`received` is when each event reached the hub, in µs, by event id."""

    events: Counter[str] = field(default_factory=Counter)
    by_server: Counter[str] = field(default_factory=Counter)
    runs: Counter[str] = field(default_factory=Counter)
    received: dict[str, int] = field(default_factory=dict)
    recent: deque[Line] = field(default_factory=lambda: deque(maxlen=40))
    fired: deque[Line] = field(default_factory=lambda: deque(maxlen=20))
    actions: deque[Line] = field(default_factory=lambda: deque(maxlen=12))

    def logged(self, rows: Sequence[Input]) -> None:
        for row in rows:
            if row.kind == InputKind.EVENT:
                self._event(row, decode_envelope(row.body))

    def committed(self, batch: Batch) -> None:
        for row in batch.traces:
            trace = _decode_trace(row.body)
            if row.outcome == Verdict.FIRED:
                self.runs[row.workflow] += 1
            if row.outcome in {Verdict.FIRED, Verdict.FAILED, Verdict.HELD_BACK}:
                self.fired.append(Line(row.at, f"{row.workflow} {row.outcome}", row.key, trace.reason))

    def _event(self, row: Input, event: Envelope) -> None:
        self.events[event.type] += 1
        self.received[event.id] = to_us(event.received_at)
        if event.account is not None:
            self.by_server[f"{event.account.server} {event.type}"] += 1
        data = _decode_data(event.data)
        text = " ".join(f"{name} {data[name]}" for name in _SHOWN if data.get(name) is not None)
        line = Line(row.at, event.type, row.key or event.source, text)
        (self.actions if event.type.startswith("action.") else self.recent).append(line)


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value below which that share of them lies; 0 for none."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)] if ordered else 0.0
