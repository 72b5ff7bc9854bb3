"""A hub's log and state on PostgreSQL, read by another process while the hub runs."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import final

from typing_extensions import override

from hub.bus.log import Input
from hub.bus.pages import Page
from hub.engine.keys import partition_of
from hub.engine.record import BATCH, Record, Span
from hub.engine.values import Kind
from hub.ids import PARTITIONS
from hub.intents.intent import Intent, State
from hub.store.postgres.append import ROW
from hub.store.postgres.browse import PostgresBrowser
from hub.store.postgres.database import Database

_KINDS = [Kind.ACCOUNT.value, Kind.CLIENT.value]
_EACH = BATCH // 16  # rows of one partition in one read
# Each partition's next rows in the order of n, which is that of its decisions.
_NEXT = f"""
SELECT found.* FROM unnest($1::smallint[], $2::bigint[]) AS place (p, n) CROSS JOIN LATERAL
  (SELECT {ROW} FROM input WHERE partition = place.p AND input.n > place.n AND at >= $3 AND at < $4 ORDER BY input.n LIMIT $5) AS found
ORDER BY at, partition, n
"""


@final
class PostgresRecord(Record):
    def __init__(self, database: Database) -> None:
        self._database = database
        self._browser = PostgresBrowser(database)

    @override
    async def span(self) -> Span | None:
        first = await self._database.fetch("SELECT at FROM input ORDER BY rank LIMIT 1")
        last = await self._database.fetch("SELECT max(at) FROM head")
        return Span(int(first[0][0]), int(last[0][0])) if first else None

    @override
    async def batches(self, since: int, until: int) -> AsyncIterator[Sequence[Input]]:
        places = [0] * PARTITIONS
        open_ones = list(range(PARTITIONS))
        waiting: list[Input] = []
        while open_ones:
            rows = [
                Input(*row)
                for row in await self._database.fetch(
                    _NEXT, open_ones, [places[partition] for partition in open_ones], since, until, _EACH
                )
            ]
            counts = dict.fromkeys(open_ones, 0)
            latest: dict[int, int] = {}
            for row in rows:
                counts[row.partition] += 1
                places[row.partition], latest[row.partition] = row.n, row.at
            open_ones = [partition for partition, count in counts.items() if count == _EACH]
            waiting = sorted([*waiting, *rows], key=_order)
            # What a partition has next may come before what another has now: only what is older than both is in order.
            safe = min((latest[partition] for partition in open_ones), default=until)
            yield [row for row in waiting if row.at < safe]
            waiting = [row for row in waiting if row.at >= safe]
        yield waiting

    @override
    async def known(self, keys: Sequence[str]) -> Mapping[str, Sequence[tuple[int, bytes]]]:
        rows = await self._database.fetch(
            "SELECT state.key, kind, value FROM unnest($1::smallint[], $2::text[]) AS wanted (p, key) JOIN state "
            "ON state.partition = wanted.p AND state.key = wanted.key WHERE kind = ANY($3::smallint[]) AND name = ''",
            [partition_of(key) for key in keys], list(keys), _KINDS,
        )  # fmt: skip
        found: dict[str, list[tuple[int, bytes]]] = {}
        for key, kind, value in rows:
            found.setdefault(key, []).append((kind, value))
        return found

    @override
    async def active(self) -> str | None:
        return await self._one("SELECT value FROM meta WHERE name = $1", "active")

    @override
    async def version(self, version: str) -> str | None:
        return await self._one("SELECT body FROM workflow_version WHERE hash = $1", version)

    @override
    async def actions(
        self, *, after: str, limit: int, state: State | None = None, account: str = "", workflow: str = ""
    ) -> Page[Intent]:
        return await self._browser.actions(
            after=after, limit=limit, state=state, account=account, workflow=workflow
        )

    async def _one(self, query: str, value: str) -> str | None:
        rows = await self._database.fetch(query, value)
        return str(rows[0][0]) if rows else None


def _order(row: Input) -> tuple[int, int, int]:
    return row.at, row.partition, row.n
