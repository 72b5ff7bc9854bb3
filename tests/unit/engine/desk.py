"""A desk to try workflows at: the pure engine with a log of inputs, and timers that fire when time passes."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from hub.bus.log import Input, InputKind
from hub.clock import to_us
from hub.engine.crossing import Observed
from hub.engine.decide import OBSERVED, advance, realign
from hub.engine.decision import Decision, Trace, apply, decode_trace, to_batch
from hub.engine.index import Program
from hub.engine.load_text import load_text
from hub.engine.program import Workflow
from hub.engine.rows import LevelRow, TimerRow
from hub.engine.state import KeyState
from hub.events.base import AccountRef
from hub.events.catalogue import event_type
from hub.events.facts import Fact, make_fact, stored
from hub.ids import partition_of
from hub.intents.intent import Intent
from hub.intents.outcome import Outcome, encode_outcome

MORNING = datetime(2026, 3, 2, 8, tzinfo=UTC)
USUAL = {
    "trade.closed": {"symbol": "EURUSD", "side": "buy", "lots": "1"},
    "trade.opened": {"symbol": "EURUSD", "side": "buy", "lots": "1", "price": "1.1"},
}


def a_workflow(text: str, **header: Any) -> Workflow:
    """Load a workflow from what matters of it; the header is written where the text has none."""
    fields = {
        "schema": 1,
        "id": "rule",
        "title": "a rule",
        "owner": "tests",
        "mode": "live",
        "key": "account",
    } | header
    head = "\n".join(f"{name}: {value}" for name, value in fields.items())
    report = load_text(f"{head}\n{text}\n", "rule.yaml")
    assert report.workflow is not None, [str(problem) for problem in report.problems]
    return report.workflow


class Desk:
    def __init__(self, *workflows: Workflow, login: int = 7001) -> None:
        self.program = Program(workflows)
        self.login = login
        self.inputs: list[Input] = []
        self.decisions: list[Decision] = []
        self.timers: dict[str, TimerRow] = {}
        self.levels: dict[str, LevelRow] = {}
        self.now = to_us(MORNING)
        self.state = KeyState(partition_of("live-1", login), f"live-1:{login}")

    # What can happen

    def tell(self, name: str, *, at: datetime | None = None, **fields: Any) -> list[Intent]:
        """Tell the engine an event; return the intents it leads to."""
        return self.take(self.event(name, at=at, **fields))

    def event(
        self,
        name: str,
        *,
        at: datetime | None = None,
        timestamp: datetime | None = None,
        group: str | None = None,
        source: str = "test",
        **fields: Any,
    ) -> Input:
        if at is not None:
            self.until(at)
        kind = event_type(name)
        assert kind is not None
        flags = {part: fields.pop(part, False) for part in ("replayed", "degraded")}
        caused_by = fields.pop("caused_by", None)
        number = len(self.inputs) + 1
        data = kind.model.model_validate(USUAL.get(name, {}) | fields)
        fact = make_fact(
            kind,
            name,
            data,
            timestamp=timestamp or MORNING + timedelta(microseconds=self.now - to_us(MORNING)),
            received_us=self.now,
            source=source,
            account=AccountRef(server="live-1", login=self.login, group=group),
            dedupe_key=None if kind.numbers and data.__dict__.get("deal") else f"n{number}",
            caused_by=caused_by,
            **flags,
        )
        return self.event_of(fact)

    def event_of(self, fact: Fact) -> Input:
        return self._input(InputKind.EVENT, fact.envelope.id, stored(fact.envelope))

    def account(self, **fields: Any) -> list[Intent]:
        """Tell what the account looks like."""
        return self.tell(
            "account.updated", changed={name: {"after": value} for name, value in fields.items()}
        )

    def outcome(self, intent: Intent, state: str = "applied", **fields: Any) -> list[Intent]:
        body = encode_outcome(Outcome(intent=intent.key, verb=intent.verb, state=state, **fields))
        return self.take(self._input(InputKind.OUTCOME, intent.key, body))

    def observe(self, *levels: LevelRow, beyond: bool) -> list[Intent]:
        items = [Observed(level.level_id, level.generation, beyond) for level in levels]
        return self.take(self._input(InputKind.COMMAND, OBSERVED, msgspec.json.encode(items)))

    def cross(self, level: LevelRow, value: str, *, edge: str = "crossed", **flags: Any) -> list[Intent]:
        """Tell what the watcher would of a level, as it is in `level`."""
        return self.tell(
            "margin.crossed" if level.field == "margin_level" else "equity.crossed",
            level_id=level.level_id,
            generation=level.generation,
            field=level.field,
            edge=edge,
            side=level.side,
            value=value,
            limit=level.threshold,
            sampled_at=MORNING,
            sample_age_ms=0,
            **flags,
        )

    def until(self, at: datetime) -> list[Intent]:
        """Let time pass, each timer firing at its own moment."""
        found: list[Intent] = []
        while due := sorted((t.due, t.id) for t in self.timers.values() if t.due <= to_us(at)):
            timer = self.timers.pop(due[0][1])
            self.now = max(self.now, timer.due)
            found += self.take(self._input(InputKind.TIMER, timer.id, timer.body))
        self.now = max(self.now, to_us(at))
        return found

    def switch(self, *workflows: Workflow) -> None:
        """Make other workflows live."""
        self.program = Program(workflows)
        decision = realign(self.program, self.state, self._input(InputKind.ACTIVATED, "", b""))
        apply(self.state, decision)
        self._keep(decision)

    # What came of it

    def take(self, item: Input) -> list[Intent]:
        made = advance(self.program, self.state, item)
        for decision in made:
            self._keep(decision)
        return [intent for decision in made for intent in decision.intents]

    @property
    def level(self) -> LevelRow:
        (only,) = self.levels.values()
        return only

    @property
    def facts(self) -> list[Fact]:
        return [fact for decision in self.decisions for fact in decision.facts]

    @property
    def runs(self) -> dict[str, str]:
        return {run.id: run.state for decision in self.decisions for run in decision.runs}

    def traces(self, verdict: str | None = None) -> list[Trace]:
        rows = [trace for decision in self.decisions for trace in decision.traces]
        return [decode_trace(row.body) for row in rows if verdict in {None, row.outcome}]

    def written(self) -> list[Any]:
        """Return everything that was written, comparable byte for byte."""
        batches = [to_batch(decision) for decision in self.decisions]
        return [
            (b.states, b.series, b.timers, b.levels, b.runs, b.intents, b.traces, b.facts) for b in batches
        ]

    def _keep(self, decision: Decision) -> None:
        self.decisions.append(decision)
        for cancelled in decision.cancelled:
            self.timers.pop(cancelled.id, None)
        for timer in decision.timers:
            self.timers[timer.id] = timer
        for level in decision.levels:
            if level.state == "gone":
                self.levels.pop(level.level_id, None)
            else:
                self.levels[level.level_id] = level

    def _input(self, kind: InputKind, ref: str, body: bytes) -> Input:
        number = len(self.inputs) + 1
        row = Input(self.state.partition, number, self.now, int(kind), self.state.key, ref, None, body)
        self.inputs.append(row)
        return row
