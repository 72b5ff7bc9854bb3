"""Services that need one another: started in one order, stopped in the other, each stage given time to finish its work."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from datetime import timedelta
from typing import Any, Protocol, final

from hub.clock import Clock

GRACE = timedelta(seconds=20)


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

    A service that fails ends the others at once, and `run` raises what it raised.
    """

    def __init__(
        self,
        stages: Sequence[Sequence[Service]],
        wake: Callable[[], None],
        *,
        begun: Callable[[], None] = lambda: None,
    ) -> None:
        self._stages = stages
        self._wake = wake
        self._begun = begun

    async def run(self, stopping: asyncio.Event) -> None:
        """Run until told to stop: the last stage ends first, then those it needed."""
        async with asyncio.TaskGroup() as group:
            started = []
            for services in self._stages:
                stop = asyncio.Event()
                started.append((stop, [group.create_task(service.run(stop)) for service in services]))
            self._begun()
            await stopping.wait()
            for stop, tasks in reversed(started):
                stop.set()
                self._wake()
                if tasks:
                    _, late = await asyncio.wait(tasks, timeout=GRACE.total_seconds())
                    for task in late:
                        task.cancel()
