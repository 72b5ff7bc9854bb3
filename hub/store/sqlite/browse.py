"""Pages for people and programs that look around: bounded reads, resumed by cursor, never on the writer's connection."""

from collections.abc import Sequence
from typing import Any, final

import apsw

from hub import ids
from hub.bus.log import Input, InputKind
from hub.bus.pages import Page
from hub.dispatch.outbox import Attempt, Delivery, DeliveryState
from hub.engine.rows import RunRow
from hub.events.facts import EVENT_PREFIX
from hub.intents.intent import Intent, State
from hub.store.cursors import WRITTEN_WITHIN_US, bad_cursor, is_wanted, number, table_and_place
from hub.store.sqlite.append import find_row
from hub.store.sqlite.engine import INTENT, RUN
from hub.store.sqlite.numbering import written_sequences
from hub.store.sqlite.outbox import WAITING, attempts_of, intent_of, waiting_of
from hub.store.sqlite.reader import Reader

_MOST_SCANNED = 20_000  # rows a filtered page looks at: about 100 ms
_LAST = 2**62
_ROW = "partition, n, at, kind, key, ref, sequence, body, rank"
_DELIVERY = "endpoint, partition, n, event_id, state, number, due, created_at, rank"


@final
class SqliteBrowser:
    """The API's readers: events, deliveries, intents and runs."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    async def events(
        self,
        *,
        after: str,
        limit: int,
        types: Sequence[str] = (),
        account: str = "",
        newest_first: bool = False,
    ) -> Page[Input]:
        start = number(after, _LAST if newest_first else 0)
        comparison, order = ("<", "DESC") if newest_first else (">", "ASC")

        def work(connection: apsw.Connection) -> Page[Input]:
            rows = connection.execute(
                f"SELECT {_ROW} FROM input WHERE rank {comparison} ? ORDER BY rank {order} LIMIT ?",
                (start, _MOST_SCANNED),
            )
            found: list[Input] = []
            seen = rank = 0
            for row in map(Input._make, rows):
                seen, rank = seen + 1, row.rank
                if (
                    row.kind == InputKind.EVENT
                    and (not account or row.key == account)
                    and is_wanted(row, types)
                ):
                    found.append(row)
                    if len(found) == limit:
                        break
            more = len(found) == limit or seen == _MOST_SCANNED
            return Page(found, str(rank) if more else None)

        return await self._reader.read(work)

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

        def work(connection: apsw.Connection) -> Page[Delivery]:
            if event_id:
                named = _deliveries_of_event(connection, event_id, endpoint, state)
                return Page([each for each in named if each.created_at >= since][:limit], None)
            # What still waits comes first, then what is over, the newest first: two tables, so two kinds of cursor.
            if table == "w" and state in {"", DeliveryState.WAITING}:
                waiting = _waiting_page(connection, place, limit, endpoint, since)
                if waiting.next or state:
                    return waiting
                if waiting.items:
                    return Page(waiting.items, "a:")
            return _finished_page(connection, place if table == "a" else "", limit, endpoint, state, since)

        return await self._reader.read(work)

    async def delivery(self, endpoint: str, partition: int, n: int) -> Delivery | None:
        return await self._reader.read(lambda connection: _delivery(connection, endpoint, partition, n))

    async def attempts(self, endpoint: str, partition: int, n: int) -> list[Attempt]:
        return await self._reader.read(lambda connection: attempts_of(connection, endpoint, partition, n))

    async def actions(
        self, *, after: str, limit: int, state: State | None = None, account: str = "", workflow: str = ""
    ) -> Page[Intent]:
        where = {"state": state.value if state else "", "account": account, "workflow": workflow}

        def work(connection: apsw.Connection) -> Page[Intent]:
            rows, following = _newest(connection, "intent", INTENT, "key", where, after, limit)
            return Page([intent_of(row) for row in rows], following)

        return await self._reader.read(work)

    async def get(self, key: str) -> Intent | None:
        def work(connection: apsw.Connection) -> Intent | None:
            row = connection.execute(f"SELECT {INTENT} FROM intent WHERE key = ?", (key,)).fetchone()
            return intent_of(row) if row else None

        return await self._reader.read(work)

    async def runs(
        self, *, after: str, limit: int, workflow: str = "", key: str = "", state: str = ""
    ) -> Page[RunRow]:
        where = {"workflow": workflow, "key": key, "state": state}

        def work(connection: apsw.Connection) -> Page[RunRow]:
            rows, following = _newest(connection, "run", RUN, "id", where, after, limit)
            return Page([RunRow._make(row) for row in rows], following)

        return await self._reader.read(work)

    async def sequence(self, account: str) -> int:
        def work(connection: apsw.Connection) -> int:
            row = connection.execute(
                "SELECT max(sequence) FROM input WHERE rank > ? AND key = ?",
                (written_sequences(connection), account),
            ).fetchone()
            if row is None or row[0] is None:
                row = connection.execute("SELECT last FROM sequence WHERE account = ?", (account,)).fetchone()
            return int(row[0]) if row else 0

        return await self._reader.read(work)


def _newest(
    connection: apsw.Connection,
    table: str,
    columns: str,
    key: str,
    where: dict[str, str],
    after: str,
    limit: int,
) -> tuple[list[tuple[Any, ...]], str | None]:
    at, _, last = after.partition(":")
    wanted = {column: value for column, value in where.items() if value}
    conditions = "".join(f" AND {column} = ?" for column in wanted)
    rows = connection.execute(
        f"SELECT {columns}, at, {key} FROM {table} WHERE (at, {key}) < (?, ?){conditions} ORDER BY at DESC, {key} DESC LIMIT ?",
        (number(at, _LAST), last, *wanted.values(), limit),
    ).fetchall()
    following = f"{rows[-1][-2]}:{rows[-1][-1]}" if len(rows) == limit else None
    return [row[:-2] for row in rows], following


def _waiting_page(
    connection: apsw.Connection, place: str, limit: int, endpoint: str, since: int
) -> Page[Delivery]:
    parts = place.split(",") if place else ["", "0", "0", "0"]
    if len(parts) != 4:
        raise bad_cursor()
    key = (parts[0], *(number(part, 0) for part in parts[1:]))
    only = " AND endpoint = ?" if endpoint else ""
    rows = connection.execute(
        f"SELECT {WAITING} FROM waiting WHERE (endpoint, due, partition, n) > (?, ?, ?, ?){only} AND created_at >= ? "
        "ORDER BY endpoint, due, partition, n LIMIT ?",
        (*key, *([endpoint] if endpoint else []), since, limit),
    )
    found = [waiting_of(*row) for row in rows]
    last = found[-1] if len(found) == limit else None
    return Page(found, f"w:{last.endpoint},{last.due},{last.partition},{last.n}" if last else None)


def _finished_page(
    connection: apsw.Connection, place: str, limit: int, endpoint: str, state: str, since: int
) -> Page[Delivery]:
    rows = connection.execute(
        f"SELECT {_DELIVERY}, at FROM attempt WHERE rank < ? ORDER BY rank DESC LIMIT ?",
        (number(place, _LAST), _MOST_SCANNED),
    )
    found: list[Delivery] = []
    seen = rank = 0
    for row in rows:
        seen, rank = seen + 1, int(row[8])
        if row[9] < since - WRITTEN_WITHIN_US:
            return Page(found, None)
        over = row[4] != DeliveryState.WAITING  # one that waits again was shown with those that wait
        if (
            over
            and (not endpoint or row[0] == endpoint)
            and (not state or row[4] == state)
            and row[7] >= since
        ):
            found.append(_finished(row))
            if len(found) == limit:
                break
    more = len(found) == limit or seen == _MOST_SCANNED
    return Page(found, f"a:{rank}" if more else None)


def _finished(row: tuple[Any, ...]) -> Delivery:
    return Delivery(row[0], row[1], row[2], row[3], DeliveryState(row[4]), row[5], row[6], row[7])


def _delivery(connection: apsw.Connection, endpoint: str, partition: int, n: int) -> Delivery | None:
    row = connection.execute(
        f"SELECT {WAITING} FROM waiting WHERE endpoint = ? AND partition = ? AND n = ?",
        (endpoint, partition, n),
    ).fetchone()
    if row:
        return waiting_of(*row)
    row = connection.execute(
        f"SELECT {_DELIVERY} FROM attempt WHERE n = ? AND partition = ? AND endpoint = ? ORDER BY rank DESC LIMIT 1",
        (n, partition, endpoint),
    ).fetchone()
    return _finished(row) if row else None


def _deliveries_of_event(
    connection: apsw.Connection, event_id: str, endpoint: str, state: str
) -> list[Delivery]:
    key = ids.from_id(EVENT_PREFIX, event_id)
    item = find_row(connection, key) if key else None
    if item is None:
        return []
    known = [str(row[0]) for row in connection.execute("SELECT id FROM endpoint")]
    found = (
        _delivery(connection, each, item.partition, item.n) for each in ([endpoint] if endpoint else known)
    )
    return [delivery for delivery in found if delivery is not None and (not state or delivery.state == state)]
