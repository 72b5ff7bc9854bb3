"""Pages for people and programs that look around: bounded reads, resumed by cursor."""

from collections.abc import Sequence
from typing import Any, final

import asyncpg

from hub import ids
from hub.bus.log import Input
from hub.bus.pages import Page
from hub.dispatch.outbox import Attempt, Delivery, DeliveryState
from hub.engine.rows import RunRow
from hub.events.facts import EVENT_PREFIX
from hub.ids import PARTITIONS
from hub.intents.intent import Intent, State
from hub.store.cursors import WRITTEN_WITHIN_US, bad_cursor, number, table_and_place
from hub.store.postgres.append import where_stored
from hub.store.postgres.browse_events import (
    MOST_SCANNED,
    Wanted,
    newest_first,
    oldest_first,
)
from hub.store.postgres.database import Connection, Database
from hub.store.postgres.intents import INTENT, intent_at, intent_of
from hub.store.postgres.outbox import WAITING, attempts_of, waiting_of

_LAST = 2**62
_DELIVERY = "endpoint, partition, n, event_id, state, number, due, created_at"
_RUN = ", ".join(RunRow._fields)


@final
class PostgresBrowser:
    """The API's readers: events, deliveries, intents and runs."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def events(
        self,
        *,
        after: str,
        limit: int,
        types: Sequence[str] = (),
        account: str = "",
        newest_first: bool = False,
    ) -> Page[Input]:
        wanted = Wanted(types, account, limit)
        read = _newest_events if newest_first else oldest_first
        return await self._database.read(lambda connection: read(connection, wanted, after))

    async def deliveries(
        self,
        *,
        after: str,
        limit: int,
        endpoint: str = "",
        state: str = "",
        event_id: str = "",
        since: int = 0,
    ) -> Page[Delivery]:
        table, place = table_and_place(after)

        async def work(connection: Connection) -> Page[Delivery]:
            if event_id:
                found = await _deliveries_of_event(connection, event_id, endpoint)
                return Page(
                    [each for each in found if state in {"", each.state} and each.created_at >= since][
                        :limit
                    ],
                    None,
                )
            # What still waits comes first, then what is over, the newest first: two tables, so two kinds of cursor.
            if table == "w" and state in {"", DeliveryState.WAITING}:
                waiting = await _waiting_page(connection, place, limit, endpoint, since)
                if waiting.next or state:
                    return waiting
                if waiting.items:
                    return Page(waiting.items, "a:")
            return await _finished_page(
                connection, place if table == "a" else "", limit, endpoint, state, since
            )

        return await self._database.read(work)

    async def delivery(self, endpoint: str, partition: int, n: int) -> Delivery | None:
        if partition >= PARTITIONS:  # it may be more than the column takes
            return None
        found = await self._database.read(
            lambda connection: _deliveries_at(connection, partition, n, endpoint)
        )
        return found[0] if found else None

    async def attempts(self, endpoint: str, partition: int, n: int) -> list[Attempt]:
        return await self._database.read(lambda connection: attempts_of(connection, endpoint, partition, n))

    async def actions(
        self, *, after: str, limit: int, state: State | None = None, account: str = "", workflow: str = ""
    ) -> Page[Intent]:
        indexed = {"account": account}
        others = {"workflow": workflow, "state": state.value if state else ""}
        rows, following = await self._database.read(
            lambda connection: _newest(
                connection, f"{INTENT} FROM intent", "key", indexed, others, after, limit
            )
        )
        return Page([intent_of(row) for row in rows], following)

    async def get(self, key: str) -> Intent | None:
        return await self._database.read(lambda connection: intent_at(connection, key))

    async def runs(
        self, *, after: str, limit: int, workflow: str = "", key: str = "", state: str = ""
    ) -> Page[RunRow]:
        indexed = {"workflow": workflow, "key": key} if workflow and key else {}
        others = {"workflow": workflow, "key": key, "state": state}
        rows, following = await self._database.read(
            lambda connection: _newest(connection, f"{_RUN} FROM run", "id", indexed, others, after, limit)
        )
        return Page([RunRow(*row) for row in rows], following)

    async def sequence(self, account: str) -> int:
        last = await self._database.read(
            lambda connection: connection.fetchval("SELECT last FROM sequence WHERE account = $1", account)
        )
        return int(last or 0)


async def _newest_events(connection: Connection, wanted: Wanted, after: str) -> Page[Input]:
    return await newest_first(connection, wanted, after)


async def _newest(
    connection: Connection,
    what: str,
    key: str,
    indexed: dict[str, str],
    others: dict[str, str],
    after: str,
    limit: int,
) -> tuple[list[asyncpg.Record], str | None]:
    """Return the newest rows that are wanted among the next so many that `indexed` leaves."""
    at, _, last = after.partition(":")
    values: list[Any] = [number(at, _LAST), last]
    scanned = (
        f"SELECT {what} WHERE (at, {key}) < ($1::bigint, $2::text) {_conditions(indexed, values)} "
        f"ORDER BY at DESC, {key} DESC"
    )
    scope = list(values)
    rows = await connection.fetch(
        f"SELECT * FROM ({scanned} LIMIT {MOST_SCANNED}) AS scanned WHERE true {_conditions(others, values)} "
        f"ORDER BY at DESC, {key} DESC LIMIT ${len(values) + 1}",
        *values,
        limit,
    )
    end = rows[-1] if len(rows) == limit else None
    if end is None and any(others.values()):
        end = await connection.fetchrow(f"{scanned} OFFSET {MOST_SCANNED - 1} LIMIT 1", *scope)
    return rows, f"{end['at']}:{end[key]}" if end else None


def _conditions(where: dict[str, str], values: list[Any]) -> str:
    """Return the conditions that are asked for, and add their values."""
    found = ""
    for column, value in where.items():
        if value:
            values.append(value)
            found += f" AND {column} = ${len(values)}"
    return found


async def _waiting_page(
    connection: Connection, place: str, limit: int, endpoint: str, since: int
) -> Page[Delivery]:
    parts = place.split(",") if place else ["", "0", "0", "0"]
    if len(parts) != 4:
        raise bad_cursor()
    key = (parts[0], *(number(part, 0) for part in parts[1:]))
    values: list[Any] = [*key, since]
    only = _conditions({"endpoint": endpoint}, values)
    rows = await connection.fetch(
        f"SELECT {WAITING} FROM waiting WHERE (endpoint, due, partition, n) > ($1::text, $2::bigint, $3::bigint, $4::bigint)"
        f" AND created_at >= $5{only} ORDER BY endpoint, due, partition, n LIMIT ${len(values) + 1}",
        *values,
        limit,
    )
    found = [waiting_of(row) for row in rows]
    last = found[-1] if len(found) == limit else None
    return Page(found, f"w:{last.endpoint},{last.due},{last.partition},{last.n}" if last else None)


async def _finished_page(
    connection: Connection, place: str, limit: int, endpoint: str, state: str, since: int
) -> Page[Delivery]:
    start = number(place, _LAST)
    values: list[Any] = [start, since]
    only = _conditions({"endpoint": endpoint, "state": state}, values)
    rows = await connection.fetch(
        f"SELECT {_DELIVERY}, rank FROM (SELECT {_DELIVERY}, rank FROM attempt WHERE rank < $1 "
        f"ORDER BY rank DESC LIMIT {MOST_SCANNED}) AS scanned "
        # One that waits again was shown with those that wait.
        f"WHERE state <> 'waiting' AND created_at >= $2{only} ORDER BY rank DESC LIMIT ${len(values) + 1}",
        *values,
        limit,
    )
    end = rows[-1]["rank"] if len(rows) == limit else None
    if end is None:
        end = await connection.fetchval(
            f"SELECT rank FROM (SELECT rank, at FROM attempt WHERE rank < $1 ORDER BY rank DESC "
            f"OFFSET {MOST_SCANNED - 1} LIMIT 1) AS last WHERE at >= $2",
            start,
            since - WRITTEN_WITHIN_US,
        )
    return Page([_finished(row) for row in rows], f"a:{end}" if end else None)


def _finished(row: asyncpg.Record) -> Delivery:
    return Delivery(row[0], row[1], row[2], row[3], DeliveryState(row[4]), row[5], row[6], row[7])


async def _deliveries_of_event(connection: Connection, event_id: str, endpoint: str) -> list[Delivery]:
    key = ids.from_id(EVENT_PREFIX, event_id)
    place = (await where_stored(connection, [key])).get(key) if key else None
    if place is None:
        return []
    return await _deliveries_at(connection, place.partition, place.n, endpoint)


async def _deliveries_at(connection: Connection, partition: int, n: int, endpoint: str) -> list[Delivery]:
    """Return one row's deliveries as they stand, by endpoint; "" is every endpoint."""
    values: list[Any] = [n, partition]
    only = _conditions({"endpoint": endpoint}, values)
    over = await connection.fetch(
        f"SELECT DISTINCT ON (endpoint) {_DELIVERY} FROM attempt WHERE n = $1 AND partition = $2{only} "
        "ORDER BY endpoint, rank DESC",
        *values,
    )
    waiting = await connection.fetch(
        f"SELECT {WAITING} FROM waiting WHERE n = $1 AND partition = $2{only} ORDER BY endpoint", *values
    )
    stands = {row["endpoint"]: _finished(row) for row in over}
    stands |= {row["endpoint"]: waiting_of(row) for row in waiting}
    return [stands[name] for name in sorted(stands)]
