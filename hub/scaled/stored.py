"""Waits until the owners have stored what was told to them: before that, the log cannot say what it was told already."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import final

import structlog

from hub.clock import Clock
from hub.errors import StoreUnavailable

FIRST_LOOK, LONGEST_LOOK = timedelta(milliseconds=50), timedelta(seconds=5)
TELL_EVERY = 30.0  # seconds
WORTH_TELLING = 5.0  # seconds; owners are always a little behind

Reached = Mapping[tuple[str, int], int]  # (topic, partition) to the offset to be read next

log = structlog.get_logger(__name__)


@final
class StoredByOwners:
    """One of these a process: however many sources wait, Kafka is asked once and the database by one of them.

    `ends` says where Kafka's partitions end, `positions` how far they are stored; both may raise StoreUnavailable.
    """

    def __init__(
        self,
        ends: Callable[[], Awaitable[Reached]],
        positions: Callable[[], Awaitable[Reached]],
        clock: Clock,
    ) -> None:
        self._ends = ends
        self._positions = positions
        self._clock = clock
        self._turn = asyncio.Lock()
        self._proven = float("-inf")  # everything told before this moment is stored
        self._since: float | None = None
        self._reason = ""

    async def wait(self) -> None:
        """Return once everything that stood in Kafka at this moment is stored, however long that takes."""
        asked = self._clock.monotonic()
        async with self._turn:
            if self._proven >= asked:
                return
            self._since = began = self._clock.monotonic()
            try:
                await self._until_stored()
            finally:
                self._since = None
            self._proven = began

    def problem(self) -> str | None:
        """Return what is waited for, once that has taken longer than it does in good times."""
        if self._since is None or self._clock.monotonic() - self._since < WORTH_TELLING:
            return None
        return f"sources wait to begin: {self._reason}"

    async def _until_stored(self) -> None:
        missing: Reached | None = None
        pause, told = FIRST_LOOK, float("-inf")
        while True:
            try:
                if missing is None:
                    missing = await self._ends()
                reached = await self._positions()
                missing = {where: end for where, end in missing.items() if reached.get(where, 0) < end}
                if not missing:
                    break
                facts = sum(end - reached.get(where, 0) for where, end in missing.items())
                self._reason = (
                    f"{facts} facts told before are not stored by the owners of {len(missing)} partitions"
                )
            except StoreUnavailable as problem:
                self._reason = str(problem)
            told = self._tell(told)
            await self._clock.sleep(pause)
            pause = min(pause * 2, LONGEST_LOOK)
        if told > float("-inf"):
            log.info("connectors.begin", reason="everything that was told before is stored")

    def _tell(self, told: float) -> float:
        """Say what is waited for, now and then; return when it was said last."""
        now = self._clock.monotonic()
        is_due = now - told >= TELL_EVERY if told > float("-inf") else self.problem() is not None
        if is_due:
            log.warning(
                "connectors.wait", reason=self._reason, advice="see that engine processes run and keep up"
            )
            return now
        return told
