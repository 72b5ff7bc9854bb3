"""The log and the engine's store in memory: for stories, backtests and tests, with the promises of the real ones."""

import asyncio
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import final

from typing_extensions import override

from hub.bus.lease import Lease
from hub.bus.log import Appended, Input, InputKind, Lane, Log, Mark, NewInput
from hub.clock import Clock
from hub.engine.rows import (
    ApprovalRow,
    Batch,
    EngineStore,
    Inbox,
    KeyRows,
    LevelRow,
    Peak,
    RunRow,
    SeriesRow,
    StateRow,
    TimerRow,
    TraceRow,
)
from hub.errors import LeaseLost
from hub.events.facts import Fact, says_the_same, stored, with_entity_version
from hub.events.watched import SYMBOL_QUOTED
from hub.ids import PARTITIONS, hashed
from hub.intents.intent import Intent

Contribution = tuple[str, int, str]


@final
class MemoryLog(Log):
    """Rows per partition without gaps. `changed` is set whenever something was appended."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._rows: list[list[Input]] = [[] for _ in range(PARTITIONS)]
        self._ranked: list[Input] = []
        self._keys: dict[bytes, tuple[Input | None, bytes]] = {}
        self._sequences: defaultdict[str, int] = defaultdict(int)
        self._entities: dict[str, tuple[int, str]] = {}
        self._marks: defaultdict[str, dict[str, bytes]] = defaultdict(dict)
        self._last_at = 0
        self.changed = asyncio.Event()

    @override
    async def append(
        self,
        facts: Sequence[Fact],
        *,
        inputs: Sequence[NewInput] = (),
        marks: Sequence[Mark] = (),
        lane: Lane = Lane.LIVE,
    ) -> list[Appended]:
        return self.add(facts, inputs, marks)

    def add(
        self, facts: Sequence[Fact], inputs: Sequence[NewInput] = (), marks: Sequence[Mark] = ()
    ) -> list[Appended]:
        """Append at once, as part of whatever the caller commits."""
        self._last_at = max(self._last_at, self._clock.now_us())
        answers = [self._add_fact(fact) for fact in facts]
        for new in inputs:
            key = hashed(0, new.unique) if new.unique else None
            if key is None or key not in self._keys:
                row = self._number(new.partition, new.kind, new.key, new.ref, None, new.body)
                if key is not None:
                    self._keys[key] = (row, b"")
        for mark in marks:
            if mark.value is None:
                self._marks[mark.source].pop(mark.name, None)
            else:
                self._marks[mark.source][mark.name] = mark.value
        self.changed.set()
        return answers

    @override
    async def read(self, partition: int, after: int, limit: int) -> list[Input]:
        return self._rows[partition][after : after + limit]

    @override
    async def start(self, positions: Sequence[int]) -> int:
        waiting = [
            rows[position].rank - 1
            for rows, position in zip(self._rows, positions, strict=True)
            if position < len(rows)
        ]
        return min(waiting, default=len(self._ranked))

    @override
    async def scan(self, after: int, limit: int) -> list[Input]:
        return self.ranked(after, limit)

    def ranked(self, after: int, limit: int) -> list[Input]:
        return self._ranked[after : after + limit]

    def __len__(self) -> int:
        return len(self._ranked)

    def keys_by_mail(self) -> list[str]:
        """Return the keys that are no accounts and were told of something."""
        return sorted(
            {row.key for row in self._ranked if row.kind == InputKind.MAIL or row.ref == SYMBOL_QUOTED}
        )

    @override
    async def find(self, key: bytes) -> Input | None:
        known = self._keys.get(key)
        return known[0] if known is not None else None

    @override
    def heads(self) -> list[int]:
        return [len(rows) for rows in self._rows]

    @override
    async def marks(self, source: str) -> Mapping[str, bytes]:
        return dict(self._marks[source])

    def _add_fact(self, fact: Fact) -> Appended:
        if fact.entity is not None:
            version, state = self._entities.get(fact.entity.name, (0, None))
            if state == fact.entity.state:
                return Appended("", duplicate=True, mismatch=False)
            self._entities[fact.entity.name] = (version + 1, fact.entity.state)
            fact = with_entity_version(fact, version)
        known = self._keys.get(fact.key)
        if known is not None:
            return Appended(
                fact.envelope.id,
                duplicate=True,
                mismatch=not says_the_same(fact.envelope.type, known[1], fact.content),
            )
        sequence = None
        if fact.account:
            self._sequences[fact.account] += 1
            sequence = self._sequences[fact.account]
        row = self._number(
            fact.partition, InputKind.EVENT, fact.account, fact.envelope.id, sequence, stored(fact.envelope)
        )
        self._keys[fact.key] = (row, fact.content)
        return Appended(fact.envelope.id, duplicate=False, mismatch=False)

    def _number(
        self, partition: int, kind: int, key: str, ref: str, sequence: int | None, body: bytes
    ) -> Input:
        rows = self._rows[partition]
        rank = len(self._ranked) + 1
        row = Input(partition, len(rows) + 1, self._last_at, int(kind), key, ref, sequence, body, rank)
        rows.append(row)
        self._ranked.append(row)
        return row


@final
class MemoryInbox(Inbox):
    """Reads the log in the order it took its rows, past what the positions say was decided."""

    def __init__(self, log: MemoryLog, positions: Sequence[int]) -> None:
        self._log = log
        self._positions = list(positions)
        self._after = 0
        self._stopped = False

    @override
    async def take(self, limit: int) -> list[Input]:
        while True:
            found = self.ready(limit)
            if found or self._stopped:
                return found
            self._log.changed.clear()
            await self._log.changed.wait()

    def ready(self, limit: int) -> list[Input]:
        """Return what is there, without waiting."""
        found: list[Input] = []
        while len(found) < limit:
            rows = self._log.ranked(self._after, limit)
            if not rows:
                break
            for row in rows:
                if len(found) == limit:
                    break
                self._after = row.rank
                if row.n > self._positions[row.partition]:
                    self._positions[row.partition] = row.n
                    found.append(row)
        return found

    def stop(self) -> None:
        self._stopped = True
        self._log.changed.set()

    @override
    def backlog(self) -> int:
        return len(self._log) - sum(self._positions)


@final
class MemoryEngineStore(EngineStore):
    """`epoch` is the owner's: a commit under another one is refused, as it would be after a take-over."""

    def __init__(self, log: MemoryLog) -> None:
        self._log = log
        self.epoch = 1
        self.intents: dict[str, Intent] = {}
        self.runs: dict[str, RunRow] = {}
        self.approvals: dict[str, ApprovalRow] = {}
        self.trace_rows: dict[tuple[int, int, str], TraceRow] = {}
        self.level_rows: dict[str, LevelRow] = {}
        self.timers: dict[tuple[int, str], TimerRow] = {}  # by (due, id)
        self._positions = [0] * PARTITIONS
        self._states: defaultdict[tuple[int, str], dict[tuple[int, str], bytes]] = defaultdict(dict)
        self._series: defaultdict[tuple[int, str], dict[Contribution, str]] = defaultdict(dict)
        self._versions: dict[str, str] = {}
        self._active: str | None = None

    @override
    async def positions(self, consumer: str) -> list[int]:
        return list(self._positions)

    @override
    async def load(self, keys: Sequence[tuple[int, str]]) -> Mapping[str, KeyRows]:
        return {key: self._rows_of(partition, key) for partition, key in keys}

    @override
    async def keys(self, partition: int, after: str, limit: int) -> list[str]:
        known = sorted(key for (p, key), values in self._states.items() if p == partition and values)
        first = bisect_right(known, after)
        return known[first : first + limit]

    @override
    async def commit(self, batch: Batch, fence: Sequence[Lease]) -> None:
        for lease in fence:
            if lease.epoch != self.epoch:
                raise LeaseLost(f"{lease.name}: epoch {lease.epoch} is over, it is now {self.epoch}")
        for partition, n in batch.positions.items():
            self._positions[partition] = n
        for state in batch.states:
            self._put_state(state)
        for contribution in batch.series:
            self._put_series(contribution)
        for _, due, timer_id in batch.cancelled:
            self.timers.pop((due, timer_id), None)
        for timer in batch.timers:
            self.timers.setdefault((timer.due, timer.id), timer)
        for level in batch.levels:
            if level.state == "gone":
                self.level_rows.pop(level.level_id, None)
            else:
                known = self.level_rows.get(level.level_id)
                same = known is not None and known.generation == level.generation
                self.level_rows[level.level_id] = level._replace(peak=known.peak if known and same else "")
        for run in batch.runs:
            self.runs[run.id] = run
        for approval in batch.approvals:
            self.approvals.setdefault(approval.id, approval)
        for move in batch.approval_moves:
            self.approvals[move.id] = self.approvals[move.id]._replace(state=move.state, votes=move.votes)
        for intent in batch.intents:
            self.intents.setdefault(intent.key, intent)
        for trace in batch.traces:
            self.trace_rows.setdefault((trace.partition, trace.n, trace.id), trace)
        if batch.facts or batch.mail:
            self._log.add(batch.facts, batch.mail)

    @override
    async def fire_timers(self, now_us: int, limit: int) -> int:
        due = sorted(where for where in self.timers if where[0] <= now_us)[:limit]
        fired = [self.timers.pop(where) for where in due]
        if fired:
            self._log.add(
                (),
                [
                    NewInput(
                        each.partition,
                        InputKind.TIMER,
                        each.key,
                        f"{each.kind}:{each.due}:{each.id}",
                        each.body,
                    )
                    for each in fired
                ],
            )
        return len(fired)

    @override
    def next_timer(self) -> int | None:
        return min((due for due, _ in self.timers), default=None)

    @override
    async def run(self, run_id: str) -> RunRow | None:
        return self.runs.get(run_id)

    @override
    async def open_runs(self, partition: int) -> list[RunRow]:
        running = [run for run in self.runs.values() if (run.partition, run.state) == (partition, "running")]
        return sorted(running, key=lambda run: (run.at, run.id))

    @override
    async def levels(self) -> list[LevelRow]:
        return list(self.level_rows.values())

    @override
    async def save_peaks(self, peaks: Sequence[Peak], fence: Sequence[Lease]) -> None:
        for lease in fence:
            if lease.epoch != self.epoch:
                raise LeaseLost(f"{lease.name}: epoch {lease.epoch} is over, it is now {self.epoch}")
        for each in peaks:
            known = self.level_rows.get(each.level_id)
            if known is not None and known.generation == each.generation:
                self.level_rows[each.level_id] = known._replace(peak=each.peak)

    @override
    async def save_version(self, version: str, workflow: str, text: str) -> None:
        self._versions.setdefault(version, text)

    @override
    async def version(self, version: str) -> str | None:
        return self._versions.get(version)

    @override
    async def active(self) -> str | None:
        return self._active

    @override
    async def activate(self, manifest: str, inputs: Sequence[NewInput]) -> None:
        self._active = manifest
        self._log.add((), inputs)

    @override
    async def leave(self, item: NewInput) -> None:
        self._log.add((), [item])

    @override
    async def traces(
        self, *, workflow: str, key: str, limit: int, before: int | None = None
    ) -> list[TraceRow]:
        found = [
            trace
            for trace in self.trace_rows.values()
            if trace.workflow == workflow and trace.key == key and (before is None or trace.at < before)
        ]
        return sorted(found, key=lambda trace: (trace.at, trace.n), reverse=True)[:limit]

    def _rows_of(self, partition: int, key: str) -> KeyRows:
        where = (partition, key)
        # No store promises an order: here it is one in which nothing was written, so that nobody relies on that.
        known = sorted(self._states.get(where, {}).items(), reverse=True)
        states = [(kind, name, value) for (kind, name), value in known]
        series = [(*which, text) for which, text in sorted(self._series.get(where, {}).items())]
        levels = [level for level in self.level_rows.values() if level.key == key]
        return KeyRows(states, series, levels)

    def _put_state(self, row: StateRow) -> None:
        values = self._states[(row.partition, row.key)]
        if row.value is None:
            values.pop((row.kind, row.name), None)
        else:
            values[(row.kind, row.name)] = row.value

    def _put_series(self, row: SeriesRow) -> None:
        values = self._series[(row.partition, row.key)]
        if row.value is None:
            values.pop((row.name, row.at, row.ref), None)
        else:
            values[(row.name, row.at, row.ref)] = row.value
