"""The engine's loop: take inputs, decide them in order, commit everything they changed in one transaction."""

import asyncio
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta

import structlog

from hub.bus.lease import Lease
from hub.bus.log import Input, InputKind, Log
from hub.clock import Clock
from hub.engine.cache import KeyCache
from hub.engine.changeover import CONSUMER, Changeovers
from hub.engine.decide import advance
from hub.engine.decision import NOTHING, BatchBuilder, Decision, Trace, Verdict, encode_trace
from hub.engine.levels import GONE
from hub.engine.mail import forward
from hub.engine.program import Unread, Workflow
from hub.engine.programs import Compile, Programs
from hub.engine.rows import Batch, EngineStore, Inbox, KeyRows, LevelRow, TraceRow
from hub.engine.state import KeyState
from hub.engine.values import Kind
from hub.errors import StoreRefused, StoreUnavailable
from hub.ids import PARTITIONS
from hub.intents.intent import Intent
from hub.sizes import Sizes

MAX_INPUTS = 256
MAX_SECONDS = 0.005
LOOK_AT_THE_CLOCK_EVERY = 16
KEYS_AT_ONCE = 256
CACHED_KEYS = 20_000
TIMER_PAUSE = timedelta(milliseconds=250)
STORE_PAUSE = timedelta(seconds=1)
CROWD = 8  # inputs in one batch
PACE_SECONDS = 0.02
A_TURN = timedelta()
A_MOMENT = timedelta(milliseconds=20)
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
    counting: int = 0  # rows of the log that new aggregates have still to count
    last_at: int = 0  # of the latest input decided, µs: its age is the engine's lag
    sizes: Sizes = field(default_factory=Sizes)  # of the batches, in inputs


Fence = Callable[[Collection[int]], Sequence[Lease]]


