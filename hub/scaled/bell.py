"""Tells the dispatchers of new intents, after their commit and all that gathered meanwhile at once."""

import asyncio
from collections.abc import Sequence
from typing import final

import structlog

from hub.errors import StoreUnavailable
from hub.intents.intent import Intent
from hub.stages import run_until
from hub.store.postgres.database import Database
from hub.store.postgres.notices import notify_intents

log = structlog.get_logger(__name__)


@final
class Bell:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._intents: list[Intent] = []
        self._called = asyncio.Event()

    def ring(self, intents: Sequence[Intent]) -> None:
        if intents:
            self._intents += intents
            self._called.set()

    async def run(self, stopping: asyncio.Event) -> None:
        await run_until(stopping, self._keep_telling)

    async def _keep_telling(self) -> None:
        while True:
            await self._called.wait()
            self._called.clear()
            intents, self._intents = self._intents, []
            try:
                await notify_intents(self._database, intents)
            except StoreUnavailable as problem:
                # Whoever carries them out looks by himself every so often, and after he was cut off.
                log.warning("intents.untold", intents=len(intents), reason=str(problem))
