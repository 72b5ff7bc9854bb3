"""The stage a story is told on: the real engine, a store in memory, a clock that moves when it is told to."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec

from hub.bus.lease import Lease
from hub.bus.log import Input, InputKind, NewInput
from hub.clock import MICROSECOND, ManualClock, to_us
from hub.engine.coverage import Watch
from hub.engine.decide import OBSERVED, SAMPLED_LATE
from hub.engine.decision import Verdict, decode_trace
from hub.engine.fields import as_text
from hub.engine.holds import BACK, LOST
from hub.engine.index import Program
from hub.engine.keys import EVERYTHING, KeyKind
from hub.engine.levels import (
    PositionSample,
    Quote,
    Sample,
    Seen,
    crossings,
    new_peaks,
    observations,
    peaks_of,
)
from hub.engine.loop import EngineLoop
from hub.engine.memory import MemoryEngineStore, MemoryInbox, MemoryLog
from hub.engine.messages import declared_of, taken_apart
from hub.engine.program import Mode, Workflow
from hub.engine.quotes import Board
from hub.engine.rate_board import tell
from hub.engine.stage_answers import outcome_of
from hub.engine.stage_breaker import StageBreaker, rejected
from hub.engine.stage_days import days_over, days_seen_late, next_midnight
from hub.engine.stage_events import StageError, happened, introduced, passed
from hub.engine.stage_positions import doubted, first_quote, position_key, relayed, told_to
from hub.engine.starting import StartRefused, asked_for
from hub.engine.story_approvals import ballot_of
from hub.engine.storybook import (
    Given,
    StoryAccount,
    StoryEvent,
    StoryQuote,
    StorySample,
    StoryStart,
    StoryStep,
    extras,
)
from hub.engine.why import MOST_TRACES, Answer, why
from hub.events.facts import Fact
from hub.events.watched import POSITION, SYMBOL, symbol_key
from hub.ids import PARTITIONS, account_key, partition_of
from hub.intents.checks import FRESH
from hub.intents.intent import Intent, State, decided_by
from hub.intents.outcome import encode_outcome

LEASE = Lease("engine", "story", 1, 2**62)
MOST_ROUNDS = 200
RATES_LAST = timedelta(days=7) // MICROSECOND  # as long as hub.yaml lets them, where it does not say
FIRST_NUMBER = 9_000_000


class Stage:
    def __init__(
        self, workflow: Workflow, begins: datetime, given: Given, watch: Watch | None = None
    ) -> None:
        self._watch = watch
        self.clock = ManualClock(begins)
        self.log = MemoryLog(self.clock)
        self.store = MemoryEngineStore(self.log)
        self._workflow = workflow
        self._given = given
        self._declared = declared_of(taken_apart(workflow.text)[1], workflow.id)
        self._program = Program([workflow])
        self._loop, self._inbox = self._start()
        self._seen: set[str] = set()
        self._answered: set[str] = set()
        self._last_event: Input | None = None
        self._last_sample: Sample | None = None
        self._samples: dict[str, Sample] = {}  # the last of each account that was believed
        self._positions: dict[str, PositionSample] = {}  # the last of each that was believed
        self._quotes: dict[str, Quote] = {}  # the same of symbols
        self._lost: set[str] = set()
        self._next_number = FIRST_NUMBER
        self._reads: dict[str, Any] = {}
        self._starts = 0
        self.breaker = StageBreaker(workflow)
        self._rates: dict[str, tuple[int, str]] = {}

    async def open(self) -> None:
        """Activate the workflow and tell the hub who the story is about."""
        await self._loop.activate([self._workflow])
        await self._settle()
        await self._be_watched()
        if self._given.rates:
            await self.rated(self._given.rates, fixed=True)
        for account in (self._given.account, *self._given.accounts):
            for fact in introduced(self._given, account, self.clock.now_us()):
                await self.log.append((fact,))
        await self._settle()

    async def rated(self, rates: Mapping[str, Decimal], *, fixed: bool = False) -> None:
        """Tell the hub what currencies are worth from now on."""
        at = -1 if fixed else self.clock.now_us()
        self._rates |= {currency: (at, format(rate, "f")) for currency, rate in rates.items()}
        board = Board(self._given.base_currency, RATES_LAST, dict(self._rates))
        await self.log.append((), inputs=(tell(board),))
        await self._settle()

    async def until(self, at: datetime) -> None:
        """Move to a time, firing each timer and ending each day on the way at its own."""
        target = to_us(at)
        if target < self.clock.now_us():
            raise StageError(f"{at.isoformat()} lies before the step before it: a story goes forward")
        while True:
            timer = self.store.next_timer()
            midnight = next_midnight(self.store.level_rows.values(), self.clock.now_us())
            due = min(each for each in (timer, midnight, target + 1) if each is not None)
            if due > target:
                break
            await self._move(due)
            if due == midnight:
                await self._end_days()
            else:
                await self.store.fire_timers(self.clock.now_us(), 1)
            await self._settle()
        await self._move(target)

    async def _end_days(self) -> None:
        """Tell of the days that are over as the watcher does, and compare what was last seen with what moved then."""
        now = self.clock.now_us()
        for key, facts in days_over(self.store.level_rows.values(), self._samples, now).items():
            await self.log.append(facts)
            await self._settle()
            sample = self._samples.get(key)
            if sample is not None:
                server, _, login = key.rpartition(":")
                await self._compare(StoryAccount(server=server, login=int(login)), sample, key)

    async def happens(self, event: StoryEvent) -> None:
        fact, self._next_number = happened(
            self._given, event, self._next_number, self.clock.now_us(), self._declared
        )
        self._last_event = await self._append(fact) or self._last_event
        await self._settle()
        await self._look_at_conditions(event.account or self._given.account)

    async def sampled(self, sample: StorySample) -> None:
        """Compare a sample with the account's levels, as the hub's watcher does, until nothing more comes of it."""
        account = sample.account or self._given.account
        key = account_key(account.server, account.login)
        if sample.gap:
            self._lost.add(key)
            await self._command(account, LOST, b"")
            for position in doubted(self.store.level_rows.values(), account.server, account.login):
                self._lost.add(position)
                await self._relay(account, position, LOST, b"")
            return
        values = self._last_sample = Sample(**sample.model_dump(exclude={"account", "gap", "positions"}))
        if values.is_believable:
            late = days_seen_late(self.store.level_rows.values(), key, values, self.clock.now_us())
            self._samples[key] = values
            for body in late:
                await self._command(account, SAMPLED_LATE, body)
        await self._compare(account, values, key)
        if key in self._lost and values.is_believable:
            self._lost.remove(key)
            await self._command(account, BACK, b"")
        for each in sample.positions:
            await self._see_position(account, PositionSample(**each.model_dump(), degraded=sample.degraded))

    async def _see_position(self, account: StoryAccount, values: PositionSample) -> None:
        key = position_key(account.server, values.position)
        if not values.degraded:
            self._positions[key] = values
        await self._compare(account, values, key)
        if key in self._lost and not values.degraded:
            self._lost.remove(key)
            await self._relay(account, key, BACK, b"")

    async def quoted(self, quote: StoryQuote) -> None:
        """Compare a quote with the symbol's levels, as the hub's watcher does."""
        key = symbol_key(quote.server or self._given.account.server, quote.symbol)
        if quote.bid is None or quote.ask is None:
            self._lost.add(key)
            await self._tell(told_to(key, LOST))
            return
        values = Quote(quote.bid, quote.ask, quote.degraded)
        if values.is_believable:
            if key not in self._quotes or quote.symbol_class is not None:
                await self._tell(first_quote(key, quote.symbol_class))
            self._quotes[key] = values
        await self._compare(None, values, key)
        if key in self._lost and values.is_believable:
            self._lost.remove(key)
            await self._tell(told_to(key, BACK))

    async def _compare(self, account: StoryAccount | None, values: Seen, key: str) -> None:
        for _ in range(MOST_ROUNDS):
            levels = [level for level in self.store.level_rows.values() if level.key == key]
            moved = new_peaks(levels, values)
            if moved:
                await self.store.save_peaks(moved, (LEASE,))
                levels = [level for level in self.store.level_rows.values() if level.key == key]
            peaks = peaks_of(levels)
            first = observations(levels, values, peaks)
            if first:
                body = msgspec.json.encode([each._asdict() for each in first])
                if account is None:
                    await self._tell(told_to(key, OBSERVED, body))
                elif key.startswith(POSITION):
                    await self._relay(account, key, OBSERVED, body)
                else:
                    await self._command(account, OBSERVED, body)
            found = crossings(levels, values, peaks)
            for crossing in found:
                await self._append(passed(crossing, values, account, self.clock.now_us()))
            if not first and not found:
                await self._settle()
                break
            await self._settle()
        await self._look_at_conditions(account)

    async def decides(self, step: StoryStep) -> None:
        """Have a person approve or decline what was asked."""
        self._next_number += 1
        told = ballot_of(step, self.store.approvals.values(), self._next_number)
        if isinstance(told, str):
            raise StageError(told)
        await self.log.append((), inputs=(told,))
        await self._settle()

    async def _command(self, account: StoryAccount, name: str, body: bytes) -> None:
        partition = partition_of(account.server, account.login)
        key = account_key(account.server, account.login)
        await self._tell(NewInput(partition, InputKind.COMMAND, key, name, body))

    async def _relay(self, account: StoryAccount, position: str, name: str, body: bytes) -> None:
        await self._tell(relayed(account.server, account.login, position, name, body))

    async def _tell(self, command: NewInput) -> None:
        await self.log.append((), inputs=(command,))
        await self._settle()

    async def asked(self, start: StoryStart) -> None:
        """Have somebody ask for a run, as he would of the API."""
        self._starts += 1
        try:
            told = asked_for(
                self._workflow,
                start.key or (self._keys() or [""])[0],
                trigger=start.trigger,
                inputs={name: as_text(value) for name, value in start.inputs.items()},
                name=f"start-{self._starts}",
                by="a person",
            )
        except StartRefused as problem:
            raise StageError(f"start: {problem}") from problem
        await self.log.append((), inputs=(told.input,))
        await self._settle()

    async def reset(self) -> None:
        """Have a person look, and let the workflow go on after its breaker tripped."""
        if not self.breaker.reset():
            raise StageError("reset: the breaker has not tripped")
        await self._loop.activate([self._workflow])
        await self._settle()

    async def restart(self) -> None:
        """Start another engine on the same log and store, as after a crash: all it had in memory is gone."""
        self._loop, self._inbox = self._start(await self.store.positions("engine"))
        await self._be_watched()
        await self._settle()

    async def close(self) -> None:
        """Tell whoever watches what was decided."""
        if self._watch is not None:
            rows = self.store.trace_rows.values()
            self._watch.traced(
                (row.outcome, decode_trace(row.body)) for row in rows if row.workflow == self._workflow.id
            )
            self._watch.asked(self.store.intents.values())

    async def _be_watched(self) -> None:
        if self._watch is not None:
            programs = self._loop.programs
            await programs.ready(range(PARTITIONS))
            for partition in range(PARTITIONS):
                self._watch.over(programs.of(partition))

    async def _look_at_conditions(self, account: StoryAccount | None) -> None:
        """See how the triggers stand after something happened: a plain no leaves no other trace."""
        if self._watch is None:
            return
        keys = self.log.keys_by_mail()
        if self._workflow.key is KeyKind.ACCOUNT:
            keys = [account_key(account.server, account.login)] if account is not None else []
        for key in keys:
            answer = await self._answer_for(key)
            self._watch.stood(answer.standing)

    def unseen(self) -> list[Intent]:
        """Return what was asked for since the last time somebody looked."""
        fresh = [intent for key, intent in self.store.intents.items() if key not in self._seen]
        self._seen.update(intent.key for intent in fresh)
        return sorted(fresh, key=lambda intent: (intent.at, intent.key))

    async def reasons(self) -> list[str]:
        """Return why: what was held back or failed, then how each trigger stands with the last event."""
        stopped = [self.breaker.tripped] if self.breaker.tripped else []
        return stopped + [reason for key in self._keys() for reason in await self._reasons_for(key)]

    async def _reasons_for(self, key: str) -> list[str]:
        answer = await self._answer_for(key)
        everything = await self.store.traces(workflow=self._workflow.id, key=key, limit=MOST_TRACES)
        told = [(row.outcome, decode_trace(row.body)) for row in everything]
        held = [
            f"{trace.trigger}: {trace.reason}"
            for outcome, trace in told
            if outcome in {Verdict.HELD_BACK, Verdict.FAILED}
        ]
        return held + [f"{each.trigger}: {each.reason}" for each in answer.standing]

    async def _answer_for(self, key: str) -> Answer:
        return await why(
            self.store,
            self._program,
            self._workflow.id,
            key,
            now_us=self.clock.now_us(),
            event=self._last_event,
            sample=self._last_seen(key),
        )

    def _last_seen(self, key: str) -> Seen | None:
        if key.startswith(SYMBOL):
            return self._quotes.get(key)
        return self._positions.get(key) if key.startswith(POSITION) else self._last_sample

    def _keys(self) -> Sequence[str]:
        """Return whom the story is about, as the workflow is kept."""
        if self._workflow.key is KeyKind.ALL:
            return [EVERYTHING]
        if self._workflow.key is not KeyKind.ACCOUNT:
            return self.log.keys_by_mail()
        account = self._given.account
        return [account_key(account.server, account.login)]

    def _start(self, positions: list[int] | None = None) -> tuple[EngineLoop, MemoryInbox]:
        inbox = MemoryInbox(self.log, positions or [0] * PARTITIONS)
        loop = EngineLoop(
            self.store,
            self.log,
            inbox,
            self.clock,
            lambda _partitions: [LEASE],
            lambda _text, _id: self._workflow,
        )
        return loop, inbox

    async def _move(self, target: int) -> None:
        await self.clock.advance(timedelta(microseconds=max(target - self.clock.now_us(), 0)))

    async def _settle(self) -> None:
        """Let the engine decide all there is, answering what it asks of the broker's manager, until nothing is left."""
        for _ in range(MOST_ROUNDS):
            while self._inbox.backlog() or self._loop.waiting or self._loop.changing:
                await self._loop.step()
            if not await self._answer() and not await self._trip():
                return
        raise StageError(f"still busy after {MOST_ROUNDS} rounds: does the workflow set itself off?")

    async def _answer(self) -> bool:
        """Tell the engine what became of its manager actions, as the story says; True when there was any."""
        fresh = [intent for key, intent in self.store.intents.items() if key not in self._answered]
        self._answered.update(intent.key for intent in fresh)
        waiting = [intent for intent in fresh if intent.state is State.READY]
        refused = self.breaker.pass_on(fresh, self.clock.now_us())
        for intent in waiting:
            self._next_number += 1
            if intent.key in refused:
                self.store.intents[intent.key] = refused[intent.key]
                outcome = rejected(refused[intent.key])
            else:
                outcome = outcome_of(intent, self._given, self._fresh(), ticket=self._next_number)
            key = decided_by(intent)
            told = NewInput(intent.partition, InputKind.OUTCOME, key, intent.key, encode_outcome(outcome))
            await self.log.append((), inputs=(told,))
        return bool(waiting)

    async def _trip(self) -> bool:
        """Have the workflow go on in shadow once its breaker has tripped; True when that is new."""
        if not self.breaker.tripped:
            return False
        return await self._loop.activate([replace(self._workflow, mode=Mode.SHADOW, stopped=True)])

    def reads(self, fields: Mapping[str, Any]) -> None:
        """Have a fresh look at the account say this from now on."""
        self._reads |= fields

    def _fresh(self) -> dict[str, Any]:
        sample = self._last_sample
        sampled = {name: getattr(sample, name) for name in FRESH if getattr(sample, name, None) is not None}
        known = {name: value for name, value in extras(self._given.account).items() if name in FRESH}
        return {**known, **sampled, **self._reads}

    async def _append(self, fact: Fact) -> Input | None:
        answer = (await self.log.append((fact,)))[0]
        return None if answer.duplicate else await self.log.find(fact.key)
