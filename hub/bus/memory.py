"""Leases in memory: for one process, for tests, and for trying things out."""

from collections.abc import Sequence
from datetime import timedelta
from typing import final

from typing_extensions import override

from hub.bus.lease import Lease, Leases
from hub.clock import MICROSECOND, Clock


@final
class MemoryLeases(Leases):
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._held: dict[str, Lease] = {}

    @override
    async def take(self, name: str, owner: str, duration: timedelta) -> Lease | None:
        now = self._clock.now_us()
        held = self._held.get(name, Lease(name, "", 0, 0))
        if held.owner != owner and held.until > now:
            return None
        epoch = held.epoch if held.owner == owner else held.epoch + 1
        lease = Lease(name, owner, epoch, now + duration // MICROSECOND)
        self._held[name] = lease
        return lease

    @override
    async def renew(self, leases: Sequence[Lease], duration: timedelta) -> list[Lease]:
        until = self._clock.now_us() + duration // MICROSECOND
        renewed = [
            lease._replace(until=until)
            for lease in leases
            if self.stands(lease) and self._held[lease.name].until > 0
        ]
        self._held.update((lease.name, lease) for lease in renewed)
        return renewed

    @override
    async def release(self, lease: Lease) -> None:
        held = self._held.get(lease.name)
        if held is not None and (held.owner, held.epoch) == (lease.owner, lease.epoch):
            self._held[lease.name] = held._replace(until=0)  # the epoch stays: it may only grow

    @override
    async def held(self, prefix: str) -> list[Lease]:
        now = self._clock.now_us()
        return sorted(
            lease for lease in self._held.values() if lease.name.startswith(prefix) and lease.until > now
        )

    def stands(self, lease: Lease) -> bool:
        """Return whether a write under this lease would still be the owner's."""
        held = self._held.get(lease.name)
        return held is not None and (held.owner, held.epoch) == (lease.owner, lease.epoch)
