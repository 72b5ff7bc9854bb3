"""The engine's loop: take inputs, decide them in order, commit everything they changed in one transaction."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta

import structlog

from hub.bus.lease import Lease
from hub.bus.log import Input, InputKind
from hub.clock import Clock
from hub.engine.decide import advance, realign
from hub.engine.decision import NOTHING, BatchBuilder, Decision, Trace, Verdict, apply, encode_trace
from hub.engine.index import Program
from hub.engine.program import Workflow
from hub.engine.programs import Compile, Programs
from hub.engine.rows import Batch, EngineStore, Inbox, KeyRows, LevelRow, TraceRow
from hub.engine.state import KeyState, Kind, Manifest
from hub.errors import StoreRefused, StoreUnavailable
from hub.sizes import Sizes

CONSUMER = "engine"
MAX_INPUTS = 256
MAX_SECONDS = 0.005
LOOK_AT_THE_CLOCK_EVERY = 16
KEYS_AT_ONCE = 256
CACHED_KEYS = 20_000
TIMER_PAUSE = timedelta(milliseconds=250)
STORE_PAUSE = timedelta(seconds=1)
PROGRAM = (Kind.PROGRAM.value, "")
NO_ROWS = KeyRows((), (), ())

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class EngineCounters:
    """Plain numbers, read by whoever shows metrics."""

    decided: int = 0
    batches: int = 0
    intents: int = 0
    held_back: int = 0
    failed: int = 0
    quarantined: int = 0
    last_at: int = 0  # of the latest input decided, µs: its age is the engine's lag
    sizes: Sizes = field(default_factory=Sizes)  # of the batches, in inputs


Fence = Callable[[Collection[int]], Sequence[Lease]]


class EngineLoop:
    """One process's engine. `fence` gives the leases of the partitions a batch changes; losing one ends `run`."""

    def __init__(
        self,
        store: EngineStore,
        inbox: Inbox,
        clock: Clock,
        fence: Fence,
        compile_version: Compile,
        *,
        on_levels: Callable[[Sequence[LevelRow]], None] = lambda _: None,
        on_committed: Callable[[Batch], None] = lambda _: None,
        cached_keys: int = CACHED_KEYS,
    ) -> None:
        self._store = store
        self._inbox = inbox
        self._clock = clock
        self._fence = fence
        self._on_levels = on_levels
        self._on_committed = on_committed
        self._cached_keys = cached_keys
        self._cache: OrderedDict[str, KeyState] = OrderedDict()
        self._pending: list[Input] = []
        self._positions: list[int] = []
        self._singly = 0  # how many inputs to decide in a transaction of their own
        self.programs = Programs(store, compile_version)
        self.counters = EngineCounters()

    async def activate(self, workflows: Sequence[Workflow]) -> bool:
        """Make these the live workflows from the next input of every partition on; False when they already are."""
        return await self.programs.activate(workflows)

    async def run(self, stopping: asyncio.Event) -> None:
        """Decide until told to stop; a store that is away for a while is waited for, a lost lease is not."""
        async with asyncio.TaskGroup() as group:
            timers = group.create_task(self._fire_timers())
            try:
                while not stopping.is_set():
                    try:
                        await self.step()
                    except StoreUnavailable as problem:
                        log.warning("engine.store_unavailable", reason=str(problem))
                        await self._clock.sleep(STORE_PAUSE)
            finally:
                timers.cancel()

    async def step(self) -> int:
        """Fire due timers, decide one batch and commit it; return how many inputs it took, waiting for the first."""
        await self._store.fire_timers(self._clock.now_us(), MAX_INPUTS)
        if not self._pending:
            self._pending = await self._inbox.take(MAX_INPUTS)
        if not self._pending:
            return 0
        try:
            done = await self._decide(self._pending[:1] if self._singly else self._pending)
        except StoreRefused as problem:
            self.forget()
            if not self._singly:  # one of these can never be stored: find out which
                self._singly = len(self._pending)
                return 0
            await self._set_aside(self._pending[0], problem)
            done = 1
        except BaseException:
            self.forget()  # what was decided in memory may not be on disk: the same inputs are decided again
            raise
        self._singly = max(self._singly - done, 0)
        del self._pending[:done]
        return done

    @property
    def waiting(self) -> int:
        """Return how many inputs were taken and are not decided yet."""
        return len(self._pending)

    def forget(self) -> None:
        """Drop everything held in memory of keys and positions; the store knows better."""
        self._cache.clear()
        self._positions = []
        self.programs.forget()

    async def _decide(self, items: Sequence[Input]) -> int:
        if not self._positions:
            self._positions = await self._store.positions(CONSUMER)
        if items[0].kind == InputKind.ACTIVATED:
            await self._switch(items[0])
            return 1
        await self._load(items)
        builder = BatchBuilder()
        started = self._clock.monotonic()
        done = 0
        for item in items:
            if item.kind == InputKind.ACTIVATED:
                break
            if item.n > self._positions[item.partition]:
                self._decide_one(item, builder)
                self._positions[item.partition] = item.n
                builder.position(item.partition, item.n)
            done += 1
            if done % LOOK_AT_THE_CLOCK_EVERY == 0 and self._clock.monotonic() - started > MAX_SECONDS:
                break
        await self._commit(builder)
        self.counters.sizes.add(done)
        self._shrink()
        return done

    def _decide_one(self, item: Input, builder: BatchBuilder) -> None:
        self.counters.decided += 1
        self.counters.last_at = item.at
        if not item.key:
            return
        try:
            state = self._cache[item.key]
            for decision in advance(self.programs.of(item.partition), state, item):
                builder.add(decision)
                self._count(decision)
        except Exception as problem:  # one input that cannot be decided must not stop its partition
            self._quarantine(item, problem, builder)

    async def _set_aside(self, item: Input, problem: Exception) -> None:
        """Move past an input whose decision cannot be stored, keeping only why."""
        builder = BatchBuilder()
        builder.position(item.partition, item.n)
        self._quarantine(item, problem, builder)
        await self._commit(builder)

    def _quarantine(self, item: Input, problem: Exception, builder: BatchBuilder) -> None:
        self.counters.quarantined += 1
        reason = f"could not be decided and was set aside: {type(problem).__name__}: {problem}"
        log.error("engine.quarantined", partition=item.partition, n=item.n, key=item.key, exc_info=problem)
        body = encode_trace(Trace("", reason[:2000], item.ref))
        row = (item.partition, item.n, "quarantine", "", item.key, item.at, Verdict.FAILED.value, body)
        builder.trace(TraceRow(*row))

    def _count(self, decision: Decision) -> None:
        writes = decision.writes
        if writes is NOTHING:
            return
        counters = self.counters
        counters.intents += len(writes.intents)
        for trace in writes.traces:
            if trace.outcome == Verdict.HELD_BACK:
                counters.held_back += 1
            elif trace.outcome == Verdict.FAILED:
                counters.failed += 1

    async def _load(self, items: Sequence[Input]) -> None:
        """Bring the keys of a batch into memory in one call, with the programs and versions they need."""
        await self.programs.ready({item.partition for item in items})
        missing = {item.key: item.partition for item in items if item.key and item.key not in self._cache}
        await self._load_keys([(partition, key) for key, partition in missing.items()])
        for item in items:
            if item.key:
                self._cache.move_to_end(item.key)
        for key, partition in {item.key: item.partition for item in items if item.key}.items():
            state = self._cache[key]
            if state.open_runs:
                await self._pin_versions(partition, state)

    async def _load_keys(self, wanted: Sequence[tuple[int, str]]) -> None:
        if not wanted:
            return
        rows = await self._store.load(wanted)
        for partition, key in wanted:
            self._cache[key] = KeyState.from_rows(partition, key, rows.get(key, NO_ROWS))

    async def _pin_versions(self, partition: int, state: KeyState) -> None:
        for run in state.open_runs:
            await self.programs.pin(partition, state.kind, run.version, run.workflow)

    async def _commit(self, builder: BatchBuilder, partitions: Collection[int] = ()) -> None:
        """Write a batch under the leases of the partitions it moves on, or changes without moving on."""
        batch = builder.build()
        if batch.positions or batch.levels or batch.states:
            await self._store.commit(batch, self._fence(batch.positions or partitions))
        self.counters.batches += 1
        if batch.levels:
            self._on_levels(batch.levels)
        self._on_committed(batch)

    async def _switch(self, item: Input) -> None:
        """Go over to another set of workflows: walk the partition's keys, then move past the input.

        A crash on the way repeats the walk; a key that is in line already changes nothing.
        """
        partition = item.partition
        if item.n <= self._positions[partition]:
            return
        program = await self.programs.load(item.ref)
        after = ""
        while keys := await self._store.keys(partition, after, KEYS_AT_ONCE):
            await self._load_keys([(partition, key) for key in keys if key not in self._cache])
            builder = BatchBuilder()
            for key in keys:
                self._realign(program, self._cache[key], item, builder)
            await self._commit(builder, (partition,))
            self._shrink()
            after = keys[-1]
        last = BatchBuilder()
        decision = Decision(partition, "", item.n, item.at)
        decision.puts[PROGRAM] = Manifest(item.ref)
        last.add(decision)
        last.position(partition, item.n)
        await self._commit(last)
        self._positions[partition] = item.n
        self.counters.decided += 1
        self.programs.switch(partition, program)

    def _realign(self, program: Program, state: KeyState, item: Input, builder: BatchBuilder) -> None:
        try:
            decision = realign(program, state, item)
        except Exception:
            log.exception("engine.realign_failed", key=state.key)
            self.counters.failed += 1
            return
        apply(state, decision)
        builder.add(decision)

    def _shrink(self) -> None:
        while len(self._cache) > self._cached_keys:
            self._cache.popitem(last=False)

    async def _fire_timers(self) -> None:
        """Wake the loop when a timer falls due while no input comes."""
        while True:
            due = self._store.next_timer()
            now = self._clock.now_us()
            if due is not None and due <= now:
                with suppress(StoreUnavailable):  # the loop itself meets it, and waits
                    await self._store.fire_timers(now, MAX_INPUTS)
            pause = (
                TIMER_PAUSE if due is None else min(TIMER_PAUSE, timedelta(microseconds=max(due - now, 1000)))
            )
            await self._clock.sleep(pause)