class EngineLoop:
    """One process's engine. `fence` gives the leases of the partitions a batch changes; losing one ends `run`."""

    def __init__(
        self,
        store: EngineStore,
        events: Log,
        inbox: Inbox,
        clock: Clock,
        fence: Fence,
        compile_version: Compile,
        *,
        on_levels: Callable[[Sequence[LevelRow]], None] = lambda _: None,
        on_committed: Callable[[Batch], None] = lambda _: None,
        partitions: Collection[int] = range(PARTITIONS),
        cached_keys: int = CACHED_KEYS,
    ) -> None:
        self._store = store
        self._inbox = inbox
        self._clock = clock
        self._fence = fence
        self._on_levels = on_levels
        self._on_committed = on_committed
        self._partitions = partitions
        self._cache = KeyCache(store, cached_keys)
        self._pending: list[Input] = []
        self._untold: list[LevelRow] = []  # of which nobody knows whether they were written
        self._positions: list[int] = []
        self._singly = 0  # how many inputs to decide in a transaction of their own
        self._began = 0.0  # to decide the latest batch
        self.programs = Programs(store, compile_version)
        self._changeovers = Changeovers(
            store,
            events,
            self.programs,
            self._cache,
            self._commit,
            lambda partition: self._positions[partition],
        )
        self.counters = EngineCounters()

    async def activate(
        self,
        workflows: Sequence[Workflow],
        unread: Sequence[Unread] = (),
        stopped: Collection[str] | None = None,
    ) -> bool:
        """Make these the live workflows from the next input of every partition on; False when they already are."""
        return await self.programs.activate(workflows, unread, stopped)

    @property
    def changing(self) -> bool:
        """Return whether keys are still brought in line with the live workflows, or new aggregates counted."""
        return bool(self._changeovers)

    async def run(self, stopping: asyncio.Event) -> None:
        """Decide until told to stop; a store that is away for a while is waited for, a lost lease is not."""
        async with asyncio.TaskGroup() as group:
            timers = group.create_task(self._fire_timers())
            try:
                while not stopping.is_set():
                    try:
                        await self._keep_pace(await self.step())
                    except StoreUnavailable as problem:
                        log.warning("engine.store_unavailable", reason=str(problem))
                        await self._clock.sleep(STORE_PAUSE)
            finally:
                timers.cancel()

    async def begin(self) -> None:
        """Read where the engine stopped, and take up what was under way; nothing where that is known."""
        if self._untold:
            await self._tell_levels()
        if not self._positions:
            positions = await self._store.positions(CONSUMER)
            await self._changeovers.resume(self._partitions)
            self._positions = positions  # last: what was under way is taken up whole, or once more

    async def step(self) -> int:
        """Fire due timers, decide one batch and commit it; return how many inputs it took, waiting for the first."""
        await self._store.fire_timers(self._clock.now_us(), MAX_INPUTS)
        await self.begin()
        if self._changeovers:
            await self._go_on()
            if not self._pending and not self._inbox.backlog():
                if self._changeovers.waits:
                    await self._clock.sleep(A_MOMENT)
                return 0
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

    async def _keep_pace(self, done: int) -> None:
        """After a batch of a crowd, let the next one gather until a pace after its beginning, unless it has already.

        A batch costs its statements, its commit and the ways there whether it decides ten inputs or fifty.
        """
        if done < CROWD or self.changing or self.waiting + self._inbox.backlog() >= MAX_INPUTS // 2:
            return
        left = self._began + PACE_SECONDS - self._clock.monotonic()
        if left > 0:
            await self._clock.sleep(timedelta(seconds=left))

    async def _go_on(self) -> None:
        """Do a little of the going over to other workflows; trouble starts it again from what is on disk."""
        try:
            await self._changeovers.go_on()
            self.counters.counting = self._changeovers.counting
        except BaseException:
            self.forget()
            raise

    def mark(self) -> tuple[object, ...] | None:
        """Return what changes while inputs are decided; None where none waits."""
        counters = self.counters
        if not self._pending and not self._inbox.backlog():
            return None
        return counters.decided, counters.batches, counters.counting

    def timers_mark(self) -> tuple[object, ...] | None:
        """Return what changes while timers are fired; None where none is due."""
        due = self._store.next_timer()
        return (due, self.counters.batches) if due is not None and due <= self._clock.now_us() else None

    @property
    def waiting(self) -> int:
        """Return how many inputs were taken and are not decided yet."""
        return len(self._pending)

    def forget(self) -> None:
        """Drop everything held in memory of keys and positions; the store knows better."""
        self._cache.clear()
        self._positions = []
        self._changeovers.forget()
        self.programs.forget()

    async def _decide(self, items: Sequence[Input]) -> int:
        if items[0].kind == InputKind.ACTIVATED:
            return await self._switch(items)
        await self._load(items)
        builder = BatchBuilder()
        started = self._began = self._clock.monotonic()
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
                if self._inbox.backlog() < MAX_INPUTS:
                    break
                # Far behind, as after a while that the hub was away, ways to the disk are what takes long: the others
                # get their turn, and the batch goes on.
                await self._clock.sleep(A_TURN)
                started = self._clock.monotonic()
        await self._commit(builder)
        self.counters.sizes.add(done)
        self._cache.shrink()
        return done

    async def _switch(self, items: Sequence[Input]) -> int:
        """Go over to other workflows where the log says so: in one transaction for as many partitions as stand together."""
        first: dict[int, Input] = {}
        for item in items:
            if item.kind != InputKind.ACTIVATED or item.partition in first:
                break
            first[item.partition] = item
        await self._changeovers.switch(
            [item for item in first.values() if item.n > self._positions[item.partition]]
        )
        self.counters.counting = self._changeovers.counting
        for item in first.values():
            self._positions[item.partition] = max(item.n, self._positions[item.partition])
        self.counters.decided += len(first)
        return len(first)

    def _decide_one(self, item: Input, builder: BatchBuilder) -> None:
        self.counters.decided += 1
        self.counters.last_at = item.at
        program = self.programs.of(item.partition)
        if not item.key and not (program.mailed and item.kind == InputKind.EVENT):
            return
        try:
            if not item.key:
                told = forward(program, item)
                if told is not None:
                    builder.add(told)
                return
            state = self._cache[item.key]
            if self._changeovers:
                self._changeovers.align(item, state, builder)
            for decision in advance(program, state, item):
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
        wanted = {item.key: item.partition for item in items if item.key}
        await self._cache.bring([(partition, key) for key, partition in wanted.items()])
        for key, partition in wanted.items():
            state = self._cache[key]
            if state.open_runs:
                await self._pin_versions(partition, state)
            if state.ledgers:
                for program in (self.programs.of(partition), *self._changeovers.under_way(partition)):
                    await self.programs.pin_ledgers(program, state)

    async def _pin_versions(self, partition: int, state: KeyState) -> None:
        for run in state.open_runs:
            await self.programs.pin(self.programs.of(partition), state.kind, run.version, run.workflow)

    async def _commit(self, builder: BatchBuilder, partitions: Collection[int] = ()) -> None:
        """Write a batch under the leases of the partitions it moves on, or changes without moving on."""
        batch = builder.build()
        if batch.intents:
            _due_by(batch.intents, self._clock.now_us())
        if batch.positions or batch.levels or batch.states or batch.series:
            fence = self._fence(batch.positions or partitions)
            try:
                await self._store.commit(batch, fence)
            except StoreRefused:
                raise
            except StoreUnavailable:
                self._untold += batch.levels
                raise
        self.counters.batches += 1
        if batch.levels:
            self._on_levels(batch.levels)
        self._on_committed(batch)

    async def _tell_levels(self) -> None:
        """Tell of levels as they stand after a commit whose answer was lost: nothing else would, for it is not made again."""
        keys = {row.key: row.partition for row in self._untold}
        found = await self._store.load([(partition, key) for key, partition in keys.items()])
        stand = [row for rows in found.values() for row in rows.levels]
        there = {row.level_id for row in stand}
        gone = [row for row in self._untold if row.state == GONE and row.level_id not in there]
        self._untold = []
        self._on_levels([*stand, *gone])

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


def _due_by(intents: list[Intent], now_us: int) -> None:
    """Have what was just decided be due by now, in its order.

    Time never goes back in a partition: after a clock that ran ahead its inputs are of a moment that is still to come.
    """
    for place, intent in enumerate(intents):
        if intent.due > now_us:
            intents[place] = intent._replace(due=now_us - len(intents) + place)
