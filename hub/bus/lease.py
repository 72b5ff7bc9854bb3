"""Who owns what: a lease with an epoch that only grows, so that a late owner can be told from the present one."""

from datetime import timedelta
from typing import NamedTuple, Protocol


class Lease(NamedTuple):
    """`until` in µs; a write by an older epoch is refused."""

    name: str
    owner: str
    epoch: int
    until: int


class Leases(Protocol):
    async def take(self, name: str, owner: str, duration: timedelta) -> Lease | None:
        """Return the lease, taken or prolonged; None while somebody else holds it. A change of owner raises the epoch."""

    async def release(self, lease: Lease) -> None:
        """Let go at once; releasing twice, or after it was lost, does nothing."""
