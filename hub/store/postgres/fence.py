"""The fence: a transaction proves that its leases are still its owner's, and a take-over waits for those that do.

A transaction shares a lock on each lease's name until it ends and reads the epochs once it has them; whoever takes a
lease over has the lock alone before raising the epoch. So an owner in the middle of a transaction finishes first, and
one that comes late reads the new epoch.
"""

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from hub.bus.lease import Lease
from hub.errors import LeaseLost
from hub.store.postgres.session import end_stuck

if TYPE_CHECKING:
    from hub.store.postgres.database import Connection


async def prove(connection: "Connection", leases: Sequence[Lease]) -> None:
    """Raise LeaseLost unless every lease is its owner's at its epoch, and hold them so until the transaction ends."""
    if not leases:
        return
    names = sorted(
        {lease.name for lease in leases}
    )  # in one order everywhere, so that nobody waits in a circle
    rows = await connection.fetch("SELECT name, owner, epoch FROM fenced($1::text[])", names)
    present = {row["name"]: (row["owner"], row["epoch"]) for row in rows}
    for lease in leases:
        owner, epoch = present.get(lease.name, ("nobody", 0))
        if (owner, epoch) != (lease.owner, lease.epoch):
            raise LeaseLost(f"{lease.name} belongs to {owner} now: this process stops writing")


async def have_alone(connection: "Connection", names: Collection[str]) -> None:
    """Wait until nobody is in a transaction under these leases, and keep others out until this one ends."""
    await end_stuck(connection)  # who is in the middle finishes first, but only if it goes on
    await connection.execute(
        "SELECT pg_advisory_xact_lock(hashtextextended(name, 0)) FROM unnest($1::text[]) AS name",
        sorted(names),
    )
