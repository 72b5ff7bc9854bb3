"""Leases in PostgreSQL: a change of owner waits for whatever the old owner is in the middle of."""

from collections.abc import Sequence
from datetime import timedelta
from typing import final

from typing_extensions import override

from hub.bus.lease import Lease, Leases
from hub.clock import MICROSECOND, Clock
from hub.store.postgres.database import Connection, Database
from hub.store.postgres.fence import have_alone

# Without a clock of ours it is the server's: several machines disagree about the time, and the server is one.
_NOW = "coalesce($1::bigint, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint)"


@final
class PostgresLeases(Leases):
    """`until` is by the server's clock, unless a clock is given."""

    def __init__(self, database: Database, clock: Clock | None = None) -> None:
        self._database = database
        self._clock = clock

    @override
    async def take(self, name: str, owner: str, duration: timedelta) -> Lease | None:
        now, lasting = self._now(), duration // MICROSECOND

        async def work(connection: Connection) -> Lease | None:
            row = await connection.fetchrow(
                f"UPDATE lease SET until = {_NOW} + $2 WHERE name = $3 AND owner = $4 RETURNING epoch, until",
                now, lasting, name, owner,
            )  # fmt: skip
            if row is None:
                if await connection.fetchval(
                    f"SELECT true FROM lease WHERE name = $2 AND until > {_NOW}", now, name
                ):
                    return None
                await have_alone(connection, {name})
                row = await connection.fetchrow(
                    f"INSERT INTO lease AS held VALUES ($3, $4, 1, {_NOW} + $2) ON CONFLICT (name) DO UPDATE "
                    "SET owner = excluded.owner, epoch = held.epoch + 1, until = excluded.until "
                    f"WHERE held.until <= {_NOW} RETURNING epoch, until",
                    now, lasting, name, owner,
                )  # fmt: skip
            return Lease(name, owner, row["epoch"], row["until"]) if row else None

        return await self._database.transact(work)

    @override
    async def renew(self, leases: Sequence[Lease], duration: timedelta) -> list[Lease]:
        now, lasting = self._now(), duration // MICROSECOND
        ordered = sorted(leases)  # rows are locked in this order, so that no two owners wait in a circle

        async def work(connection: Connection) -> list[Lease]:
            rows = await connection.fetch(
                "WITH mine AS (SELECT lease.name FROM lease JOIN unnest($3::text[], $4::text[], $5::bigint[]) "
                "AS held (name, owner, epoch) USING (name, owner, epoch) WHERE until > 0 "
                "ORDER BY lease.name FOR UPDATE OF lease) "
                f"UPDATE lease SET until = {_NOW} + $2 FROM mine WHERE lease.name = mine.name "
                "RETURNING lease.name, owner, epoch, until",
                now,
                lasting,
                [lease.name for lease in ordered],
                [lease.owner for lease in ordered],
                [lease.epoch for lease in ordered],
            )
            return sorted(Lease(*row) for row in rows)

        return await self._database.transact(work)

    @override
    async def release(self, lease: Lease) -> None:
        async def work(connection: Connection) -> None:
            await connection.execute(
                "UPDATE lease SET until = 0 WHERE name = $1 AND owner = $2 AND epoch = $3", *lease[:3]
            )

        await self._database.transact(work)

    @override
    async def held(self, prefix: str) -> list[Lease]:
        now = self._now()

        async def work(connection: Connection) -> list[Lease]:
            rows = await connection.fetch(
                "SELECT name, owner, epoch, until FROM lease "
                f'WHERE starts_with(name, $2) AND until > {_NOW} ORDER BY name COLLATE "C"',
                now,
                prefix,
            )
            return [Lease(*row) for row in rows]

        return await self._database.read(work)

    def _now(self) -> int | None:
        return None if self._clock is None else self._clock.now_us()
