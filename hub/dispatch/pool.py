"""Connections that are kept between two requests, by where they lead; none for longer than receivers usually keep theirs."""

import asyncio
from typing import Final, final
from weakref import WeakValueDictionary

from aiohttp.client_reqrep import ConnectionKey

from hub.clock import Clock
from hub.dispatch.line import Line

KEPT_SECONDS: Final = 15.0


@final
class Pool:
    """Those to one place. Last in, first out: under little load the same ones are used and the others may close."""

    __slots__ = ("__weakref__", "_lines", "_pools")

    def __init__(self, pools: "Pools") -> None:
        self._lines: list[Line] = []
        self._pools = pools

    def __len__(self) -> int:
        return len(self._lines)

    def keep(self, line: Line) -> None:
        self._lines.append(line)
        self._pools.some_kept()

    def take(self, now: float) -> Line | None:
        """Return one that can be asked now; it belongs to whoever took it."""
        lines = self._lines
        while lines:
            line = lines.pop()
            if now - line.kept_since <= KEPT_SECONDS and line.may_be_asked():
                return line
            line.hang_up()
        return None

    def close_old(self, before: float) -> None:
        young = [line for line in self._lines if line.kept_since > before and line.may_be_asked()]
        for line in set(self._lines).difference(young):
            line.hang_up()
        self._lines = young


@final
class Pools:
    """A pool lives as long as somebody who sends there, or one of its connections."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._pools: WeakValueDictionary[ConnectionKey, Pool] = WeakValueDictionary()
        self._timer: asyncio.TimerHandle | None = None

    def to(self, key: ConnectionKey) -> Pool:
        pool = self._pools.get(key)
        if pool is None:
            pool = self._pools[key] = Pool(self)
        return pool

    def some_kept(self) -> None:
        if self._timer is None:
            self._timer = self._loop.call_later(KEPT_SECONDS, self._close_old)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _close_old(self) -> None:
        self._timer = None
        before = self._clock.monotonic() - KEPT_SECONDS
        for pool in list(self._pools.values()):
            pool.close_old(before)
            if len(pool):
                self.some_kept()
