"""Writes who is owed what, and what attempts came to: one write in flight, and whatever gathered meanwhile in the next.

Most deliveries are answered within milliseconds. Those the fan-out just brought are therefore given a moment: what is
over by then is written once, as what it came to, and never stands among what waits. The log says who is owed them
until then, because how far it was read is written in the same transaction.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple, Protocol, final

import structlog

from hub.clock import MICROSECOND, Clock
from hub.dispatch.delivery import DELIVERED
from hub.dispatch.outbox import Deliveries, Delivery, Settled
from hub.dispatch.waiting import until
from hub.errors import LeaseLost, StoreUnavailable

LINGER = timedelta(milliseconds=20)  # between two writes, unless somebody waits for one
PATIENCE = timedelta(milliseconds=40)  # what a crash may send again beside the attempts in flight
MOST_AT_ONCE = 1_000
STORE_RETRY = timedelta(seconds=1)

log = structlog.get_logger(__name__)

Taker = object
Identity = tuple[str, int, int]


class Settling(Protocol):
    """Whoever made the attempt; told once its result is on disk. While `unwell`, its successes are news, too."""

    @property
    def unwell(self) -> bool: ...

    def written(self, settled: Settled, body: bytes) -> None: ...

    def forgotten(self, settled: Settled) -> None:
        """Hear that it will not be written: somebody else passes the event on, and it comes again from there."""


class Result(NamedTuple):
    by: Settling
    settled: Settled
    body: bytes


class Owed(NamedTuple):
    """A new delivery and who took it."""

    delivery: Delivery
    taker: Taker | None


Write = Callable[[Mapping[int, int], Sequence[Delivery], Sequence[Settled]], Awaitable[None]]


class Fanned:
    """One step of the fan-out on its way to disk: what is still open of it, and what is over."""

    __slots__ = ("born_us", "open", "over", "positions", "write")

    def __init__(self, positions: Mapping[int, int], write: Write, born_us: int) -> None:
        self.positions = positions
        self.write = write
        self.born_us = born_us
        self.open: dict[Identity, Owed] = {}
        self.over: list[Result] = []


BeforeWriting = Callable[[Settled, bytes], Awaitable[None]]
OnDisk = Callable[[Delivery, Taker | None], None]


@final
class Settler:
    """`before_writing` is awaited for a result there may be something to tell of, before its row is written, so as not to be lost.

    `on_disk` hears of each new delivery that stands among what waits now, with who took it.
    """

    def __init__(
        self,
        deliveries: Deliveries,
        clock: Clock,
        before_writing: BeforeWriting,
        on_disk: OnDisk,
        *,
        linger: timedelta = LINGER,
        patience: timedelta = PATIENCE,
    ) -> None:
        self._deliveries = deliveries
        self._clock = clock
        self._before_writing = before_writing
        self._on_disk = on_disk
        self._linger_us = linger // MICROSECOND
        self._patience_us = patience // MICROSECOND
        self._fanned: deque[Fanned] = deque()
        self._where: dict[Identity, Fanned] = {}
        self._results: list[Result] = []
        self._called = asyncio.Event()
        self._hurry = asyncio.Event()
        self._closing = False
        self._writing = False
        self._writes = 0
        self._flushes: list[asyncio.Future[None]] = []

    def owe(self, positions: Mapping[int, int], owed: Sequence[Owed], write: Write) -> None:
        """Take new deliveries, and how far the log was read for them, before any of them is answered.

        `write` is `fan_out` of `Deliveries`. When it raises LeaseLost the step is forgotten: its events have another owner.
        """
        fanned = Fanned(positions, write, self._clock.now_us())
        for one in owed:
            delivery, taker = one
            if taker is None:  # it is read from the store: nothing is won by waiting
                fanned.born_us = 0
            identity = (delivery.endpoint, delivery.partition, delivery.n)
            fanned.open[identity] = one
            self._where[identity] = fanned
        self._fanned.append(fanned)
        self._called.set()

    def add(self, by: Settling, settled: Settled, body: bytes) -> None:
        delivery = settled.delivery
        identity = (delivery.endpoint, delivery.partition, delivery.n)
        fanned = self._where.pop(identity, None)
        if fanned is None:
            self._results.append(Result(by, settled, body))
        else:
            del fanned.open[identity]
            fanned.over.append(Result(by, settled, body))
        self._called.set()

    def close(self) -> None:
        """End `run` when everything that was added is written."""
        self._closing = True
        self._called.set()
        self._hurry.set()

    async def room(self) -> None:
        """Return when few enough deliveries are on their way to disk."""
        while len(self._where) >= MOST_AT_ONCE and not self._closing:
            await self.flush()

    async def flush(self) -> None:
        """Return when everything added so far is on disk."""
        if self._pending() or self._writing:
            waiter = asyncio.get_running_loop().create_future()
            self._flushes.append(waiter)
            self._hurry.set()
            await waiter

    def mark(self) -> tuple[object, ...] | None:
        """Return what changes while things come to disk; None where nothing has to."""
        return (self._writes,) if self._writing or self._pending() else None

    async def run(self) -> None:
        while self._pending() or not self._closing:
            if self._pending():
                await until(self._clock, self._clock.now_us() + self._linger_us, self._hurry)
                await self._write()
            else:
                self._tell_flushed(self._take_flushes())
                await until(self._clock, None, self._called)
        self._tell_flushed(self._take_flushes())

    def _pending(self) -> bool:
        return bool(self._fanned or self._results)

    async def _write(self) -> None:
        flushes = self._take_flushes()
        steps, results = self._take_fanned(everything=self._closing or bool(flushes)), self._take_results()
        if not steps and not results:
            await until(self._clock, self._fanned[0].born_us + self._patience_us, self._called)
            return
        self._writing = True
        await self._write_fanned(steps)
        await self._write_results(results)
        self._writing = False
        self._writes += 1
        if self._results:  # not all could go at once
            self._flushes += flushes
        else:
            self._tell_flushed(flushes)

    def _take_flushes(self) -> list[asyncio.Future[None]]:
        flushes, self._flushes = self._flushes, []
        return flushes

    def _take_results(self) -> list[Result]:
        batch = self._results[:MOST_AT_ONCE]
        del self._results[:MOST_AT_ONCE]
        return batch

    def _take_fanned(self, *, everything: bool) -> list[Fanned]:
        """Return the steps to write now, the oldest first: the log is read in order, and so are positions written."""
        young = self._clock.now_us() - self._patience_us
        taken: list[Fanned] = []
        while self._fanned:
            oldest = self._fanned[0]
            if oldest.open and oldest.born_us > young and not everything:
                break
            taken.append(self._fanned.popleft())
            for identity in oldest.open:
                # A later step owes it too, where the shift that took this one is over and another reads on in its place.
                if self._where.get(identity) is oldest:
                    del self._where[identity]
        return taken

    async def _write_fanned(self, steps: Sequence[Fanned]) -> None:
        for write, together in groupby(steps, attrgetter("write")):
            await self._write_together(write, list(together))

    async def _write_together(self, write: Write, steps: Sequence[Fanned]) -> None:
        positions: dict[int, int] = {}
        for step in steps:
            positions |= step.positions
        still = [owed for step in steps for owed in step.open.values()]
        over = [result for step in steps for result in step.over]
        rows, attempted = [owed.delivery for owed in still], [result.settled for result in over]
        try:
            await self._persist(over, lambda: write(positions, rows, attempted))
        except LeaseLost as problem:
            log.warning("delivery.events_of_another", deliveries=len(rows) + len(over), reason=str(problem))
            for result in over:
                result.by.forgotten(result.settled)
            return
        for delivery, taker in still:
            self._on_disk(delivery, taker)

    async def _write_results(self, results: Sequence[Result]) -> None:
        if not results:
            return
        try:
            await self._settle(results)
        except LeaseLost:
            await self._settle_what_is_ours(results)

    async def _settle(self, results: Sequence[Result]) -> None:
        settled = [result.settled for result in results]
        await self._persist(results, lambda: self._deliveries.settle(settled))

    async def _settle_what_is_ours(self, results: Sequence[Result]) -> None:
        """Write the results of each endpoint by itself; whoever owns one of them now will have sent again, with the same id."""
        by_endpoint: dict[str, list[Result]] = {}
        for result in results:
            by_endpoint.setdefault(result.settled.delivery.endpoint, []).append(result)
        for endpoint, part in by_endpoint.items():
            try:
                await self._settle(part)
            except LeaseLost:
                log.warning("delivery.endpoint_of_another", endpoint=endpoint, results=len(part))

    async def _persist(self, results: Sequence[Result], write: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                for result in results:
                    if result.settled.attempt.outcome != DELIVERED or result.by.unwell:
                        await self._before_writing(result.settled, result.body)
                await write()
                break
            except StoreUnavailable as problem:
                # Nothing is forgotten: the deliveries stay held, so the workers run dry until the store is back.
                log.warning("delivery.results_unwritten", results=len(results), reason=str(problem))
                await self._clock.sleep(STORE_RETRY)
        for result in results:
            result.by.written(result.settled, result.body)

    def _tell_flushed(self, flushes: Sequence[asyncio.Future[None]]) -> None:
        for waiter in flushes:
            if not waiter.done():
                waiter.set_result(None)
