"""Where bodies are given another form: on threads, in turn by endpoint, and the slow ones apart from the others.

What a template may do is bounded, to some tenth of a second. That is nothing, and for a busy endpoint it is a thread's
whole day: whoever needs long waits for himself, and uses no more than a part of the time of one thread.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from types import TracebackType
from typing import Final, final

import structlog

from hub.clock import Clock, cpu_seconds
from hub.dispatch.formats import Former

SLOW: Final = 0.020  # seconds of CPU: most take less than a hundredth of that
SLOW_FOR: Final = 60.0  # seconds after the last that was slow
# After each slow one its thread rests so many times as long: threads of one process take turns at the CPU, and the
# hub's own turn comes late while one of them works.
RESTS: Final = 3

log = structlog.get_logger(__name__)


@final
class Workshop:
    """`spent` says how much CPU the thread that asks has used."""

    def __init__(self, clock: Clock, *, spent: Callable[[], float] = cpu_seconds) -> None:
        self._clock = clock
        self._spent = spent
        self._quick = _Lane("transforms")
        self._slow = _Lane("slow-transforms")
        self._slow_until: dict[str, float] = {}
        self._rests_until = 0.0

    async def form(self, endpoint: str, former: Former, body: bytes) -> bytes:
        """Give a body of an endpoint its form. Raises what the former does."""
        if not self._is_slow(endpoint):
            async with self._quick.turn(endpoint):
                if not self._is_slow(endpoint):  # one of its own may have shown that meanwhile
                    return await self._work(self._quick, endpoint, former, body)
        async with self._slow.turn(endpoint):
            await self._rest()
            return await self._work(self._slow, endpoint, former, body)

    def close(self) -> None:
        self._quick.close()
        self._slow.close()

    async def _rest(self) -> None:
        left = self._rests_until - self._clock.monotonic()
        if left > 0:
            await self._clock.sleep(timedelta(seconds=left))

    async def _work(self, lane: "_Lane", endpoint: str, former: Former, body: bytes) -> bytes:
        cost = 0.0

        def work() -> bytes:
            nonlocal cost
            began = self._spent()
            try:
                return former.form(body)
            finally:
                cost = self._spent() - began

        try:
            return await lane.run(work)
        finally:
            self._learn(endpoint, cost, apart=lane is self._slow)

    def _learn(self, endpoint: str, cost: float, *, apart: bool) -> None:
        now = self._clock.monotonic()
        if apart:
            self._rests_until = now + RESTS * cost
        if cost < SLOW:
            return
        if not self._is_slow(endpoint):
            log.warning("endpoint.transform_slow", endpoint=endpoint, cpu_ms=round(cost * 1_000, 1))
            self._slow_until = {name: until for name, until in self._slow_until.items() if until > now}
        self._slow_until[endpoint] = now + SLOW_FOR

    def _is_slow(self, endpoint: str) -> bool:
        return self._slow_until.get(endpoint, 0.0) > self._clock.monotonic()


@final
class _Lane:
    """One thread, and whose turn it is: the endpoints that wait one after the other, each with the oldest of its own."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._pool: ThreadPoolExecutor | None = None
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}
        self._busy = False
        self._last = ""

    def turn(self, endpoint: str) -> "_Turn":
        return _Turn(self, endpoint)

    async def run(self, work: Callable[[], bytes]) -> bytes:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix=self._name)
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)

    async def begin(self, endpoint: str) -> None:
        if not self._busy:
            self._busy, self._last = True, endpoint
            return
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(endpoint, deque()).append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():  # it was just our turn: pass it on
                self.end()
            raise

    def end(self) -> None:
        """Let the next one have its turn."""
        while self._waiting:
            endpoint = next((name for name in self._waiting if name != self._last), self._last)
            line = self._waiting.pop(endpoint)
            waiter = line.popleft()
            if line:
                self._waiting[endpoint] = line  # behind the others now
            if not waiter.done():
                self._last = endpoint
                waiter.set_result(None)
                return
        self._busy = False

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None


@final
class _Turn:
    def __init__(self, lane: _Lane, endpoint: str) -> None:
        self._lane = lane
        self._endpoint = endpoint

    async def __aenter__(self) -> None:
        await self._lane.begin(self._endpoint)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lane.end()
