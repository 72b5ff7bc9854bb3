"""The embedded shape's one lease: who holds it is the only process that writes to the store."""

import asyncio
import os
from collections.abc import Collection, Sequence
from datetime import timedelta

import structlog

from hub.bus.lease import Lease
from hub.clock import Clock
from hub.errors import HubError, LeaseLost
from hub.stages import run_until
from hub.store.sqlite.store import SqliteStore

log = structlog.get_logger(__name__)

LEASE = "hub"
LEASE_FOR = timedelta(seconds=15)


class HeldLease:
    """It owns every partition, endpoint, server and connector."""

    def __init__(self, store: SqliteStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._owner = f"{os.getpid()}-{os.urandom(4).hex()}"
        self._held: Lease | None = None

    async def take(self) -> None:
        self._held = await self._store.leases.seize(LEASE, self._owner, LEASE_FOR)

    def fence(self, _partitions: Collection[int]) -> Sequence[Lease]:
        if self._held is None:
            raise LeaseLost("this process does not own the store")
        return [self._held]

    def problem(self) -> str | None:
        if self._held is None or self._held.until < self._clock.now_us():
            return "the lease on the store ran out"
        return None

    async def run(self, stopping: asyncio.Event) -> None:
        await run_until(stopping, self._keep)

    async def _keep(self) -> None:
        while True:
            await self._clock.sleep(LEASE_FOR / 3)
            try:
                lease = await self._store.leases.take(LEASE, self._owner, LEASE_FOR)
            except (
                HubError
            ) as error:  # a full disk must not end the process: reads, and what is in memory, go on
                log.warning("lease.not_prolonged", reason=str(error))
                continue
            if lease is None:
                raise LeaseLost("another process took the store over: this one stops")
            self._held = lease
