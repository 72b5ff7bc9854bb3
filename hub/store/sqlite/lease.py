"""Leases on SQLite."""

from collections.abc import Sequence
from datetime import timedelta
from typing import final

import apsw
from typing_extensions import override

from hub.bus.lease import Lease, Leases
from hub.clock import MICROSECOND, Clock
from hub.errors import LeaseLost
from hub.store.sqlite.writer import Writer


@final
class SqliteLeases(Leases):
    def __init__(self, writer: Writer, clock: Clock) -> None:
        self._writer = writer
        self._clock = clock

    @override
    async def take(self, name: str, owner: str, duration: timedelta) -> Lease | None:
        now = self._clock.now_us()
        until = now + duration // MICROSECOND

        def work(connection: apsw.Connection) -> Lease | None:
            row = connection.execute(
                "SELECT owner, epoch, until FROM lease WHERE name = ?", (name,)
            ).fetchone()
            held_by, epoch, held_until = row or ("", 0, 0)
            if held_by != owner:
                if held_until > now:
                    return None
                epoch += 1
            connection.execute(
                "INSERT OR REPLACE INTO lease VALUES (?, ?, ?, ?)", (name, owner, epoch, until)
            )
            return Lease(name, owner, epoch, until)

        return await self._writer.submit(work)

    async def seize(self, name: str, owner: str, duration: timedelta) -> Lease:
        """Take over at once, raising the epoch.

        Only for the holder of the data folder's lock: it proves that nobody else is left alive who could have it.
        """
        until = self._clock.now_us() + duration // MICROSECOND

        def work(connection: apsw.Connection) -> Lease:
            row = connection.execute("SELECT epoch FROM lease WHERE name = ?", (name,)).fetchone()
            epoch = int(row[0]) + 1 if row else 1
            connection.execute(
                "INSERT OR REPLACE INTO lease VALUES (?, ?, ?, ?)", (name, owner, epoch, until)
            )
            return Lease(name, owner, epoch, until)

        return await self._writer.submit(work)

    @override
    async def renew(self, leases: Sequence[Lease], duration: timedelta) -> list[Lease]:
        until = self._clock.now_us() + duration // MICROSECOND

        def work(connection: apsw.Connection) -> list[Lease]:
            renewed: list[Lease] = []
            for lease in leases:
                connection.execute(
                    "UPDATE lease SET until = ? WHERE name = ? AND owner = ? AND epoch = ? AND until > 0",
                    (until, lease.name, lease.owner, lease.epoch),
                )
                if connection.changes():
                    renewed.append(lease._replace(until=until))
            return renewed

        return await self._writer.submit(work)

    @override
    async def release(self, lease: Lease) -> None:
        def work(connection: apsw.Connection) -> None:
            connection.execute(
                "UPDATE lease SET until = 0 WHERE name = ? AND owner = ? AND epoch = ?",
                (lease.name, lease.owner, lease.epoch),
            )

        await self._writer.submit(work)

    @override
    async def held(self, prefix: str) -> list[Lease]:
        now = self._clock.now_us()

        def work(connection: apsw.Connection) -> list[Lease]:
            rows = connection.execute(
                "SELECT name, owner, epoch, until FROM lease "
                "WHERE substr(name, 1, length(?1)) = ?1 AND until > ?2 ORDER BY name",
                (prefix, now),
            )
            return [Lease(*row) for row in rows]

        return await self._writer.submit(work)


def check_lease(connection: apsw.Connection, lease: Lease) -> None:
    """Raise LeaseLost unless the lease is still this owner's, at this epoch; part of every transaction of an owner."""
    row = connection.execute("SELECT owner, epoch FROM lease WHERE name = ?", (lease.name,)).fetchone()
    if row != (lease.owner, lease.epoch):
        raise LeaseLost(
            f"{lease.name} belongs to {row[0] if row else 'nobody'} now: this process stops writing"
        )
