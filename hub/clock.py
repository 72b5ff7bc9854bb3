"""The only module that asks what time it is.

In memory a moment is an aware UTC ``datetime``; in rows and on hot paths it is an integer of microseconds since
1970-01-01T00:00Z, written ``_us`` or ``at``. Server-local broker time is converted once, in ingest.
"""

import asyncio
import heapq
import itertools
import time
from datetime import MAXYEAR, MINYEAR, UTC, datetime, timedelta
from typing import Protocol, final

from typing_extensions import override

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
SECOND_US = 1_000_000


def to_us(moment: datetime) -> int:
    """Return microseconds since the epoch, exactly; the moment must be aware."""
    return (moment - EPOCH) // MICROSECOND


def from_us(us: int) -> datetime:
    return EPOCH + timedelta(microseconds=us)


def iso(us: int) -> str:
    """Return RFC 3339 in UTC with milliseconds, or microseconds where there are any: ``2026-06-23T09:00:00.123Z``."""
    spec = "milliseconds" if us % 1000 == 0 else "microseconds"
    return from_us(us).isoformat(timespec=spec).removesuffix("+00:00") + "Z"


def every_zone_shows(moment: datetime) -> bool:
    """Return whether it can be moved to any zone and compared: Python knows no year before 1 and none after 9999."""
    return MINYEAR < moment.year < MAXYEAR


def cpu_seconds() -> float:
    """Return how much CPU this thread has used: what its work cost, however busy the machine is."""
    return time.thread_time()


class Clock(Protocol):
    def now(self) -> datetime:
        """Return this moment, aware, in UTC."""

    def now_us(self) -> int:
        """Return this moment in microseconds since the epoch."""

    def monotonic(self) -> float:
        """Return seconds that never go back, for measuring and for leases."""

    async def sleep(self, duration: timedelta) -> None: ...


@final
class SystemClock(Clock):
    @override
    def now(self) -> datetime:
        return datetime.now(UTC)

    @override
    def now_us(self) -> int:
        return time.time_ns() // 1000

    @override
    def monotonic(self) -> float:
        return time.monotonic()

    @override
    async def sleep(self, duration: timedelta) -> None:
        await asyncio.sleep(duration.total_seconds())


@final
class ManualClock(Clock):
    """A clock that moves only when it is told to; whoever sleeps wakes in order of due time."""

    def __init__(self, start: datetime) -> None:
        self._now_us = to_us(start)
        self._start_us = self._now_us
        self._sleepers: list[tuple[int, int, asyncio.Future[None]]] = []
        self._order = itertools.count()

    @override
    def now(self) -> datetime:
        return from_us(self._now_us)

    @override
    def now_us(self) -> int:
        return self._now_us

    @override
    def monotonic(self) -> float:
        return (self._now_us - self._start_us) / SECOND_US

    @override
    async def sleep(self, duration: timedelta) -> None:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        due = self._now_us + max(duration // MICROSECOND, 0)
        heapq.heappush(self._sleepers, (due, next(self._order), waiter))
        await waiter

    async def advance(self, duration: timedelta) -> None:
        """Move time forward, stopping at every sleeper on the way so that each wakes at its own moment."""
        target = self._now_us + duration // MICROSECOND
        while True:
            await self._settle()
            if not self._sleepers or self._sleepers[0][0] > target:
                break
            due, _, waiter = heapq.heappop(self._sleepers)
            self._now_us = max(self._now_us, due)
            if not waiter.done():
                waiter.set_result(None)
        self._now_us = target
        await self._settle()

    async def _settle(self) -> None:
        # Tasks that are ready get their turns before time moves on; a handful of turns covers a chain of awaits.
        for _ in range(20):
            await asyncio.sleep(0)
