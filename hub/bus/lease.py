"""Who owns what: a lease with an epoch that only grows, so that a late owner can be told from the present one."""

from collections.abc import Collection, Sequence
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

    async def renew(self, leases: Sequence[Lease], duration: timedelta) -> list[Lease]:
        """Prolong those that are still this owner's at this epoch, and return them.

        One that ran out counts as long as nobody took it since; one that was released does not come back.
        """

    async def release(self, lease: Lease) -> None:
        """Let go at once; releasing twice, or after it was lost, does nothing."""

    async def held(self, prefix: str) -> list[Lease]:
        """Return the leases whose names begin with `prefix` and that are not over, in order of name."""


class Owned(Protocol):
    """The partitions of this process. It is asked in every transaction and before every send, not once at the start."""

    def fence(self, partitions: Collection[int]) -> Sequence[Lease]:
        """Return the leases that prove these are ours; raises LeaseLost when one of them is not."""

    def partitions(self) -> Sequence[int]:
        """Return the partitions to work on, in order; one that is being handed over is not among them any more."""
