"""Writes what attempts came to: one write in flight, and whatever gathered meanwhile goes into the next one."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import NamedTuple, Protocol, final

import structlog

from hub.clock import Clock
from hub.dispatch.outbox import Deliveries, DeliveryState, Settled
from hub.errors import StoreUnavailable

MOST_AT_ONCE = 1_000
STORE_RETRY = timedelta(seconds=1)

log = structlog.get_logger(__name__)


class Settling(Protocol):
    """Whoever made the attempt; told once its result is on disk."""

    def written(self, settled: Settled, body: bytes) -> None: ...


class Result(NamedTuple):
    by: Settling
    settled: Settled
    body: bytes


OnFinal = Callable[[Settled], Awaitable[None]]


@final
class Settler:
    """`before_final` is awaited for a delivery that ends undelivered, before its row is written, so as not to be lost."""

    def __init__(self, deliveries: Deliveries, clock: Clock, before_final: OnFinal) -> None:
        self._deliveries = deliveries
        self._clock = clock
        self._before_final = before_final
        self._results: list[Result] = []
        self._called = asyncio.Event()
        self._closing = False
        self._writing = False
        self._added = 0
        self._written = 0
        self._flushes: list[tuple[int, asyncio.Future[None]]] = []

    def add(self, by: Settling, settled: Settled, body: bytes) -> None:
        self._results.append(Result(by, settled, body))
        self._added += 1
        self._called.set()

    def close(self) -> None:
        """End `run` when everything that was added is written."""
        self._closing = True
        self._called.set()

    async def flush(self) -> None:
        """Return when everything added so far is on disk."""
        if self._results or self._writing:
            waiter = asyncio.get_running_loop().create_future()
            self._flushes.append((self._added, waiter))
            await waiter

    async def run(self) -> None:
        while True:
            if self._results:
                batch = self._results[:MOST_AT_ONCE]
                del self._results[:MOST_AT_ONCE]
                self._writing = True
                await self._write(batch)
                self._writing = False
                self._tell_flushed(len(batch))
            elif self._closing:
                return
            else:
                self._called.clear()
                await self._called.wait()

    async def _write(self, batch: list[Result]) -> None:
        while True:
            try:
                for result in batch:
                    state = result.settled.delivery.state
                    if state is DeliveryState.EXHAUSTED or state is DeliveryState.CANCELLED:
                        await self._before_final(result.settled)
                await self._deliveries.settle([result.settled for result in batch])
                break
            except StoreUnavailable as problem:
                # Nothing is forgotten: the deliveries stay held, so the workers run dry until the store is back.
                log.warning("delivery.results_unwritten", results=len(batch), reason=str(problem))
                await self._clock.sleep(STORE_RETRY)
        for result in batch:
            result.by.written(result.settled, result.body)

    def _tell_flushed(self, count: int) -> None:
        self._written += count
        while self._flushes and self._flushes[0][0] <= self._written:
            _, waiter = self._flushes.pop(0)
            if not waiter.done():
                waiter.set_result(None)
