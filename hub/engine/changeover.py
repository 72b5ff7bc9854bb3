"""A partition goes over to another set of workflows, without standing still.

The set is live from its ACTIVATED input on. A key is brought in line with it (its levels, edges and timers) before its
next input, and the others on the way, a few at a time: the outcome is the same, because nothing has happened to them
since. Aggregates the set brings along are counted over the log first, beside the live ones (`recount`), and the set
is live from a second ACTIVATED input on, which says so. For aggregates by other keys than the account the logs of all
partitions are counted (`retelling`), and what happens meanwhile is mailed to their keys already.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import final

import structlog
from msgspec.structs import replace

from hub.bus.log import Input, InputKind, Log, NewInput
from hub.engine.cache import KeyCache
from hub.engine.decide import realign
from hub.engine.decision import BatchBuilder, Decision, apply
from hub.engine.index import Program
from hub.engine.keys import EVERYTHING, KeyKind, partition_of
from hub.engine.manifest import Behind, Manifest
from hub.engine.program import OnEvent
from hub.engine.program_steps import Wait
from hub.engine.programs import Programs
from hub.engine.recount import Recount
from hub.engine.retelling import Retelling, counted_by_mail, is_mailed, telling
from hub.engine.rows import EngineStore
from hub.engine.short_past import still_lacking, told_from
from hub.engine.state import KeyState
from hub.engine.values import Kind

KEYS_AT_ONCE = 64
ROWS_AT_ONCE = 256
NEAR = 64  # rows: so close to the head the last ones are counted with the input that makes the set live
MOST_REMEMBERED = 100_000
MOST_WALKS = 8  # of a partition; so many changes in a row are waited for
PROGRAM = (Kind.PROGRAM.value, "")
COUNTED = b"counted"
CONSUMER = "engine"

Commit = Callable[[BatchBuilder, Collection[int]], Awaitable[None]]
log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Walk:
    """Keys up to `after` are in line with a set, and beyond it those that were `met`."""

    item: Input
    program: Program
    after: str
    met: set[str] = field(default_factory=set)

    @property
    def behind(self) -> Behind:
        return Behind(self.item.ref, self.item.n, self.item.at, self.after)

    def needs(self, key: str) -> bool:
        return key > self.after and key not in self.met

    def meet(self, key: str) -> None:
        if len(self.met) >= MOST_REMEMBERED:  # to bring a key in line twice changes nothing
            self.met.clear()
        self.met.add(key)


@final
class Changeovers:
    """Those of every partition an engine has. `failed` counts keys that could not be brought in line."""

    def __init__(
        self,
        store: EngineStore,
        events: Log,
        programs: Programs,
        cache: KeyCache,
        commit: Commit,
        decided: Callable[[int], int],
    ) -> None:
        self._store = store
        self._log = events
        self._programs = programs
        self._cache = cache
        self._commit = commit
        self._decided = decided  # the last n of a partition
        self._walks: dict[int, list[_Walk]] = {}  # of the sets a partition went over to, oldest first
        self._counts: dict[int, Recount] = {}
        self._partitions: Collection[int] = ()
        self._retelling: Retelling | None = None
        self._telling: dict[tuple[str, str], Program] = {}  # by the names of what is live and what is to come
        self.waits = False  # for another process, or for what the log is about to say
        self.failed = 0

    def __bool__(self) -> bool:
        return bool(self._walks or self._counts)

    @property
    def counting(self) -> int:
        """Return how many rows of the log are still to be counted before new aggregates are complete."""
        heads = self._log.heads()
        left = self._retelling.left(heads) if self._retelling is not None else 0
        return left + sum(max(heads[count.partition] - count.reached, 0) for count in self._counts.values())

    def forget(self) -> None:
        self._walks.clear()
        self._counts.clear()
        self._telling.clear()
        self._retelling = None
        self.waits = False

    async def resume(self, partitions: Collection[int]) -> None:
        """Take up what was under way when the engine last stopped."""
        self._partitions = partitions
        await self._programs.ready(partitions)
        for partition in partitions:
            stands = self._programs.stands[partition]
            unfinished = [*stands.behind]
            if stands.after is not None:
                unfinished.append(Behind(stands.hash, stands.n, stands.at, stands.after))
            if unfinished:
                self._walks[partition] = [await self._taken_up(partition, each) for each in unfinished]
            if stands.to_come:
                before = await self._programs.load(stands.hash)
                self._begin_count(partition, stands, await self._programs.load(stands.to_come), before)
                self._programs.switch(partition, self._told_for(stands, partition, before), stands)

    async def switch(self, items: Sequence[Input]) -> None:
        """Decide ACTIVATED inputs, one of a partition each: make a set live, or have its new aggregates counted first."""
        partitions = [item.partition for item in items]
        for partition in partitions:
            while len(self._walks.get(partition, ())) >= MOST_WALKS:
                await self._walk_on(partition)
        await self._programs.ready(partitions)
        builder, turned = BatchBuilder(), list[tuple[Input, Program, Manifest]]()
        for item in items:
            program, stands = await self._turned(item)
            _put(builder, item.partition, item.n, item.at, stands)
            builder.position(item.partition, item.n)
            await self._begin_everything(item, program, builder)
            turned.append((item, program, stands))
        await self._commit(builder, ())
        for item, program, stands in turned:
            self._programs.switch(item.partition, program, stands)
            if stands.after is not None and stands.n == item.n:
                self._walks.setdefault(item.partition, []).append(_Walk(item, program, stands.after))

    async def _begin_everything(self, item: Input, program: Program, builder: BatchBuilder) -> None:
        """Have the key of everything be there, if something happens for it by the clock: nothing else may ever begin it."""
        partition = partition_of(EVERYTHING)
        if item.partition == partition and program.of(KeyKind.ALL).by_clock:
            await self._cache.bring([(partition, EVERYTHING)])
            self._realign(_Walk(item, program, ""), self._cache[EVERYTHING], builder)
            for walk in self._walks.get(
                partition, ()
            ):  # of sets before this one: it is in line with a later one
                walk.meet(EVERYTHING)

    async def _turned(self, item: Input) -> tuple[Program, Manifest]:
        """Return what decides the partition after an input, and how it stands then."""
        partition = item.partition
        stands = self._programs.stands[partition]
        before = await self._programs.load(stands.hash)
        if item.body == COUNTED:
            if stands.to_come != item.ref:  # another set was activated meanwhile
                return self._programs.of(partition), stands
            await self._finish_count(partition, item)
        else:
            self._drop_count(partition)
        program = await self._programs.load(item.ref)
        if item.body != COUNTED and stands.to_come:
            # Of what is live and was to go, and now is to stay, not everything was told.
            pending = await self._programs.load(stands.to_come)
            stands = replace(stands, counts_from=still_lacking(program, before, pending, stands, item.at))
        if (
            item.body != COUNTED
            and item.n > 1
            and (fresh(program, before) or _begins_to_follow(program, before))
        ):
            stands = replace(stands, to_come=item.ref, since=item.n)
            self._begin_count(partition, stands, program, before)
            return self._told_for(stands, partition, before), stands
        # Nothing came before the first input, so there is no key to bring in line.
        walks = item.n > 1 and standing(program) != standing(before)
        behind = tuple(walk.behind for walk in self._walks.get(partition, ()))
        after = "" if walks else None
        counts_from = still_lacking(program, before, program, stands, item.at)
        own = told_from(program, before, stands.told_from, item.at) if item.n > 1 else {}
        return program, Manifest(
            item.ref, n=item.n, at=item.at, after=after, behind=behind, counts_from=counts_from, told_from=own
        )

    def _told_for(self, stands: Manifest, partition: int, before: Program) -> Program:
        """Return what is live, with the mail its partition sends for what is to come."""
        count = self._counts[partition]
        if not count.mailed:
            return before
        which = (stands.hash, stands.to_come)
        if which not in self._telling:
            self._telling[which] = telling(before, counted_by_mail(count.program, count.fresh))
        return self._telling[which]

    def _drop_count(self, partition: int) -> None:
        self._counts.pop(partition, None)
        if self._retelling is not None:
            self._retelling.leave_out(partition)

    def under_way(self, partition: int) -> list[Program]:
        """Return the sets keys of a partition may still have to be brought in line with."""
        return [walk.program for walk in self._walks.get(partition, ())]

    def align(self, item: Input, state: KeyState, builder: BatchBuilder) -> None:
        """Bring a key in line before it hears of its next input."""
        for walk in self._walks.get(item.partition, ()):
            if walk.needs(item.key):
                walk.meet(item.key)
                self._realign(walk, state, builder)

    async def go_on(self) -> None:
        """Do a little of what is under way."""
        for partition in list(self._walks)[:1]:
            await self._walk_on(partition)
        self.waits = False
        for count in list(self._counts.values())[:1]:
            self.waits = not await self._count_on(count)
            if self.waits and self._counts.get(count.partition) is count:  # let the others go on meanwhile
                self._counts[count.partition] = self._counts.pop(count.partition)

    async def _walk_on(self, partition: int) -> None:
        walks = self._walks[partition]
        walk = walks[0]
        keys = await self._store.keys(partition, walk.after, KEYS_AT_ONCE)
        await self._cache.bring([(partition, key) for key in keys if walk.needs(key)])
        for key in keys:
            if walk.needs(key) and self._cache[key].ledgers:
                await self._programs.pin_ledgers(walk.program, self._cache[key])
        builder = BatchBuilder()
        for key in keys:
            if walk.needs(key):
                self._realign(walk, self._cache[key], builder)
        if keys:
            walk.after = keys[-1]
        else:
            walks.pop(0)
        stands = self._stands_now(partition)
        _put(builder, partition, walk.item.n, walk.item.at, stands)
        await self._commit(builder, (partition,))
        self._cache.shrink()
        self._programs.switch(partition, self._programs.of(partition), stands)
        if not walks:
            del self._walks[partition]

    def _stands_now(self, partition: int) -> Manifest:
        """Return how a partition stands, with what its walks have still to do."""
        stands = self._programs.stands[partition]
        left = [walk.behind for walk in self._walks[partition]]
        own = [each for each in left if each.n == stands.n]
        behind = tuple(each for each in left if each.n != stands.n)
        return replace(stands, after=own[0].after if own else None, behind=behind)

    async def _taken_up(self, partition: int, behind: Behind) -> _Walk:
        item = Input(partition, behind.n, behind.at, InputKind.ACTIVATED, "", behind.hash, None, b"")
        return _Walk(item, await self._programs.load(behind.hash), behind.after)

    def _realign(self, walk: _Walk, state: KeyState, builder: BatchBuilder) -> None:
        try:
            decision = realign(walk.program, state, walk.item)
        except Exception:
            log.exception("engine.realign_failed", key=state.key)
            self.failed += 1
            return
        apply(state, decision)
        builder.add(decision)

    def _begin_count(self, partition: int, stands: Manifest, program: Program, before: Program) -> None:
        names = fresh(program, before)
        positions = _begins_to_follow(program, before)
        mailed = stands.since > 0 and is_mailed(program, names)
        count = Recount(
            partition, stands.to_come, program, names, positions=positions, since=stands.since, mailed=mailed
        )
        self._counts[partition] = count
        log.debug("workflows.counting", partition=partition, aggregates=len(names))

    async def _count_on(self, count: Recount) -> bool:
        """Count a little; return False where nothing can be done at present."""
        if count.waits_for_others:
            return await self._retell(count)
        partition = count.partition
        decided = self._decided(partition)
        rows = await self._log.read(partition, count.reached, ROWS_AT_ONCE)
        await self._write(count, [row for row in rows if row.n <= decided])
        if count.asked or count.reached < decided - NEAR:
            return not count.asked
        if count.cuts is not None and not await self._are_decided(count.cuts):
            return False
        # Told once: the set becomes live where the log says so, and nowhere else.
        unique = f"counted:{partition}:{count.name}:{decided}"
        await self._store.leave(NewInput(partition, InputKind.ACTIVATED, "", count.name, COUNTED, unique))
        count.asked = True
        return True

    async def _retell(self, count: Recount, *, at_once: bool = False) -> bool:
        """Have other partitions' logs told, to all partitions that wait for it together."""
        if self._retelling is None:
            stands = [self._programs.stands[each] for each in self._partitions]
            if not at_once and any(count.name not in {each.hash, each.to_come} for each in stands):
                return False  # they are about to go over to the same set: one time around is enough
            rows = await self._log.read(count.partition, count.since - 1, 1)
            waiting = [
                each for each in self._counts.values() if each.waits_for_others and each.name == count.name
            ]
            self._retelling = Retelling(self._log, count.name, rows[0].body, waiting)
        retelling = self._retelling
        found = await retelling.go_on()
        if found:
            builder = BatchBuilder()
            for decision in found:
                builder.add(decision)
            await self._commit(builder, {decision.partition for decision in found})
        if retelling.over or not retelling.counts:
            self._retelling = None
            for each in retelling.counts.values():
                each.cuts = retelling.cuts
        return found is not None

    async def _are_decided(self, cuts: Mapping[int, int]) -> bool:
        """Return whether every mail about what others' logs have told is in the log by now."""
        late = [partition for partition, n in cuts.items() if self._decided(partition) < n]
        if not late:
            return True
        reached = await self._store.positions(CONSUMER)
        return all(reached[partition] >= cuts[partition] for partition in late)

    async def _finish_count(self, partition: int, item: Input) -> None:
        count = self._counts[partition]
        while count.waits_for_others:  # we were stopped between the asking and here, and begin again
            await self._retell(count, at_once=True)
        del self._counts[partition]
        last = 0
        while last < item.n - 1:
            rows = await self._log.read(partition, count.reached, ROWS_AT_ONCE)
            await self._write(count, [row for row in rows if row.n < item.n])
            last = rows[-1].n if rows else item.n
        self._cache.drop(partition)

    async def _write(self, count: Recount, rows: Sequence[Input]) -> None:
        """Store what rows add to aggregates nobody reads yet, so that it may be done little by little."""
        builder = BatchBuilder()
        for decision in count.take(rows):
            builder.add(decision)
        await self._commit(builder, (count.partition,))


