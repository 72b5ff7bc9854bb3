"""Recorded events told to a workflow that sends nothing: the pure engine, its timers merged by time, outcomes assumed.

The order is that of the record. Where none was recorded, for timers, inputs merge by time: at the same instant events
come first, then timers by (due, id).
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from decimal import Decimal
from itertools import islice
from typing import Any, Protocol

import msgspec

from hub.bus.log import Input, InputKind
from hub.engine import rehearsed
from hub.engine.account_rows import AccountRow, ClientRow
from hub.engine.ballots import encode_ballot
from hub.engine.decide import advance, advance_with_care, decide
from hub.engine.decision import NOTHING, Decision, Writes, apply
from hub.engine.index import Program
from hub.engine.keys import KeyedBy
from hub.engine.levels import GONE, Quote, Sample, Seen, crossings, new_peaks, observations, peaks_of
from hub.engine.mail import forward
from hub.engine.moved_on import is_awaited, moved_on, moving
from hub.engine.program import Mode, Workflow
from hub.engine.quotes import TOLD
from hub.engine.rehearsed import People
from hub.engine.rehearsed_samples import crossing_input, first_quoted, first_sight, told_by
from hub.engine.rehearsed_timers import Timers, Window
from hub.engine.relevant import Needed
from hub.engine.rows import ApprovalMove, ApprovalRow, LevelRow, TimerRow, TraceRow
from hub.engine.stage_positions import position_key
from hub.engine.state import NEVER, KeyState
from hub.engine.straight import absorb, straight
from hub.engine.timers import decode_window
from hub.engine.values import ACCOUNT, CLIENT
from hub.errors import HubError
from hub.events.brief import NEAR_TYPE, OF_ITSELF, named_type
from hub.events.facts import Fact, stored
from hub.events.records import Envelope, decode_data, decode_envelope, encode
from hub.events.watched import CROSSINGS, POSITION_CROSSED, SYMBOL_CROSSED, symbol_key
from hub.intents.intent import Intent, State, decided_by

MOST_AT_ONCE = 10_000  # inputs that follow from one event, before it is called a workflow without end
MOST_BROKEN = 20
ABOVE_ALL = 2**48  # rows of a partition
_WATCHED = CROSSINGS | {POSITION_CROSSED}
EVENT, TIMER = int(InputKind.EVENT), int(InputKind.TIMER)
WINDOW_TIMER = "window"
WINDOW = f"{WINDOW_TIMER}:"  # how the ref of such a timer begins
_CAUSED = b'"caused_by":"'

Way = Callable[[Program, KeyState, Input], Iterable[Decision]]


class Endless(HubError):
    """The workflow sets itself off without end."""


class Listener(Protocol):
    """Who hears what would have been asked for, and why nothing was."""

    def asked(self, intent: Intent, currency: str, amount: Decimal | None) -> None: ...

    def traced(self, row: TraceRow) -> None: ...

    def questioned(self, row: ApprovalRow, currency: str) -> None: ...

    def answered(self, move: ApprovalMove) -> None: ...


class Known(Protocol):
    """What is known of an account before its first recorded event; None for nothing."""

    def __call__(self, _key: str, /) -> tuple[AccountRow | None, ClientRow | None]: ...


def nobody(_key: str) -> tuple[AccountRow | None, ClientRow | None]:
    return None, None


class Rehearsal:
    """One set of workflows, live whatever their mode says. `listener` hears nothing of what comes before `since`."""

    def __init__(
        self,
        workflows: Iterable[Workflow],
        listener: Listener,
        *,
        since: int = 0,
        known: Known = nobody,
        people: People | None = None,
    ) -> None:
        live = [replace(workflow, mode=Mode.LIVE) for workflow in workflows]
        self.program = Program(live)
        self.needed = self.program.hears = Needed(self.program)
        self.events = 0  # told, skipped ones too
        self.broken: list[str] = []  # why inputs could not be decided: the first few
        self.broken_count = 0
        self._listener = listener
        self._since = since
        self._known = known
        self.people = people
        self._own = [_CAUSED + workflow.id.encode() + b"/" for workflow in live]
        self._crosses = any(part.crosses for part in (self.program, *self.program.mailed))
        self._states: dict[str, KeyState] = {}
        self._timers = Timers()
        self._following: deque[Input | None] = deque()  # None: what nobody needs to be told
        self._levels: dict[str, dict[str, LevelRow]] = {}
        self._quoted: set[str] = set()  # symbols that are known to have a price
        self._last: dict[str, Sample] = {}  # as each account was last seen
        self._published: set[bytes] = set()
        self._groups: dict[str, tuple[str | None, str]] = {}  # as recorded, and as assumed instead
        self._n = ABOVE_ALL
        self._at = 0

    def tell(self, rows: Iterable[Input]) -> None:
        """Tell events in the order they were recorded in."""
        skips, timers, states = self.needed.skips, self._timers, self._states
        plain = not self._crosses
        for row in rows:
            if row.kind != EVENT:
                if row.ref == TOLD:  # what currencies are worth, and were when it was recorded
                    self._board(row)
                continue
            self.events += 1
            body = row.body
            skip = skips.get(body[NEAR_TYPE])
            if skip is None:
                skip = self.needed.skip(body)
            if skip:
                continue
            at = row.at
            if timers.next < at:
                self._elapse(at - 1)
            now = self._at = max(self._at, at)
            key = row.key
            if plain and not self._groups and (body.endswith(OF_ITSELF) or _CAUSED not in body):
                state = states.get(key)
                if state is not None and at == now and row.n:
                    self._go_straight(state, row)
                elif key:
                    self._take(row)
            elif key:
                self._event(row, named_type(body))
            elif named_type(body) == SYMBOL_CROSSED:
                self._symbol_crossed(row)

    def _go_straight(self, state: KeyState, row: Input) -> None:
        """Decide an event as it was recorded, of a key there is: nearly always it folds and counts, and that is all."""
        try:
            told = straight(self.program, state, row)
        except Exception:
            self._take(row)  # whatever it was, it is met again where it is noted
            return
        if told is None:
            self._take(row, advance_with_care)
            return
        absorb(state, told)
        if told.writes is not NOTHING:
            self._follow(told.writes)

    def sampled(self, key: str, sample: Sample, at: int) -> None:
        """Compare a sample with the account's levels, as the hub's watcher does."""
        self._elapse(at - 1)
        self._at = max(self._at, at)
        self._sample(key, sample)

    def quoted(self, key: str, quote: Quote, at: int, symbol_class: str | None) -> None:
        """Compare a quote with the symbol's levels, as the hub's watcher does."""
        self._elapse(at - 1)
        self._at = max(self._at, at)
        if quote.is_believable:
            self._meet(key, symbol_class)
        self._compare("", key, quote)

    def until(self, at: int) -> None:
        """Let time pass, each timer firing at its own moment."""
        self._elapse(at)
        self._at = max(self._at, at)

    @property
    def keys(self) -> int:
        return len(self._states)

    @property
    def at(self) -> int:
        """Return the moment it has come to."""
        return self._at

    def states(self, kind: KeyedBy, most: int) -> list[KeyState]:
        """Return the keys of a kind, as many as may be, in a fixed order."""
        found = (state for key, state in sorted(self._states.items()) if state.kind == kind)
        return list(islice(found, most))

    def _board(self, row: Input) -> None:
        self._elapse(row.at - 1)
        self._at = max(self._at, row.at)
        self._take(row)

    def _event(self, row: Input, name: str) -> None:
        body = row.body
        if _CAUSED in body and any(own in body for own in self._own):
            return  # what the live version led to: here it leads to its own
        if row.key in self._groups:
            row = self._regrouped(row)
        if self._crosses and (name in _WATCHED or name == "day.rolled"):
            envelope = decode_envelope(row.body)
            if self._seen(row.key, envelope):
                return
        self._take(row)
        if name == "day.rolled" and (last := self._last.get(row.key)) is not None:
            self._sample(row.key, last)  # a limit that moved is compared at once

    def _symbol_crossed(self, row: Input) -> None:
        """Take the crossing of a symbol for the quotes it was told by, and tell it where it is of another's level."""
        envelope = decode_envelope(row.body)
        record: Any = decode_data(envelope)
        self._meet(symbol_key(record.server, record.symbol), record.symbol_class)
        if not self._seen("", envelope):
            self._take(row)

    def _meet(self, key: str, symbol_class: str | None) -> None:
        """Let a symbol be known from its first quote."""
        if key not in self._quoted:
            self._quoted.add(key)
            self._take(first_quoted(key, symbol_class, self._at))

    def _forward(self, item: Input) -> None:
        """Tell whom it concerns of an event that belongs to no account."""
        self._n += 1
        try:
            told = forward(self.program, item._replace(n=item.n or self._n, at=self._at))
        except Exception as problem:
            self._broke(item, problem)
            return
        if told is not None:
            self._follow(told.writes)

    def _take(self, first: Input, way: Way = advance) -> None:
        """Decide an input, and then all that follows from it at the same moment."""
        if first.key:
            self._decide(first, way)
        else:
            self._forward(first)
        if self._following:
            self._go_on()

    def _go_on(self) -> None:
        following = self._following
        count = 0
        while following:
            count += 1
            if count > MOST_AT_ONCE:
                following.clear()
                raise Endless(
                    f"one event led to more than {MOST_AT_ONCE} others: does the workflow set itself off?"
                )
            item = following.popleft()
            if item is None:
                self._n += 1  # as if it had been decided
            else:
                self._decide(item, advance)

    def _decide(self, item: Input, way: Way) -> None:
        key = item.key
        state = self._states.get(key)
        if state is None:
            state = self._states[key] = self._begin(item)
        if (
            item.at != self._at or not item.n
        ):  # what follows from others has a number of its own, above all recorded ones
            self._n += 1
            n = item.n or self._n
            item = Input(item.partition, n, self._at, item.kind, key, item.ref, item.sequence, item.body)
        try:
            for decision in self._decisions(state, item, way):
                if decision.writes is not NOTHING:
                    self._follow(decision.writes)
        except Exception as problem:
            self._broke(item, problem)

    def _broke(self, item: Input, problem: Exception) -> None:
        self.broken_count += 1
        if len(self.broken) < MOST_BROKEN:
            self.broken.append(f"{item.key}: {item.ref}: {type(problem).__name__}: {problem}")

    def _decisions(self, state: KeyState, item: Input, way: Way) -> Iterable[Decision]:
        if item.kind != TIMER or not item.ref.startswith(WINDOW):
            return way(self.program, state, item)
        # What a window lets go is all there is to such a moment; asking what else there is costs as much again.
        made: list[Decision] = []
        while state.alarm_due <= item.at:
            made.append(decide(self.program, state, item))
            apply(state, made[-1])
        return made

    def _begin(self, item: Input) -> KeyState:
        state = KeyState(item.partition, item.key)
        if not state.by_mail:
            account, client = self._known(item.key)
            if account is not None:
                state.values[ACCOUNT] = account
            if client is not None:
                state.values[CLIENT] = client
            state.note_rows()
        return state

    def _follow(self, writes: Writes) -> None:
        for gone in writes.cancelled:
            self._timers.cancel(gone)
        for timer in writes.timers:
            self._wait(timer)
        for level in writes.levels:
            self._level(level)
        for told in writes.mail:
            self._following.append(
                Input(told.partition, 0, self._at, int(told.kind), told.key, told.ref, None, told.body)
            )
        for fact in writes.facts:
            self._publish(fact)
        reported = self._at >= self._since
        for question in writes.approvals:
            if reported:
                self._listener.questioned(question, self._currency(question.account))
            if self.people is not None:
                self._answer(question, self.people)
        for move in writes.approval_moves:
            self._listener.answered(move)
        for intent in writes.intents:
            if intent.state is State.SUPPRESSED:  # nobody would have got it
                continue
            if reported:
                self._listener.asked(intent, self._currency(intent.account), rehearsed.amount_of(intent))
            self._succeed(intent, self._row(intent.account))
        if reported:
            for trace in writes.traces:
                self._listener.traced(trace)

    def _succeed(self, intent: Intent, row: AccountRow | None) -> None:
        """Take an action somebody waits for as applied: its effect is seen, and its run goes on."""
        body = rehearsed.outcome_of(intent, self._n)
        if body is None:
            return
        if row is not None:
            changed = rehearsed.effect_of(intent, row)
            if changed:
                self._publish(rehearsed.told(intent, row, changed, self._at))
            group = changed.get("group")
            if isinstance(group, str):
                recorded = self._groups.get(intent.account, (row.group, ""))[0]
                self._groups[intent.account] = (recorded, group)
        key = decided_by(intent)
        outcome = Input(intent.partition, 0, self._at, int(InputKind.OUTCOME), key, intent.key, None, body)
        self._following.append(outcome)

    def _answer(self, question: ApprovalRow, people: People) -> None:
        """Have as many people as it takes say what they are assumed to say."""
        for ballot in rehearsed.ballots(question, people):
            body = encode_ballot(ballot)
            kind = int(InputKind.APPROVAL)
            self._following.append(
                Input(question.partition, 0, self._at, kind, question.key, question.id, None, body)
            )

    def _publish(self, fact: Fact) -> None:
        if fact.key in self._published or not fact.account:
            return
        self._published.add(fact.key)
        if self._row(fact.account) is not None and not self.needed(fact.envelope.type):
            self._following.append(None)
            return
        row = Input(
            fact.partition, 0, self._at, EVENT, fact.account, fact.envelope.id, None, stored(fact.envelope)
        )
        self._following.append(row)

    def _row(self, account: str) -> AccountRow | None:
        state = self._states.get(account)
        return state.account if state is not None else None

    def _currency(self, account: str) -> str:
        row = self._row(account)
        return row.currency if row is not None and row.currency else ""

    def _regrouped(self, row: Input) -> Input:
        """Put the account into the group it was assumed to be moved to, until the record moves it itself."""
        recorded, group = self._groups[row.key]
        envelope = decode_envelope(row.body)
        account = envelope.account
        if (
            envelope.type == "account.group_changed"
            or account is None
            or account.group not in {None, recorded}
        ):
            del self._groups[row.key]
            return row
        moved = msgspec.structs.replace(account, group=group)
        return row._replace(body=encode(msgspec.structs.replace(envelope, account=moved)))

    # Time

    def _elapse(self, until: int) -> None:
        """Fire what is due, in order, each at its own moment."""
        timers = self._timers
        while (waiting := timers.take(until)) is not None:
            due, window = waiting.due, waiting.window
            if window is not None:
                if not is_awaited(window.state, window.feed, due):
                    continue
                moved = moved_on(window.state, window.feed, due)
                if moved is not None:
                    self._at = max(self._at, due)
                    if moved == NEVER:
                        self._n += 1  # as if it had been decided
                    else:
                        timers.watch(window, moved)
                    continue
            self._at = max(self._at, due)
            timer = waiting.timer
            ref = f"{timer.kind}:{timer.due}:{timer.id}"
            self._take(Input(timer.partition, 0, self._at, TIMER, timer.key, ref, None, timer.body))

    def _wait(self, timer: TimerRow) -> None:
        """Have a timer wait; that of a window which only lets go for as long as it is the window's."""
        if timer.kind == WINDOW_TIMER:
            state = self._states[timer.key]
            feed = moving(self.program.of(state.kind), decode_window(timer.body).aggregate)
            if feed is not None:
                self._timers.watch(Window(state, feed), timer.due)
                return
        self._timers.wait(timer)

    # Sampled values

    def _level(self, level: LevelRow) -> None:
        levels = self._levels.setdefault(level.key, {})
        if level.state == GONE:
            levels.pop(level.level_id, None)
        else:
            known = levels.get(level.level_id)
            same = known is not None and known.generation == level.generation
            levels[level.level_id] = level._replace(peak=known.peak if known and same else "")

    def _seen(self, key: str, envelope: Envelope) -> bool:
        """Take a recorded crossing or the end of a day for the sample it was told by; return whether that is all it says."""
        name = key
        for name, sample in told_by(key, envelope):
            self._compare(key, name, sample)
        if envelope.type == "day.rolled":
            return False
        record: Any = decode_data(envelope)
        return record.level_id in self._levels.get(name, {})

    def _sample(self, key: str, sample: Sample) -> None:
        self._compare(key, key, sample)
        if not sample.degraded:
            server = key.rpartition(":")[0]
            for each in sample.positions:
                self._compare(key, position_key(server, each.position), each)

    def _compare(self, account: str, key: str, sample: Seen) -> None:
        """Compare what was seen of an account, one of its positions or a symbol, until nothing more comes of it."""
        if isinstance(sample, Sample) and sample.is_believable:
            self._last[key] = sample
        for _ in range(MOST_AT_ONCE):
            levels = self._followed(key, sample)
            peaks = peaks_of(levels)
            first = observations(levels, sample, peaks)
            crossed = crossings(levels, sample, peaks)
            if not first and not crossed:
                return
            if first:
                self._take(first_sight(account, key, first, self._at))
            for each in crossed:
                self._take(crossing_input(account, each, sample, self._at))

    def _followed(self, key: str, sample: Seen) -> Sequence[LevelRow]:
        """Return an account's levels, those that follow a peak as far as the sample moves it."""
        levels = self._levels.get(key, {})
        for peak in new_peaks(tuple(levels.values()), sample):
            levels[peak.level_id] = levels[peak.level_id]._replace(peak=peak.peak)
        return tuple(levels.values())
