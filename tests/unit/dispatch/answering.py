"""A dispatcher with everything around it, on a clock that is moved by hand; it can be stopped at any point."""

import asyncio
from contextlib import suppress
from datetime import timedelta

from unit.dispatch.test_dispatcher import House

from hub.dispatch.memory_health import MemoryHealths


class Answering(House):
    """Endpoints that are watched: what is told of them stands in `announced`, once for every name."""

    def __init__(
        self, *endpoints, disable_after=timedelta(days=5), longest_pause=timedelta(days=1), **options
    ):
        self.disable_after, self.longest_pause = disable_after, longest_pause
        self.healths = None
        self.fail_announce = 0
        super().__init__(*endpoints, **options)

    def restart(self):
        if self.healths is None:
            self.healths = MemoryHealths(self.endpoints)
        super().restart(
            healths=self.healths,
            disable_after=self.disable_after,
            longest_pause=self.longest_pause,
        )

    def told(self):
        """Return what was told, each once, as the log keeps it."""
        return list({said.dedupe_key: said for said in self.announced}.values())

    def types(self):
        return [said.type for said in self.told()]

    async def advance(self, **duration):
        await self.clock.advance(timedelta(**duration))
        await self.settle()

    def start(self):
        return asyncio.ensure_future(self.dispatcher.run(asyncio.Event()))


async def killed(task):
    """End a dispatcher as a crash does: nothing it holds in memory gets to the disk."""
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
