"""A consumer's place in the log: what was just committed comes from memory, what was missed is read again from disk."""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Protocol

from hub.bus.log import Input

_IN_MEMORY = 10_000  # rows held for a consumer before it has to read them from disk: about 10 MB


class Readable(Protocol):
    async def start(self, positions: Sequence[int]) -> int: ...
    async def scan(self, after: int, limit: int) -> list[Input]: ...
    def heads(self) -> Sequence[int]: ...


class Follower:
    """Rows reach a consumer once, in order per partition. Everything here happens on the event loop."""

    def __init__(self, log: Readable, positions: Sequence[int], *, room: int = _IN_MEMORY) -> None:
        self._log = log
        self._room = room
        self._taken = list(positions)  # the last n handed out, or waiting in memory
        self._rank: int | None = None  # as far as the log was read, or heard
        self._ready: deque[Input] = deque()
        self._behind = True  # something committed is neither handed out nor in memory
        self._wake = asyncio.Event()
        self._woken = False

    def offer(self, rows: Sequence[Input]) -> None:
        """Hear of committed rows, in order."""
        if not self._behind and len(self._ready) + len(rows) > self._room:
            self._behind = True
        if not self._behind:
            self._receive(rows)
        self._wake.set()

    def wake(self) -> None:
        """Make a waiting `take`, or the next one, return at once, perhaps with nothing."""
        self._woken = True
        self._wake.set()

    def backlog(self) -> int:
        waiting = len(self._ready)
        if self._behind:
            waiting += sum(
                max(head - taken, 0) for head, taken in zip(self._log.heads(), self._taken, strict=True)
            )
        return waiting

    async def take(self, limit: int) -> list[Input]:
        """Return up to `limit` rows, waiting for the first; empty only after `wake`."""
        while not self._ready and not self._woken:
            if self._behind:
                await self._catch_up(limit)
            else:
                self._wake.clear()
                await self._wake.wait()
        self._woken = False
        ready = self._ready
        return [ready.popleft() for _ in range(min(limit, len(ready)))]

    def _receive(self, rows: Sequence[Input]) -> None:
        taken = self._taken
        for row in rows:
            if row.n > taken[row.partition]:  # a read may have met it between its commit and its publication
                taken[row.partition] = row.n
                self._ready.append(row)
        self._rank = rows[-1].rank

    async def _catch_up(self, limit: int) -> None:
        heads = list(self._log.heads())
        if self._rank is None:
            self._rank = await self._log.start(self._taken)
        rows = await self._log.scan(self._rank, limit)
        if rows:
            self._receive(rows)
            return
        # Up to the heads of before the read, everything was read or is pruned away.
        self._taken = [max(taken, head) for taken, head in zip(self._taken, heads, strict=True)]
        # If nothing was published meanwhile, nothing is missing: from here on memory is enough.
        self._behind = heads != list(self._log.heads())
