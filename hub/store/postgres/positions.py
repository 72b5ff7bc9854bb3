"""How far a consumer has come in each partition: written in the transaction that took it there."""

from collections.abc import Mapping

from hub.ids import PARTITIONS
from hub.store.postgres.database import Connection


async def read_positions(connection: Connection, consumer: str) -> list[int]:
    positions = [0] * PARTITIONS
    for row in await connection.fetch("SELECT partition, n FROM position WHERE consumer = $1", consumer):
        positions[row["partition"]] = row["n"]
    return positions


async def write_positions(connection: Connection, positions: Mapping[str, Mapping[int, int]]) -> None:
    """Write the positions of each consumer."""
    rows = sorted((consumer, p, n) for consumer, places in positions.items() for p, n in places.items())
    if not rows:
        return
    await connection.execute(
        "INSERT INTO position SELECT * FROM unnest($1::text[], $2::smallint[], $3::bigint[]) "
        "ON CONFLICT (consumer, partition) DO UPDATE SET n = excluded.n",
        [row[0] for row in rows],
        [row[1] for row in rows],
        [row[2] for row in rows],
    )
