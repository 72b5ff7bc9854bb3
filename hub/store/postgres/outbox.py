"""Deliveries and their attempts on PostgreSQL: partitions are fanned out by their owners, endpoints settled by theirs."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, final

import asyncpg
from typing_extensions import override

from hub import ids
from hub.bus.lease import Lease
from hub.bus.log import Input
from hub.dispatch.outbox import Attempt, Deliveries, Delivery, DeliveryState, PutOff, Settled
from hub.events.facts import EVENT_PREFIX
from hub.ids import PARTITIONS
from hub.store.postgres.append import FACTS, ROW, by_kind, columns
from hub.store.postgres.database import Connection, Database
from hub.store.postgres.notices import WAITING as WAITING_CHANNEL
from hub.store.postgres.notices import notify, waiting_payload
from hub.store.rows import by_place, places_of

CONSUMER = "webhooks"
WAITING = "endpoint, due, partition, n, event_id, attempts, created_at"
_WAITING_TYPES = (
    "$1::text[], $2::bigint[], $3::smallint[], $4::bigint[], $5::text[], $6::integer[], $7::bigint[]"
)
_ATTEMPT = "endpoint, partition, n, number, event_id, state, at, outcome, status, error, latency_us, response, due, created_at, record"
_ATTEMPT_TYPES = (
    "$1::text[], $2::smallint[], $3::bigint[], $4::integer[], $5::text[], $6::text[], $7::bigint[], $8::text[], "
    "$9::integer[], $10::text[], $11::bigint[], $12::text[], $13::bigint[], $14::bigint[], $15::bytea[]"
)

_INPUT = ", ".join(f"input.{column}" for column in ROW.split(", "))
_BODIES = f"SELECT {_INPUT} FROM ({FACTS}) AS place JOIN input USING (partition, n, at)"
_AT = f"SELECT {ROW} FROM input JOIN unnest($1::smallint[], $2::bigint[]) AS place (partition, n) USING (partition, n)"

PartitionFence = Callable[[Collection[int]], Sequence[Lease]]
EndpointFence = Callable[[Collection[str]], Sequence[Lease]]
_Place = tuple[str, int, int]  # endpoint, partition, n


@final
class PostgresDeliveries(Deliveries):
    """Every write may be made again after StoreUnavailable: what is there already is recognised and changes nothing.

    Of what waits for an endpoint its owner is told, unless he `hears` of it from whoever writes it.
    """

    def __init__(
        self,
        database: Database,
        partition_fence: PartitionFence,
        endpoint_fence: EndpointFence,
        *,
        hears: Callable[[str], bool] | None = None,
    ) -> None:
        self._database = database
        self._hears = hears
        self._partition_fence = partition_fence
        self._endpoint_fence = endpoint_fence

    @override
    async def fan_out(
        self, positions: Mapping[int, int], deliveries: Sequence[Delivery], attempted: Sequence[Settled] = ()
    ) -> None:
        waiting = [*deliveries, *(s.delivery for s in attempted if s.delivery.state is DeliveryState.WAITING)]
        partitions = {*positions, *(delivery.partition for delivery in waiting)}

        async def work(connection: Connection) -> None:
            # What is not after the stored position was written before, and may even be delivered and gone since.
            reached = await read_positions(connection, positions) if waiting else {}
            new = [d for d in waiting if d.n > reached.get(d.partition, 0) or d.partition not in positions]
            await insert_waiting(connection, new)
            await _insert_attempts(connection, attempted)
            await _write_positions(connection, positions)

        await self._database.transact(work, self._partition_fence(partitions))
        # Asked after the commit: whoever owns an endpoint from now on begins by reading what waits for it.
        hears = self._hears
        untold = [delivery for delivery in waiting if hears is None or not hears(delivery.endpoint)]
        if untold:
            # Whoever is told to write again after a lost answer tells again, too.
            await notify(self._database, WAITING_CHANNEL, [waiting_payload(untold)])

    @override
    async def fanned_out(self) -> list[int]:
        found = await self._database.read(lambda connection: read_positions(connection, range(PARTITIONS)))
        return [found.get(partition, 0) for partition in range(PARTITIONS)]

    @override
    async def waiting(self, endpoint: str, *, after: tuple[int, int, int], limit: int) -> list[Delivery]:
        rows = await self._database.fetch(
            f"SELECT {WAITING} FROM waiting WHERE endpoint = $1 "
            "AND (due, partition, n) > ($2::bigint, $3::smallint, $4::bigint) ORDER BY due, partition, n LIMIT $5",
            endpoint,
            *after,
            limit,
        )
        return [waiting_of(row) for row in rows]

    @override
    async def settle(self, results: Sequence[Settled]) -> None:
        async def work(connection: Connection) -> None:
            # What no longer waits was cancelled meanwhile: a late retry must not bring it back.
            left = await _remove_waiting(connection, results)
            again = [r.delivery for r in results if r.delivery.state is DeliveryState.WAITING]
            await insert_waiting(connection, [d for d in again if (d.endpoint, d.partition, d.n) in left])
            await _insert_attempts(connection, results)

        if results:
            endpoints = {result.delivery.endpoint for result in results}
            await self._database.transact(work, self._endpoint_fence(endpoints))

    @override
    async def put_off(self, moves: Sequence[PutOff]) -> None:
        async def work(connection: Connection) -> None:
            rows = [(d.endpoint, d.due, d.partition, d.n, due) for d, due in moves]
            await connection.execute(
                "UPDATE waiting SET due = put_off.until FROM "
                "unnest($1::text[], $2::bigint[], $3::smallint[], $4::bigint[], $5::bigint[]) "
                "AS put_off (endpoint, due, partition, n, until) WHERE (waiting.endpoint, waiting.due, waiting.partition, "
                "waiting.n) = (put_off.endpoint, put_off.due, put_off.partition, put_off.n)",
                *zip(*rows, strict=True),
            )

        if moves:
            await self._database.transact(
                work, self._endpoint_fence({move.delivery.endpoint for move in moves})
            )

    @override
    async def bodies(self, deliveries: Sequence[Delivery]) -> Mapping[tuple[int, int], Input]:
        named = {ids.from_id(EVENT_PREFIX, delivery.event_id) for delivery in deliveries}
        keys = [key for key in named if key is not None]
        rows = await self._database.fetch(_BODIES, *by_kind(keys)) if keys else []
        found = by_place(Input(*row) for row in rows)
        # Some keys are forgotten long before their events: those are looked for where they stand.
        left = sorted(places_of(deliveries) - found.keys())
        rows = await self._database.fetch(_AT, *columns(left, 2)) if left else []
        return found | by_place(Input(*row) for row in rows)

    @override
    async def attempts(self, endpoint: str, partition: int, n: int) -> list[Attempt]:
        return await self._database.read(lambda connection: attempts_of(connection, endpoint, partition, n))


async def attempts_of(connection: Connection, endpoint: str, partition: int, n: int) -> list[Attempt]:
    rows = await connection.fetch(
        "SELECT endpoint, partition, n, number, at, outcome, status, error, latency_us, response, record, "
        "CASE state WHEN 'waiting' THEN due END FROM attempt "
        "WHERE n = $1 AND partition = $2 AND endpoint = $3 ORDER BY rank",
        n,
        partition,
        endpoint,
    )
    return [Attempt(*row) for row in rows]


def waiting_of(row: asyncpg.Record) -> Delivery:
    endpoint, due, partition, n, event_id, attempts, created_at = row
    return Delivery(endpoint, partition, n, event_id, DeliveryState.WAITING, attempts, due, created_at)


async def read_positions(connection: Connection, partitions: Collection[int]) -> dict[int, int]:
    if not partitions:
        return {}
    rows = await connection.fetch(
        "SELECT partition, n FROM position WHERE consumer = $1 AND partition = ANY($2::smallint[])",
        CONSUMER,
        list(partitions),
    )
    return {row["partition"]: row["n"] for row in rows}


async def _write_positions(connection: Connection, positions: Mapping[int, int]) -> None:
    if not positions:
        return
    await connection.execute(
        "INSERT INTO position (consumer, partition, n) "
        "SELECT $1, * FROM unnest($2::smallint[], $3::bigint[]) ORDER BY 2 "
        "ON CONFLICT (consumer, partition) DO UPDATE SET n = greatest(position.n, excluded.n)",
        CONSUMER,
        list(positions),
        list(positions.values()),
    )


async def insert_waiting(connection: Connection, deliveries: Sequence[Delivery]) -> None:
    if not deliveries:
        return
    rows = [(d.endpoint, d.due, d.partition, d.n, d.event_id, d.attempts, d.created_at) for d in deliveries]
    await connection.execute(
        f"INSERT INTO waiting ({WAITING}) SELECT * FROM unnest({_WAITING_TYPES}) ON CONFLICT DO NOTHING",
        *zip(*rows, strict=True),
    )


async def _insert_attempts(connection: Connection, results: Sequence[Settled]) -> None:
    if not results:
        return
    await connection.execute(
        f"INSERT INTO attempt ({_ATTEMPT}) SELECT * FROM unnest({_ATTEMPT_TYPES}) "
        "ON CONFLICT (n, partition, endpoint, number, at) DO NOTHING",
        *zip(*map(_attempt_row, results), strict=True),
    )


def _attempt_row(result: Settled) -> tuple[Any, ...]:
    a, d = result.attempt, result.delivery
    tried = (
        a.endpoint,
        a.partition,
        a.n,
        a.number,
        d.event_id,
        d.state.value,
        a.at,
        a.outcome,
        a.status,
        a.error,
    )
    return (*tried, a.latency_us, a.response, d.due, d.created_at, a.record)


async def _remove_waiting(connection: Connection, results: Sequence[Settled]) -> set[_Place]:
    keys = [(r.delivery.endpoint, r.due, r.delivery.partition, r.delivery.n) for r in results]
    removed = await connection.fetch(
        "DELETE FROM waiting USING unnest($1::text[], $2::bigint[], $3::smallint[], $4::bigint[]) "
        "AS over (endpoint, due, partition, n) WHERE (waiting.endpoint, waiting.due, waiting.partition, waiting.n) "
        "= (over.endpoint, over.due, over.partition, over.n) "
        "RETURNING waiting.endpoint, waiting.partition, waiting.n",
        *zip(*keys, strict=True),
    )
    return {(endpoint, partition, n) for endpoint, partition, n in removed}
