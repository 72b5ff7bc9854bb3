"""Watches one endpoint's health for whoever sends to it, and tells of it once, whatever crashes in between."""

from typing import final

import structlog

from hub.clock import Clock, iso
from hub.dispatch.announce import Announce, EndpointFailing, EndpointRecovered
from hub.dispatch.health import Health, Healths, failed, is_over, stage_now, well, words
from hub.errors import LeaseLost

_SAVED_EVERY_US = 60 * 1_000_000

log = structlog.get_logger(__name__)


@final
class Watch:
    """`unwell` is a plain field because it is asked at every success.

    Told before written, under a name made from when it began to fail: who was stopped in between tells it again, and
    that is recognised.
    """

    def __init__(
        self, health: Health, healths: Healths, announce: Announce, clock: Clock, limit_us: int
    ) -> None:
        self.health = health
        self.unwell = bool(health.failing_since)
        self._healths = healths
        self._announce = announce
        self._clock = clock
        self._limit_us = limit_us
        self._stored = health
        self._saved_at = 0
        self._mended: Health | None = None

    def failed(self, error: str) -> None:
        self.health = failed(self.health, error, self._clock.now_us())
        self.unwell = True

    def succeeded(self) -> None:
        if self.health.failing_since:
            # Of several that follow each other before it can be told, the one somebody heard of counts.
            if self._mended is None or self.health.stage:
                self._mended = self.health
            self.health = well(self.health, self._clock.now_us())

    def paused(self, until_us: int) -> None:
        self.health = self.health._replace(paused_until=until_us)
        self.unwell = True

    async def tell(self) -> str | None:
        """Tell and store what is new; return why the endpoint is to be switched off, if it is. Raises StoreUnavailable."""
        try:
            return await self._tell()
        except LeaseLost as problem:
            # Somebody else sends to it now, and finds out for himself.
            log.warning("endpoint.health_of_another", endpoint=self.health.endpoint, reason=str(problem))
            return None

    async def _tell(self) -> str | None:
        mended = self._mended
        if mended is not None:
            if mended.stage:
                await self._announce(_recovered(mended, self._clock.now_us()))
            if self._mended is mended:
                self._mended = None
        await self._save_if_new()
        now_us = self._clock.now_us()
        seen = self.health
        stage = stage_now(seen, now_us, self._limit_us)
        if stage > seen.stage:
            told = seen._replace(stage=stage, told_at=now_us)
            await self._announce(_failing(told, words(told, self._limit_us)))
            if self.health.failing_since == seen.failing_since:  # it may have got well meanwhile
                self.health = self.health._replace(stage=stage, told_at=now_us)
            elif self._mended is not None and self._mended.failing_since == seen.failing_since:
                self._mended = told
            await self._save_if_new()
        elif is_over(seen, now_us, self._limit_us):
            return words(seen, 0)
        self.unwell = bool(self.health.failing_since) or self._mended is not None
        return None

    async def _save_if_new(self) -> None:
        now_us = self._clock.now_us()
        health, stored = self.health, self._stored
        if health == stored:
            return
        counted = health._replace(
            failures=stored.failures, failed_at=stored.failed_at, last_error=stored.last_error
        )
        if counted == stored and now_us - self._saved_at < _SAVED_EVERY_US:
            return  # only the count is new: not worth a write each time
        await self._healths.save(health)
        self._stored, self._saved_at = health, now_us


def _failing(health: Health, reason: str) -> EndpointFailing:
    key = f"endpoint.failing:{health.endpoint}:{health.failing_since}:{health.stage}"
    return EndpointFailing(health.endpoint, reason, key, health.failing_since)


def _recovered(health: Health, now_us: int) -> EndpointRecovered:
    key = f"endpoint.recovered:{health.endpoint}:{health.failing_since}"
    reason = f"it accepts events again at {iso(now_us)}, after {health.failures} attempts that failed"
    return EndpointRecovered(health.endpoint, reason, key, health.failing_since)
