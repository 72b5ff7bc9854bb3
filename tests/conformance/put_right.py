"""A clock that runs ahead until somebody puts it right."""

from datetime import datetime, timedelta
from typing import final

from typing_extensions import override

from hub.clock import MICROSECOND, Clock, ManualClock


@final
class PutRight(Clock):
    """What time it is may be put right with `ahead`; how long somebody sleeps has nothing to do with that."""

    def __init__(self, inner: ManualClock, ahead: timedelta = timedelta()) -> None:
        self.inner = inner
        self.ahead = ahead

    @override
    def now(self) -> datetime:
        return self.inner.now() + self.ahead

    @override
    def now_us(self) -> int:
        return self.inner.now_us() + self.ahead // MICROSECOND

    @override
    def monotonic(self) -> float:
        return self.inner.monotonic()

    @override
    async def sleep(self, duration: timedelta) -> None:
        await self.inner.sleep(duration)

    async def advance(self, duration: timedelta) -> None:
        await self.inner.advance(duration)
