"""Work on what a process owns: begun again whenever that changes, so that nothing of a former owner's memory survives."""

import asyncio
from collections.abc import Callable, Collection
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import final

import structlog

from hub.clock import Clock
from hub.errors import LeaseLost, StoreUnavailable
from hub.stages import Service

BEGIN_AGAIN = timedelta(seconds=1)
PATIENCE = timedelta(seconds=20)  # for a shift that was told to end
BEREFT = timedelta(milliseconds=500)  # for one whose leases have ended: it can write nothing any more
LOOK = timedelta(milliseconds=100)

log = structlog.get_logger(__name__)

Begin = Callable[[frozenset[str]], AbstractAsyncContextManager[Service]]


@final
class Shifts:
    """`begin` builds the work on a set of names; a shift ends, whole, before the next one begins.

    Ownership calls `gained` and `lost`. When `lost` returns, nothing works on those names here any more. `holds` says
    whether a name is still ours: a shift that is bereft of one has nothing left to finish, and the next ones wait.
    """

    def __init__(self, what: str, begin: Begin, clock: Clock, holds: Callable[[str], bool]) -> None:
        self._what = what
        self._begin = begin
        self._clock = clock
        self._holds = holds
        self._wanted: frozenset[str] = frozenset()
        self._working: frozenset[str] = frozenset()
        self._at_work = False
        self._changed = asyncio.Event()
        self._ended = asyncio.Event()

    @property
    def working(self) -> frozenset[str]:
        """Return the names that are worked on now."""
        return self._working

    def ending(self) -> tuple[object, ...] | None:
        """Return which shift was told to end and has not; None while none was."""
        return (self._working,) if self._working and self._changed.is_set() else None

    def beginning(self) -> tuple[object, ...] | None:
        """Return what is ours and not worked on yet, however often that was tried; None where there is nothing of the kind."""
        return (self._wanted,) if self._wanted and not self._at_work else None

    async def gained(self, names: Collection[str]) -> None:
        self._wanted |= frozenset(names)
        self._changed.set()

    async def lost(self, names: Collection[str]) -> None:
        self._wanted -= frozenset(names)
        self._changed.set()
        while not self._working.isdisjoint(names):
            self._ended.clear()
            await self._ended.wait()

    async def run(self, stopping: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as group:
            ringing = group.create_task(self._ring(stopping))
            while not stopping.is_set():
                self._changed.clear()
                if self._wanted:
                    await self._work(self._wanted)
                else:
                    await self._changed.wait()
            ringing.cancel()

    async def _ring(self, stopping: asyncio.Event) -> None:
        await stopping.wait()
        self._changed.set()

    async def _work(self, names: frozenset[str]) -> None:
        """Work on these names until they change; trouble with the store or a lease begins the shift again."""
        self._working = names
        try:
            async with self._begin(names) as service:
                self._at_work = True
                await self._until_changed(service, names)
        except* (LeaseLost, StoreUnavailable) as problems:
            reason = str(_first(problems))
            log.warning("shift.broken_off", what=self._what, names=len(names), reason=reason)
        finally:
            self._at_work = False
            self._working = frozenset()
            self._ended.set()
        if self._wanted == names and not self._changed.is_set():
            await self._clock.sleep(BEGIN_AGAIN)

    async def _until_changed(self, service: Service, names: frozenset[str]) -> None:
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            work = group.create_task(service.run(stop))
            change = group.create_task(self._change())
            await asyncio.wait((work, change), return_when=asyncio.FIRST_COMPLETED)
            change.cancel()
            stop.set()
            waited = timedelta()
            while not work.done():
                if waited >= (PATIENCE if all(map(self._holds, names)) else BEREFT):
                    log.warning("shift.cut_off", what=self._what, seconds=waited.total_seconds())
                    work.cancel()
                    break
                await asyncio.wait((work,), timeout=LOOK.total_seconds())
                waited += LOOK

    async def _change(self) -> None:
        await self._changed.wait()


def _first(problems: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the first of the errors that were raised together."""
    found: BaseException = problems
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return found
