"""How far partitions have come, asked when nothing is on its way into them any more."""

from collections.abc import Mapping, Sequence

from hub.bus.lease import Lease
from hub.bus.log import Input
from hub.store.postgres.append import ROW, columns
from hub.store.postgres.database import Connection
from hub.store.postgres.fence import have_alone


async def heads_at_rest(connection: Connection, held: Mapping[int, Sequence[Lease]]) -> dict[int, int]:
    """Return the last n of these partitions, after every transaction under their leases has ended.

    The server may still be committing for a connection that broke; what comes after must see what came of it.
    """
    await have_alone(connection, {lease.name for by in held.values() for lease in by})
    rows = await connection.fetch(
        "SELECT partition, n FROM head WHERE partition = ANY($1::smallint[])", list(held)
    )
    return {row["partition"]: row["n"] for row in rows}


async def rows_after(connection: Connection, places: Sequence[tuple[int, int]]) -> list[Input]:
    """Return the rows after (partition, n), in order of rank."""
    if not places:
        return []
    names = ", ".join(f"row.{name}" for name in ROW.split(", "))
    rows = await connection.fetch(
        f"SELECT {names} FROM unnest($1::smallint[], $2::bigint[]) AS place (p, n) "
        "JOIN input AS row ON row.partition = place.p AND row.n > place.n ORDER BY row.rank",
        *columns(places, 2),
    )
    return [Input(*row) for row in rows]
