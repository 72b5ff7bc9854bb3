"""What was left for the owners of partitions: rows of `arrival`, written with what they belong to, taken once and in order."""

from collections.abc import Collection, Sequence
from typing import NamedTuple

from hub.bus.arrival import decode, encode_fact, encode_input
from hub.bus.log import NewInput
from hub.errors import RecordMalformed, StoreRefused
from hub.events.facts import Fact
from hub.store.postgres.database import Connection


class Left(NamedTuple):
    rank: int
    partition: int
    body: bytes


class Taken(NamedTuple):
    """What could be read, in order, and of what could not: its row and the reason."""

    good: list[Fact | NewInput]
    bad: list[tuple[int, str]]


async def send(connection: Connection, facts: Sequence[Fact] = (), inputs: Sequence[NewInput] = ()) -> None:
    """Leave facts and inputs for their partitions' owners, as part of the transaction they belong to."""
    if not facts and not inputs:
        return
    try:
        bodies = [encode_fact(fact) for fact in facts] + [encode_input(item) for item in inputs]
    except RecordMalformed as error:
        raise StoreRefused(f"cannot be left for another process: {error}") from error
    await connection.execute(
        "INSERT INTO arrival (partition, body) SELECT * FROM unnest($1::smallint[], $2::bytea[])",
        [fact.partition for fact in facts] + [item.partition for item in inputs],
        bodies,
    )


async def partitions_waiting(connection: Connection, partitions: Sequence[int]) -> list[int]:
    """Return those of the partitions that something was left for."""
    rows = await connection.fetch(
        "SELECT p FROM unnest($1::smallint[]) AS p WHERE EXISTS "
        "(SELECT FROM arrival WHERE partition = p AND refused IS NULL)",
        partitions,
    )
    return [row["p"] for row in rows]


async def remove(connection: Connection, partitions: Collection[int], limit: int) -> list[Left]:
    """Take the next rows out, in order of rank."""
    rows = await connection.fetch(
        # Each partition's next, by its own index, and of these the first: however many wait, it looks at few.
        "WITH next AS (SELECT a.rank FROM unnest($1::smallint[]) AS p CROSS JOIN LATERAL "
        "(SELECT rank FROM arrival WHERE partition = p AND refused IS NULL ORDER BY rank LIMIT $2) AS a "
        "ORDER BY a.rank LIMIT $2) "
        "DELETE FROM arrival USING next WHERE arrival.rank = next.rank "
        "RETURNING arrival.rank, partition, body",
        list(partitions),
        limit,
    )
    return sorted(Left(*row) for row in rows)


def understand(rows: Sequence[Left]) -> Taken:
    taken = Taken([], [])
    for row in rows:
        try:
            taken.good.append(decode(row.body, row.partition))
        except RecordMalformed as error:
            taken.bad.append((row.rank, str(error)))
    return taken


async def set_aside(connection: Connection, rows: Sequence[Left], reasons: Sequence[str]) -> None:
    """Put rows back that can never be taken, with the reason, where they stop nobody behind them."""
    await connection.execute(
        "INSERT INTO arrival SELECT * FROM unnest($1::bigint[], $2::smallint[], $3::bytea[], $4::text[])",
        [row.rank for row in rows],
        [row.partition for row in rows],
        [row.body for row in rows],
        [reason.replace("\0", "?") for reason in reasons],
    )
