"""Services that need one another: started in one order, stopped in the other, each stage given time to finish its work."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from datetime import timedelta
from typing import Any, Protocol, final

from hub.clock import Clock
from hub.ending import GiveUp, only_tell

GRACE = timedelta(seconds=20)
INSISTS = timedelta(seconds=10)  # from cancelling a service to giving up on it


class Service(Protocol):
    async def run(self, stopping: asyncio.Event) -> None:
        """Run until `stopping` is set and the work in hand is finished."""


async def run_until(stopping: asyncio.Event, *loops: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run loops that never end by themselves until told to stop; what they are in the middle of is cut off."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(loop()) for loop in loops]
        await stopping.wait()
        for task in tasks:
            task.cancel()


@final
class Every:
    """Does something every so often, for as long as it is not told to stop."""

    def __init__(self, period: timedelta, do: Callable[[], object], clock: Clock) -> None:
        self._period = period
        self._do = do
        self._clock = clock

    async def run(self, stopping: asyncio.Event) -> None:
        await run_until(stopping, self._keep_doing)

    async def _keep_doing(self) -> None:
        while True:
            await self._clock.sleep(self._period)
            self._do()


@final
class Stages:
    """`wake` is called after a stage was told to stop, for those of its services that wait for work.

    A service that fails ends the others at once, and `run` raises what it raised. One that goes on although it was
    cancelled would be waited for without end; `give_up` hears of it.
    """

    def __init__(
        self,
        stages: Sequence[Sequence[Service]],
        wake: Callable[[], None],
        *,
        begun: Callable[[], None] = lambda: None,
        give_up: GiveUp = only_tell,
        insists: timedelta = INSISTS,
    ) -> None:
        self._stages = stages
        self._wake = wake
        self._begun = begun
        self._give_up = give_up
        self._insists = insists.total_seconds()

    async def run(self, stopping: asyncio.Event) -> None:
        """Run until told to stop: the last stage ends first, then those it needed."""
        started: list[tuple[asyncio.Event, list[asyncio.Task[None]]]] = []
        async with asyncio.TaskGroup() as group:
            try:
                for services in self._stages:
                    stop = asyncio.Event()
                    started.append((stop, [group.create_task(service.run(stop)) for service in services]))
                self._begun()
                await stopping.wait()
                for stop, tasks in reversed(started):
                    await self._end(stop, tasks)
            finally:
                await self._insist([task for _, tasks in started for task in tasks if not task.done()])

    async def _end(self, stop: asyncio.Event, tasks: Sequence[asyncio.Task[None]]) -> None:
        stop.set()
        self._wake()
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=GRACE.total_seconds())
            for task in late:
                task.cancel()

    async def _insist(self, tasks: Sequence[asyncio.Task[None]]) -> None:
        """Wait for services that have no time left, and give up on those that do not end even so."""
        for task in tasks:
            if not task.cancelling():  # told once: a second time would cut off how it ends
                task.cancel()
        late = (await asyncio.wait(tasks, timeout=self._insists))[1] if tasks else ()
        if late:
            names = ", ".join(sorted(_name(task) for task in late))
            self._give_up(f"told to end, {names} went on for {self._insists:g} s after being cancelled")


def _name(task: asyncio.Task[None]) -> str:
    return getattr(task.get_coro(), "__qualname__", task.get_name())
