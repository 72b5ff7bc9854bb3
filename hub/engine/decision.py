"""What was decided about one input: everything that changes, before any of it has."""

from collections.abc import Sequence
from enum import StrEnum

import msgspec

from hub.bus.log import NewInput
from hub.engine.account_rows import AccountRow
from hub.engine.ledger import Ledger
from hub.engine.rows import (
    ApprovalMove,
    ApprovalRow,
    Batch,
    LevelRow,
    RunRow,
    SeriesRow,
    StateRow,
    TimerKey,
    TimerRow,
    TraceRow,
)
from hub.engine.run_rows import OpenRun
from hub.engine.series import Series
from hub.engine.state import KeyState
from hub.engine.values import ACCOUNT, CLIENT, Kind, Slot, Value, encode_value
from hub.engine.windows import Change
from hub.events.facts import Fact
from hub.intents.intent import Intent


class Verdict(StrEnum):
    """Decisions worth keeping; a plain no is decided again from the log when somebody asks."""

    FIRED = "fired"
    ARMED = "armed"  # the condition let go: it can fire again
    HELD_BACK = "held_back"
    BOOKED = "booked"  # a grant asked for a difference, or learned what became of it
    FAILED = "failed"
    QUEUED = "queued"  # a run waits for the one before it to end
    DONE = "done"  # a run that had waited came to its end
    MOVED = "moved"  # a run went over to another version of its workflow


class Trace(msgspec.Struct, frozen=True, omit_defaults=True):
    """The body of a trace row. `reason` is a sentence with the values that decided it."""

    trigger: str
    reason: str
    event: str | None = None
    run: str | None = None
    intents: list[str] = []
    mode: str | None = None


class Writes:
    """The rows a decision adds beside the state. Most add none, so they share one that stays empty."""

    __slots__ = (
        "approval_moves",
        "approvals",
        "cancelled",
        "changed",
        "facts",
        "intents",
        "ledgers_changed",
        "levels",
        "mail",
        "runs",
        "runs_changed",
        "timers",
        "traces",
    )

    def __init__(self) -> None:
        self.timers: list[TimerRow] = []
        self.cancelled: list[TimerKey] = []
        self.levels: list[LevelRow] = []
        self.runs: list[RunRow] = []
        self.approvals: list[ApprovalRow] = []
        self.approval_moves: list[ApprovalMove] = []
        self.intents: list[Intent] = []
        self.facts: list[Fact] = []
        self.mail: list[NewInput] = []
        self.traces: list[TraceRow] = []
        self.ledgers_changed = False  # as below, of ledgers
        self.changed: tuple[str, ...] = ()  # what grants may depend on, where the key has any
        self.runs_changed = False  # an open run was put, or taken away


NOTHING = Writes()


class Decision(msgspec.Struct, gc=False):
    """`again`: time alone had something to change first; apply this and decide the same input once more."""

    partition: int
    key: str
    n: int
    at: int
    puts: dict[Slot, Value | None] = {}
    changes: dict[str, Change] = {}
    writes: Writes = NOTHING
    again: bool = False

    def writing(self) -> Writes:
        """Return the rows of this decision, for whoever adds one."""
        if self.writes is NOTHING:
            self.writes = Writes()
        return self.writes

    def put_run(self, run_id: str, run: OpenRun | None) -> None:
        """Keep a run as it stands now; None when it is over."""
        self.puts[(Kind.RUN.value, run_id)] = run
        self.writing().runs_changed = True

    def put_ledger(self, name: str, ledger: Ledger | None) -> None:
        """Keep a grant's ledger as it stands now; None when nothing was ever booked in it."""
        self.puts[(Kind.GRANT.value, name)] = ledger
        self.writing().ledgers_changed = True

    @property
    def timers(self) -> Sequence[TimerRow]:
        return self.writes.timers

    @property
    def cancelled(self) -> Sequence[TimerKey]:
        return self.writes.cancelled

    @property
    def levels(self) -> Sequence[LevelRow]:
        return self.writes.levels

    @property
    def runs(self) -> Sequence[RunRow]:
        return self.writes.runs

    @property
    def intents(self) -> Sequence[Intent]:
        return self.writes.intents

    @property
    def facts(self) -> Sequence[Fact]:
        return self.writes.facts

    @property
    def mail(self) -> Sequence[NewInput]:
        return self.writes.mail

    @property
    def traces(self) -> Sequence[TraceRow]:
        return self.writes.traces

    def trace(self, workflow: str, part: str, verdict: Verdict, body: Trace) -> None:
        """Keep a reason; `part` tells the traces of one workflow and input apart."""
        self.writing().traces.append(
            TraceRow(
                self.partition,
                self.n,
                f"{workflow}/{part}",
                workflow,
                self.key,
                self.at,
                verdict.value,
                encode_trace(body),
            )
        )


