"""Endpoints, deliveries and intents, on SQLite."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, final

import apsw
from typing_extensions import override

from hub import ids
from hub.bus.log import Input
from hub.bus.pages import Page
from hub.dispatch.outbox import (
    Attempt,
    Deliveries,
    Delivery,
    DeliveryState,
    Endpoint,
    Endpoints,
    Intents,
    Move,
    PutOff,
    Settled,
    endpoint_page,
    is_still,
)
from hub.events.facts import EVENT_PREFIX
from hub.intents.intent import Intent, State
from hub.store.cursors import moment_and_id
from hub.store.rows import ENDPOINT, by_place, endpoint_of, endpoint_row, places_of, without_secret
from hub.store.sqlite.append import Written, find_rows, rows_at
from hub.store.sqlite.engine import INTENT, read_positions, write_positions
from hub.store.sqlite.log import SqliteLog
from hub.store.sqlite.reader import Reader
from hub.store.sqlite.wide import among, insert
from hub.store.sqlite.writer import Writer

CONSUMER = "webhooks"
WAITING = "endpoint, due, partition, n, event_id, attempts, created_at"
_ATTEMPT = "endpoint, partition, n, number, event_id, state, at, outcome, status, error, latency_us, response, due, created_at, record"


@final
class SqliteDeliveries(Deliveries):
    def __init__(self, writer: Writer, reader: Reader) -> None:
        self._writer = writer
        self._reader = reader

    @override
    async def fan_out(
        self, positions: Mapping[int, int], deliveries: Sequence[Delivery], attempted: Sequence[Settled] = ()
    ) -> None:
        rows = [_waiting_row(delivery) for delivery in deliveries]
        rows += [_waiting_row(s.delivery) for s in attempted if s.delivery.state is DeliveryState.WAITING]
        attempts = [_attempt_row(settled) for settled in attempted]

        def work(connection: apsw.Connection) -> None:
            insert(connection, f"INSERT OR IGNORE INTO waiting ({WAITING})", rows)
            insert(connection, f"INSERT INTO attempt ({_ATTEMPT})", attempts)
            write_positions(connection, CONSUMER, positions)

        await self._writer.submit(work)

    @override
    async def fanned_out(self) -> list[int]:
        return await self._reader.read(lambda connection: read_positions(connection, CONSUMER))

    @override
    async def waiting(self, endpoint: str, *, after: tuple[int, int, int], limit: int) -> list[Delivery]:
        def work(connection: apsw.Connection) -> list[Delivery]:
            rows = connection.execute(
                f"SELECT {WAITING} FROM waiting WHERE endpoint = ? AND (due, partition, n) > (?, ?, ?) "
                "ORDER BY due, partition, n LIMIT ?",
                (endpoint, *after, limit),
            )
            return [waiting_of(*row) for row in rows]

        return await self._reader.read(work)

    @override
    async def settle(self, results: Sequence[Settled]) -> None:
        attempts = [_attempt_row(result) for result in results]
        again = [_waiting_row(r.delivery) for r in results if r.delivery.state is DeliveryState.WAITING]

        def work(connection: apsw.Connection) -> None:
            # What no longer waits was cancelled meanwhile: a late retry must not bring it back.
            left = _remove_waiting(connection, results)
            still = [row for row in again if (row[0], row[2], row[3]) in left]
            insert(connection, f"INSERT OR IGNORE INTO waiting ({WAITING})", still)
            insert(connection, f"INSERT INTO attempt ({_ATTEMPT})", attempts)

        await self._writer.submit(work)

    @override
    async def put_off(self, moves: Sequence[PutOff]) -> None:
        rows = [(due, d.endpoint, d.due, d.partition, d.n) for d, due in moves]

        def work(connection: apsw.Connection) -> None:
            connection.executemany(
                "UPDATE waiting SET due = ? WHERE (endpoint, due, partition, n) = (?, ?, ?, ?)", rows
            )

        await self._writer.submit(work)

    @override
    async def bodies(self, deliveries: Sequence[Delivery]) -> Mapping[tuple[int, int], Input]:
        named = {ids.from_id(EVENT_PREFIX, delivery.event_id) for delivery in deliveries}
        keys = [key for key in named if key is not None]

        def work(connection: apsw.Connection) -> dict[tuple[int, int], Input]:
            found = by_place(find_rows(connection, keys))
            # Some keys are forgotten long before their events: those are looked for where they stand.
            return found | by_place(rows_at(connection, places_of(deliveries) - found.keys()))

        return await self._reader.read(work)

    @override
    async def attempts(self, endpoint: str, partition: int, n: int) -> list[Attempt]:
        return await self._reader.read(lambda connection: attempts_of(connection, endpoint, partition, n))


def attempts_of(connection: apsw.Connection, endpoint: str, partition: int, n: int) -> list[Attempt]:
    rows = connection.execute(
        "SELECT endpoint, partition, n, number, at, outcome, status, error, latency_us, response, record, "
        "CASE state WHEN 'waiting' THEN due END FROM attempt "
        "WHERE n = ? AND partition = ? AND endpoint = ? ORDER BY rank",
        (n, partition, endpoint),
    )
    return [Attempt._make(row) for row in rows]


def _remove_waiting(connection: apsw.Connection, results: Sequence[Settled]) -> set[tuple[str, int, int]]:
    keys = [(r.delivery.endpoint, r.due, r.delivery.partition, r.delivery.n) for r in results]
    removed = among(
        connection,
        "DELETE FROM waiting WHERE (endpoint, due, partition, n)",
        keys,
        "RETURNING endpoint, partition, n",
    )
    return {(endpoint, partition, n) for endpoint, partition, n in removed}


def _waiting_row(delivery: Delivery) -> tuple[Any, ...]:
    d = delivery
    return d.endpoint, d.due, d.partition, d.n, d.event_id, d.attempts, d.created_at


def waiting_of(
    endpoint: str, due: int, partition: int, n: int, event_id: str, attempts: int, created_at: int
) -> Delivery:
    return Delivery(endpoint, partition, n, event_id, DeliveryState.WAITING, attempts, due, created_at)


def _attempt_row(result: Settled) -> tuple[Any, ...]:
    a, d = result.attempt, result.delivery
    tried = (a.endpoint, a.partition, a.n, a.number, d.event_id, d.state, a.at, a.outcome, a.status, a.error)
    return (*tried, a.latency_us, a.response, d.due, d.created_at, a.record)


@final
class SqliteEndpoints(Endpoints):
    """`changed` hears of every change after its commit, so that dispatch notices without polling."""

    def __init__(self, writer: Writer, reader: Reader, *, changed: Callable[[], None] = lambda: None) -> None:
        self._writer = writer
        self._reader = reader
        self.changed = changed

    @override
    async def create(self, endpoint: Endpoint) -> None:
        await self._write(
            f"INSERT INTO endpoint ({ENDPOINT}) VALUES (?,?,?,?,?,?,?,?,?,?)", endpoint_row(endpoint)
        )

    @override
    async def get(self, endpoint_id: str) -> Endpoint | None:
        found = await self._select("WHERE id = ?", (endpoint_id,))
        return found[0] if found else None

    @override
    async def all(self) -> list[Endpoint]:
        return await self._select("ORDER BY created_at, id", ())

    @override
    async def page(self, *, after: str, limit: int) -> Page[Endpoint]:
        values = (*moment_and_id(after, first=-1), limit + 1)
        tail = "WHERE (created_at, id) > (?, ?) ORDER BY created_at, id LIMIT ?"
        return endpoint_page(await self._select(tail, values), limit)

    @override
    async def replace(self, before: Endpoint, after: Endpoint) -> bool:
        name, *rest = without_secret(endpoint_row(after))

        def work(connection: apsw.Connection) -> bool:
            row = connection.execute(f"SELECT {ENDPOINT} FROM endpoint WHERE id = ?", (before.id,)).fetchone()
            if row is None or not is_still(endpoint_of(*row), before):
                return False
            connection.execute(
                "UPDATE endpoint SET url = ?, events = ?, state = ?, description = ?, created_at = ?, schedule = ?, "
                "reason = ?, options = ? WHERE id = ?",
                (*rest, name),
            )
            return True

        return await self._writer.submit(work, lambda _: self.changed())

    @override
    async def replace_secret(self, endpoint_id: str, before: str, after: str) -> bool:
        changes = await self._write(
            "UPDATE endpoint SET secret = ? WHERE id = ? AND secret = ?", (after, endpoint_id, before)
        )
        return changes > 0

    @override
    async def delete(self, endpoint_id: str) -> bool:
        def work(connection: apsw.Connection) -> int:
            connection.execute("DELETE FROM waiting WHERE endpoint = ?", (endpoint_id,))
            connection.execute("DELETE FROM endpoint WHERE id = ?", (endpoint_id,))
            return connection.changes()

        return await self._writer.submit(work, lambda _: self.changed()) > 0

    async def _write(self, statement: str, values: tuple[Any, ...]) -> int:
        def work(connection: apsw.Connection) -> int:
            connection.execute(statement, values)
            return connection.changes()

        return await self._writer.submit(work, lambda _: self.changed())

    async def _select(self, tail: str, values: tuple[Any, ...]) -> list[Endpoint]:
        def work(connection: apsw.Connection) -> list[Endpoint]:
            return [
                endpoint_of(*row)
                for row in connection.execute(f"SELECT {ENDPOINT} FROM endpoint {tail}", values)
            ]

        return await self._reader.read(work)


@final
class SqliteIntents(Intents):
    def __init__(self, writer: Writer, reader: Reader, log: SqliteLog) -> None:
        self._writer = writer
        self._reader = reader
        self._log = log
        self._next_due: int | None = 0  # unknown: look once
        self._heard: list[list[int]] = []  # what became due while a look was on its way, one list per look

    def told(self, intents: Sequence[Intent]) -> None:
        """Hear of intents another transaction wrote."""
        for intent in intents:
            self._expect(intent)

    @override
    async def due(self, now_us: int, limit: int) -> list[Intent]:
        def work(connection: apsw.Connection) -> tuple[list[Intent], int | None]:
            rows = connection.execute(
                f"SELECT {INTENT} FROM intent WHERE state IN ('ready', 'unknown') AND due <= ? ORDER BY priority, due, key LIMIT ?",
                (now_us, limit),
            )
            found = [intent_of(row) for row in rows]
            row = connection.execute(
                "SELECT due FROM intent WHERE state IN ('ready', 'unknown') ORDER BY due LIMIT 1"
            ).fetchone()
            return found, int(row[0]) if row else None

        heard: list[int] = []
        self._heard.append(heard)
        try:
            found, first = await self._reader.read(work)
        finally:
            self._heard = [other for other in self._heard if other is not heard]
        self._next_due = min(heard if first is None else [first, *heard], default=None)
        return found

    @override
    async def in_state(self, state: State, limit: int) -> list[Intent]:
        return await self._select("WHERE state = ? ORDER BY due, key LIMIT ?", (state.value, limit))

    @override
    async def get(self, key: str) -> Intent | None:
        found = await self._select("WHERE key = ?", (key,))
        return found[0] if found else None

    @override
    async def move(self, moves: Sequence[Move]) -> list[bool]:
        def work(connection: apsw.Connection) -> tuple[list[bool], Written | None]:
            made = [_move(connection, move) for move in moves]
            outcomes = [
                move.outcome
                for move, done in zip(moves, made, strict=True)
                if done and move.outcome is not None
            ]
            return made, self._log.write(connection, [((), outcomes)]) if outcomes else None

        def committed(result: tuple[list[bool], Written | None]) -> None:
            for move in moves:
                self._expect(move.after)
            if result[1] is not None:
                self._log.published(result[1])

        return (await self._writer.submit(work, committed))[0]

    @override
    def next_due(self) -> int | None:
        return self._next_due

    def _expect(self, intent: Intent) -> None:
        if intent.state not in {State.READY, State.UNKNOWN}:
            return
        for heard in self._heard:
            heard.append(intent.due)
        if self._next_due is None or intent.due < self._next_due:
            self._next_due = intent.due

    async def _select(self, tail: str, values: tuple[Any, ...]) -> list[Intent]:
        def work(connection: apsw.Connection) -> list[Intent]:
            return [
                intent_of(row) for row in connection.execute(f"SELECT {INTENT} FROM intent {tail}", values)
            ]

        return await self._reader.read(work)


def intent_of(row: tuple[Any, ...]) -> Intent:
    return Intent._make((*row[:9], State(row[9]), *row[10:]))


def _move(connection: apsw.Connection, move: Move) -> bool:
    before, after = move.before, move.after
    connection.execute(
        "UPDATE intent SET state = ?, due = ?, attempts = ?, sends = ?, looks = ?, sent_at = ?, ticket = ?, reason = ? "
        "WHERE key = ? AND state = ? AND attempts = ? AND sends = ? AND looks = ?",
        (
            after.state, after.due, after.attempts, after.sends, after.looks, after.sent_at, after.ticket, after.reason,
            before.key, before.state, before.attempts, before.sends, before.looks,
        ),
    )  # fmt: skip
    return connection.changes() > 0
