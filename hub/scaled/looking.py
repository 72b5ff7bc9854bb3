"""Looks at what other processes may have changed: when there is word of it, and every so often, for word may be lost."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import final

import structlog

from hub.clock import MICROSECOND, Clock
from hub.dispatch.waiting import until
from hub.errors import StoreUnavailable
from hub.stages import run_until

EVERY = timedelta(seconds=5)

log = structlog.get_logger(__name__)


@final
class Looking:
    """`do` looks. Trouble with the store is told and waited for."""

    def __init__(
        self, what: str, do: Callable[[], Awaitable[None]], clock: Clock, *, every: timedelta = EVERY
    ) -> None:
        self._what = what
        self._do = do
        self._clock = clock
        self._every_us = every // MICROSECOND
        self._called = asyncio.Event()
        self._turns = 0

    def now(self) -> None:
        """Look without waiting for the next time; to be called from wherever there is word."""
        self._called.set()

    def mark(self) -> tuple[object, ...]:
        """Return what changes with every look."""
        return (self._turns,)

    async def run(self, stopping: asyncio.Event) -> None:
        await run_until(stopping, self._keep_looking)

    async def _keep_looking(self) -> None:
        while True:
            await until(self._clock, self._clock.now_us() + self._every_us, self._called)
            try:
                await self._do()
            except StoreUnavailable as problem:
                log.warning("store.not_looked_at", what=self._what, reason=str(problem))
            self._turns += 1
