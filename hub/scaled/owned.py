"""What the log and the engine's store may be asked for: the partitions of one shift, or none at all."""

from collections.abc import Collection, Sequence
from typing import final

from typing_extensions import override

from hub.bus.lease import Lease, Owned
from hub.bus.ownership import Ownership
from hub.errors import LeaseLost


@final
class Nothing(Owned):
    """What a process owns that only looks."""

    @override
    def fence(self, partitions: Collection[int]) -> Sequence[Lease]:
        raise LeaseLost("this process owns no partitions: it only looks")

    @override
    def partitions(self) -> Sequence[int]:
        return ()


@final
class ShiftPartitions(Owned):
    """The partitions of one shift: they do not change while it lasts, but their leases may end."""

    def __init__(self, ownership: Ownership, names: Collection[str]) -> None:
        self._ownership = ownership
        self._partitions = sorted(int(name) for name in names)

    @override
    def fence(self, partitions: Collection[int]) -> Sequence[Lease]:
        return self._ownership.fence([str(partition) for partition in partitions])

    @override
    def partitions(self) -> Sequence[int]:
        return self._partitions


def only_looking(_names: Collection[object]) -> Sequence[Lease]:
    """Stand for the fence of what a process never writes."""
    raise LeaseLost("this process does not own that: it only looks")