def _put(builder: BatchBuilder, partition: int, n: int, at: int, stands: Manifest) -> None:
    decision = Decision(partition, "", n, at)
    decision.puts[PROGRAM] = stands
    builder.add(decision)


def fresh(program: Program, before: Program) -> frozenset[str]:
    """Return the aggregates of a set of workflows that another one does not keep; what stands needs no history."""
    return frozenset(
        name
        for each in program.all_kinds
        for name, feed in each.feeds.items()
        if feed.aggregate.over is None and name not in before.of(each.kind).feeds
    )


def _begins_to_follow(program: Program, before: Program) -> bool:
    """Return whether open positions are looked at from now on: those that are open were opened in the log."""
    return program.folds_positions and not before.folds_positions


def standing(program: Program) -> frozenset[str]:
    """Return the versions that keep something for a key between its inputs: for others no key has to be brought in line."""
    return frozenset(
        plan.workflow.hash + plan.workflow.mode
        for each in program.all_kinds
        for plan in each.plans.values()
        if plan.anchors
        or plan.workflow.grant is not None
        or not all(isinstance(trigger, OnEvent) for trigger in plan.workflow.triggers)
        or plan.workflow.queue is not None
        or any(isinstance(step, Wait) and step.condition is not None for step in plan.code)
        or any(feed.aggregate.over is not None for _, feed in plan.feeds)
    )
