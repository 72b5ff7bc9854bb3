"""Processes that own things, each with a line to the store and a clock that stand still while the process is stopped."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from random import Random
from typing import TypeVar

from typing_extensions import override

from hub.bus.lease import Lease, Leases
from hub.bus.memory import MemoryLeases
from hub.bus.ownership import Ownership
from hub.clock import Clock, ManualClock
from hub.errors import StoreUnavailable
from hub.ids import PARTITIONS
from hub.testing import MORNING

T = TypeVar("T")
SECOND = timedelta(seconds=1)
ALL = [str(partition) for partition in range(PARTITIONS)]


class Line(Leases):
    """What one process sees of the store: it may be cut, lose the answers, or take its time either way."""

    def __init__(self, leases: Leases, clock: Clock, awake: asyncio.Event) -> None:
        self.cut = False
        self.deaf = False
        self.refused: set[str] = set()  # names that cannot be taken
        self.latency: Callable[[], timedelta] | None = None
        self._leases = leases
        self._clock = clock
        self._awake = awake

    @override
    async def take(self, name: str, owner: str, duration: timedelta) -> Lease | None:
        if name in self.refused:
            raise StoreUnavailable(f"{name} cannot be written")
        return await self._through(lambda: self._leases.take(name, owner, duration))

    @override
    async def renew(self, leases: Sequence[Lease], duration: timedelta) -> list[Lease]:
        return await self._through(lambda: self._leases.renew(leases, duration))

    @override
    async def release(self, lease: Lease) -> None:
        return await self._through(lambda: self._leases.release(lease))

    @override
    async def held(self, prefix: str) -> list[Lease]:
        return await self._through(lambda: self._leases.held(prefix))

    async def _through(self, question: Callable[[], Awaitable[T]]) -> T:
        await self._way()
        if self.cut:
            raise StoreUnavailable("the line is cut")
        answer = await question()
        await self._way()
        if self.deaf:
            raise StoreUnavailable("the answer was lost")
        return answer

    async def _way(self) -> None:
        if self.latency is not None:
            await self._clock.sleep(self.latency())
        await self._awake.wait()


class StoppableClock(Clock):
    """Time goes on while the process is stopped; whoever slept wakes when it goes on as well."""

    def __init__(self, clock: Clock, awake: asyncio.Event) -> None:
        self._clock = clock
        self._awake = awake

    @override
    def now(self) -> datetime:
        return self._clock.now()

    @override
    def now_us(self) -> int:
        return self._clock.now_us()

    @override
    def monotonic(self) -> float:
        return self._clock.monotonic()

    @override
    async def sleep(self, duration: timedelta) -> None:
        await self._clock.sleep(duration)
        await self._awake.wait()


class Process:
    """`work` is what the callbacks were told of: gained and not yet lost; `refused`, what of it was seen not to be held."""

    def __init__(
        self,
        name: str,
        leases: Leases,
        clock: Clock,
        *,
        names: Callable[[], Collection[str]] = lambda: ALL,
        seed: int = 0,
    ) -> None:
        self.name = name
        self.work: set[str] = set()
        self.refused: set[str] = set()
        self.told: list[tuple[str, int]] = []
        self.gaining: Callable[[Sequence[str]], Awaitable[None]] | None = None
        self.losing: Callable[[Sequence[str]], Awaitable[None]] | None = None
        self.stopping = asyncio.Event()
        self.task: asyncio.Task[None] | None = None
        self._busy = False
        self._awake = asyncio.Event()
        self._awake.set()
        self.clock = StoppableClock(clock, self._awake)
        self.line = Line(leases, clock, self._awake)
        self.ownership = Ownership(
            self.line,
            self.clock,
            Random(f"{name}:{seed}"),
            kind="partition",
            member=name,
            names=names,
            on_gained=self._gained,
            on_lost=self._lost,
        )

    def start(self, group: asyncio.TaskGroup) -> "Process":
        self.task = group.create_task(self.ownership.run(self.stopping))
        return self

    def pause(self) -> None:
        self._awake.clear()

    def resume(self) -> None:
        self._awake.set()

    def kill(self) -> None:
        assert self.task is not None
        self.task.cancel()

    async def look(self) -> None:
        """Do once, in a row, what the loops of `run` do in their time."""
        await self.ownership.keep()
        await self.ownership.drop_lapsed()
        await self.ownership.settle()

    async def _gained(self, names: Sequence[str]) -> None:
        assert not self._busy
        assert names
        assert not self.work & set(names)
        assert set(names) <= set(self.ownership.held()) or not all(map(self.ownership.holds, names))
        self._busy = True
        self.told.append(("gained", len(names)))
        self.work |= set(names)
        try:
            if self.gaining is not None:
                await self.gaining(names)
        finally:
            self._busy = False

    async def _lost(self, names: Sequence[str]) -> None:
        assert not self._busy
        assert names
        assert set(names) <= self.work
        assert not set(names) & set(self.ownership.held())
        self._busy = True
        self.told.append(("lost", len(names)))
        try:
            if self.losing is not None:
                await self.losing(names)
        finally:
            self.work -= set(names)
            self.refused -= set(names)
            self._busy = False


class World:
    """Some processes, the leases they share, and time that is checked at every step."""

    def __init__(self, group: asyncio.TaskGroup, names: Callable[[], Sequence[str]] = lambda: ALL) -> None:
        self.clock = ManualClock(MORNING)
        self.leases = MemoryLeases(self.clock)
        self.processes: list[Process] = []
        self._names = names
        self._group = group

    def start(self, *names: str, seed: int = 0) -> list[Process]:
        started = [
            Process(name, self.leases, self.clock, names=self._names, seed=seed).start(self._group)
            for name in names
        ]
        self.processes += started
        return started

    async def pass_time(self, duration: timedelta, step: timedelta = SECOND / 4) -> None:
        """Let time pass, and look at every step that nothing has two owners."""
        while duration > timedelta():
            await self.clock.advance(min(step, duration))
            self.check()
            duration -= step

    def check(self) -> None:
        for name in self._names():
            holders = [process.name for process in self.processes if process.ownership.holds(name)]
            assert len(holders) <= 1, f"{name} has two owners: {holders}"
        for process in self.processes:
            held = [name for name in self._names() if process.ownership.holds(name)]
            for lease in process.ownership.fence(held):
                assert self.leases.stands(lease)
                assert lease.until > self.clock.now_us()
            process.refused |= process.work.difference(held)
            assert not process.refused.intersection(held)  # refused once is refused until its work has ended

    def owner(self, name: str) -> str:
        (holder,) = (process.name for process in self.processes if process.ownership.holds(name))
        return holder

    def owners(self) -> dict[str, str]:
        return {name: self.owner(name) for name in self._names()}


@asynccontextmanager
async def world(names: Callable[[], Sequence[str]] = lambda: ALL) -> AsyncIterator[World]:
    async with asyncio.TaskGroup() as group:
        made = World(group, names)
        yield made
        for process in made.processes:
            process.kill()
