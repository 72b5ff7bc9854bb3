"""Waiting for a server that is not there yet: after a power cut the machines of a fleet come back in any order."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TypeVar

import structlog

from hub.clock import Clock
from hub.errors import StoreUnavailable

LOOK_EVERY = timedelta(seconds=1)
TELL_EVERY = 5.0  # seconds

T = TypeVar("T")

log = structlog.get_logger(__name__)


async def when_reachable(
    ask: Callable[[], Awaitable[T]], clock: Clock, *, patience: timedelta | None = None
) -> T:
    """Ask until there is an answer, and say now and then what is waited for.

    Raises what the last attempt raised once `patience` is over, and at once whatever waiting does not mend.
    """
    began, told = clock.monotonic(), float("-inf")
    while True:
        try:
            return await ask()
        except StoreUnavailable as problem:
            now = clock.monotonic()
            if patience is not None and now - began >= patience.total_seconds():
                raise
            if now - told >= TELL_EVERY:
                told = now
                log.warning("hub.waits", reason=str(problem))
        await clock.sleep(LOOK_EVERY)


async def unless_stopped(work: Awaitable[T], stopping: asyncio.Event) -> T | None:
    """Return what the work does, or None as soon as `stopping` is set: what it is in the middle of is cut off."""
    working = asyncio.ensure_future(work)
    stopped = asyncio.ensure_future(stopping.wait())
    try:
        await asyncio.wait((working, stopped), return_when=asyncio.FIRST_COMPLETED)
        return working.result() if working.done() else None
    finally:
        working.cancel()
        stopped.cancel()
        await asyncio.wait((working, stopped))
