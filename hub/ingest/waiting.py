"""Waiting that ends early when the hub stops, and how long to wait before trying a source again."""

import asyncio
import random
from collections.abc import Coroutine
from datetime import timedelta

from hub.clock import Clock


async def pause(clock: Clock, stopping: asyncio.Event, duration: timedelta) -> None:
    """Sleep, but no longer than until `stopping` is set."""
    async with asyncio.TaskGroup() as group:
        nap = group.create_task(clock.sleep(duration))
        stop = group.create_task(stopping.wait())
        await asyncio.wait((nap, stop), return_when=asyncio.FIRST_COMPLETED)
        nap.cancel()
        stop.cancel()


class Backoff:
    """Doubling waits with jitter, so that many connectors do not return to a recovering gateway at the same moment."""

    def __init__(self, first: timedelta, longest: timedelta, dice: random.Random) -> None:
        self._first = first
        self._longest = longest
        self._dice = dice
        self._failures = 0

    def reset(self) -> None:
        self._failures = 0

    def next(self) -> timedelta:
        doubled = self._first * (1 << min(self._failures, 20))
        wait = min(doubled, self._longest)
        self._failures += 1
        return wait * (0.5 + self._dice.random() / 2)


async def run_until(stopping: asyncio.Event, work: Coroutine[object, object, None]) -> Exception | None:
    """Run until the work ends or `stopping` is set; return what went wrong."""

    async def guarded() -> Exception | None:
        try:
            await work
        except Exception as error:
            return error
        return None

    async with asyncio.TaskGroup() as group:
        task = group.create_task(guarded())
        stop = group.create_task(stopping.wait())
        await asyncio.wait((task, stop), return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        task.cancel()
    return None if task.cancelled() else task.result()


def first_cause(error: BaseException) -> BaseException:
    """Return the first error inside a group of errors."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