_EDGE = Kind.EDGE.value
_row = tuple.__new__  # a named tuple without its own constructor, which takes three times as long
encode_trace = msgspec.json.Encoder().encode
decode_trace = msgspec.json.Decoder(Trace).decode


def apply(state: KeyState, decision: Decision) -> None:
    """Make the decision's changes visible to the next input of the same key."""
    values, puts = state.values, decision.puts
    for slot, value in puts.items():
        if value is None:
            values.pop(slot, None)
        else:
            values[slot] = value
            state.has_edges |= slot[0] == _EDGE
    apply_contributions(state, decision)
    account = puts.get(ACCOUNT)
    if type(account) is AccountRow:
        state.account = account
    if CLIENT in puts:
        state.note_rows()
    writes = decision.writes
    if writes is NOTHING:
        return
    if writes.runs_changed:
        state.note_runs()
    if writes.ledgers_changed:
        state.note_ledgers()
    # Neither an alarm nor a wait changes without its timer.
    if writes.timers or writes.cancelled or writes.runs_changed:
        state.set_alarm()


def apply_contributions(state: KeyState, decision: Decision) -> None:
    for name, change in decision.changes.items():
        if change.ops:
            series = state.series.get(name)
            if series is None:
                series = state.series[name] = Series()
            for op in change.ops:
                series.apply(op)
            if not series.count and not series.withdrawn:
                del state.series[name]


class BatchBuilder:
    """Collects decisions into one batch: of several writes of one row only the last is encoded."""

    def __init__(self) -> None:
        self._states: dict[tuple[int, str], dict[Slot, Value | None]] = {}
        self._series: dict[tuple[int, str, str, int, str], str | None] = {}
        self._timers: dict[TimerKey, TimerRow | None] = {}
        self._levels: dict[tuple[int, str], LevelRow] = {}
        self._runs: dict[tuple[int, str], RunRow] = {}
        self._approval_moves: dict[str, ApprovalMove] = {}
        self._batch = Batch()

    def position(self, partition: int, n: int) -> None:
        self._batch.positions[partition] = n

    def trace(self, row: TraceRow) -> None:
        self._batch.traces.append(row)

    def add(self, decision: Decision) -> None:
        partition, key = decision.partition, decision.key
        puts = decision.puts
        if puts:
            where = (partition, key)
            known = self._states.get(where)
            # Most keys have one decision in a batch, whose own mapping serves: nobody changes it any more.
            self._states[where] = puts if known is None else known | puts
        changes = decision.changes
        for name in changes:  # nearly always there are none
            for op in changes[name].ops:
                self._series[(partition, key, name, op.at, op.ref)] = op.text
        writes = decision.writes
        if writes is not NOTHING:
            self._add_rows(partition, writes)

    def _add_rows(self, partition: int, writes: Writes) -> None:
        for timer_key in writes.cancelled:
            self._timers[timer_key] = None
        for timer in writes.timers:
            self._timers[TimerKey(partition, timer.due, timer.id)] = timer
        for level in writes.levels:
            self._levels[(partition, level.level_id)] = level
        for run in writes.runs:
            self._runs[(partition, run.id)] = run
        for move in writes.approval_moves:
            self._approval_moves[move.id] = move
        batch = self._batch
        batch.approvals += writes.approvals
        batch.intents += writes.intents
        batch.facts += writes.facts
        batch.mail += writes.mail
        batch.traces += writes.traces

    def build(self) -> Batch:
        batch = self._batch
        batch.states = [
            _row(StateRow, (partition, key, kind, name, None if value is None else encode_value(value)))
            for (partition, key), values in self._states.items()
            for (kind, name), value in values.items()
        ]
        batch.series = [_row(SeriesRow, (*where, text)) for where, text in self._series.items()]
        batch.timers = [timer for timer in self._timers.values() if timer is not None]
        batch.cancelled = [where for where, timer in self._timers.items() if timer is None]
        batch.levels = list(self._levels.values())
        batch.runs = list(self._runs.values())
        batch.approval_moves = list(self._approval_moves.values())
        return batch


def to_batch(decision: Decision) -> Batch:
    builder = BatchBuilder()
    builder.add(decision)
    builder.position(decision.partition, decision.n)
    return builder.build()
