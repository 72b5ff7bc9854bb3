"""The log of several processes as feeds read it: each partition counts its own rows, so a place is a number for each.

Whoever reads owns nothing. A partition's rows are committed in the order of their numbers, whoever owns it, and its
head with them: heads say in one small read where there is anything new.
"""

from collections.abc import Collection, Sequence
from typing import final

from typing_extensions import override

from hub.bus.feed import FeedLog, Stretch, TooOld, bad_place
from hub.bus.log import Input, InputKind
from hub.ids import PARTITIONS, partition_of
from hub.store.postgres.append import ROW
from hub.store.postgres.database import Connection, Database

_LEAST = 4  # rows of each partition that has news, however many have
# The last row of a partition of which something holds; without one, the place before the first that is kept.
_LAST_WHERE = """
SELECT p, coalesce(
  (SELECT n FROM input WHERE partition = p AND {0} <= $2 ORDER BY n DESC LIMIT 1),
  (SELECT n - 1 FROM input WHERE partition = p ORDER BY n LIMIT 1),
  (SELECT n FROM head WHERE partition = p), 0) AS n
FROM unnest($1::smallint[]) AS p
"""
# What is not wanted is counted and not read: its body can be long.
_STRETCH = f"""
SELECT {", ".join(f"found.{name}" for name in ROW.split(", "))}, found.wanted
FROM unnest($1::smallint[], $2::bigint[]) AS place (p, n) CROSS JOIN LATERAL (
  SELECT {ROW.replace("body", "CASE WHEN kind = $4 AND ($5::text[] IS NULL OR key = ANY($5)) THEN body END AS body")},
    kind = $4 AND ($5::text[] IS NULL OR key = ANY($5)) AS wanted
  FROM input WHERE input.partition = place.p AND input.n > place.n ORDER BY input.n LIMIT $3
) AS found ORDER BY found.at, found.partition, found.n
"""


@final
class PostgresFeed(FeedLog):
    axes = PARTITIONS

    def __init__(self, database: Database) -> None:
        self._database = database

    @override
    def axis(self, row: Input) -> int:
        return row.partition

    @override
    def number(self, row: Input) -> int:
        return row.n

    @override
    def axes_of(self, accounts: Collection[str] | None) -> Sequence[int]:
        if accounts is None:
            return range(PARTITIONS)
        return sorted({_partition(account) for account in accounts})

    @override
    async def end(self) -> list[int]:
        return await self._database.read(_heads)

    @override
    async def at(self, moment: int) -> list[int]:
        return await self._last_where("at", moment - 1)

    @override
    async def translated(self, rank: int) -> list[int]:
        last = await self._database.fetch("SELECT rank FROM input ORDER BY rank DESC LIMIT 1")
        if rank > (last[0]["rank"] if last else 0):
            raise bad_place()
        return await self._last_where("rank", rank)

    @override
    async def after(
        self, place: Sequence[int], axes: Sequence[int], accounts: Collection[str] | None, limit: int
    ) -> Stretch:
        async def work(connection: Connection) -> Stretch:
            heads = await _heads(connection)
            behind = [axis for axis in axes if place[axis] < heads[axis]]
            reached = list(place)
            if not behind:
                return Stretch((), reached, done=True)
            each = max(limit // len(behind), _LEAST)
            rows = await connection.fetch(
                _STRETCH,
                behind,
                [place[axis] for axis in behind],
                each,
                int(InputKind.EVENT),
                None if accounts is None else list(accounts),
            )
            found: list[Input] = []
            for *row, wanted in rows:
                partition, n = row[0], row[1]
                if n != reached[partition] + 1:
                    raise TooOld
                reached[partition] = n
                if wanted:
                    found.append(Input(*row))
            if any(reached[axis] == place[axis] for axis in behind):  # there is a head and no row behind it
                raise TooOld
            return Stretch(found, reached, all(reached[axis] >= heads[axis] for axis in behind))

        return await self._database.read(work)

    async def _last_where(self, column: str, most: int) -> list[int]:
        async def work(connection: Connection) -> list[int]:
            place = [0] * PARTITIONS
            for partition, n in await connection.fetch(
                _LAST_WHERE.format(column), list(range(PARTITIONS)), most
            ):
                place[partition] = n
            return place

        return await self._database.read(work)


async def _heads(connection: Connection) -> list[int]:
    heads = [0] * PARTITIONS
    for partition, n in await connection.fetch("SELECT partition, n FROM head"):
        heads[partition] = n
    return heads


def _partition(account: str) -> int:
    server, _, login = account.rpartition(":")
    return partition_of(server, int(login))
