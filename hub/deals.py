"""An account's deals out of the log: no index holds them, so a page looks at a bounded stretch behind its cursor."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Final, final

from typing_extensions import override

from hub.api.ports import DealPage, DealReader, TooManyLooks
from hub.bus.log import Input, InputKind, Teller
from hub.bus.pages import BadCursor
from hub.clock import MICROSECOND, Clock
from hub.dispatch.patterns import matches
from hub.engine.past import History
from hub.events.facts import EVENT_PREFIX
from hub.events.records import decode_envelope
from hub.ids import from_id

_AHEAD_US: Final = timedelta(days=1) // MICROSECOND  # another process's clock may run ahead of this one's
_ROWS: Final = 500  # of an account, looked at in one go
_LOOKS: Final = 4
_MOST_ASKING: Final = 32
_AT_ONCE: Final = 1  # of two connections that read: a look may take a quarter of a second


@final
class Deals(DealReader):
    def __init__(self, history: History, log: Teller, clock: Clock) -> None:
        self._history = history
        self._log = log
        self._clock = clock
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._asking = 0

    @override
    async def deals(self, account: str, patterns: Sequence[str], *, after: str, limit: int) -> DealPage:
        if self._asking >= _MOST_ASKING:
            raise TooManyLooks
        self._asking += 1
        try:
            return await self._look(account, patterns, after, limit)
        finally:
            self._asking -= 1

    async def _look(self, account: str, patterns: Sequence[str], after: str, limit: int) -> DealPage:
        last = await self._behind(account, after) if after else None
        found: list[Input] = []
        reached = last  # the oldest event that was looked at
        for _ in range(_LOOKS):
            async with self._turns:
                told = await self._history.told(
                    account, until=self._clock.now_us() + _AHEAD_US, last=last, most=_ROWS
                )
            rows = [row for row in reversed(told.inputs) if last is None or row.n < last.n]
            for row in rows:
                if row.kind != InputKind.EVENT:
                    continue
                reached = row
                if any(matches(pattern, decode_envelope(row.body).type) for pattern in patterns):
                    found.append(row)
                    if len(found) == limit:
                        return DealPage(found, row.ref, complete=False)
            if told.complete or not rows:
                return DealPage(found, None, complete=told.complete)
            last = rows[-1]
        return DealPage(found, reached.ref if reached is not None else None, complete=False)

    async def _behind(self, account: str, cursor: str) -> Input:
        key = from_id(EVENT_PREFIX, cursor)
        row = await self._log.find(key) if key is not None else None
        if row is None or row.key != account:
            raise BadCursor(cursor)
        return row
