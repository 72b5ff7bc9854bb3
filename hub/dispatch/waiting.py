"""Waiting for whichever comes first: a moment on the clock, or somebody's call."""

import asyncio

from hub.clock import MICROSECOND, Clock


async def until(clock: Clock, due_us: int | None, called: asyncio.Event) -> None:
    """Return when `called` is set or the moment has come; clears `called`."""
    if due_us is None:
        await called.wait()
    elif due_us > clock.now_us() and not called.is_set():
        async with asyncio.TaskGroup() as group:
            alarm = group.create_task(_ring(clock, due_us, called))
            await called.wait()
            alarm.cancel()
    called.clear()


async def _ring(clock: Clock, due_us: int, called: asyncio.Event) -> None:
    await clock.sleep((due_us - clock.now_us()) * MICROSECOND)
    called.set()
