"""Intents on PostgreSQL: a server's are moved by its owner, and what came of them is left for the partition's."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple, final

import asyncpg
from typing_extensions import override

from hub.bus.lease import Lease
from hub.bus.log import NewInput
from hub.dispatch.outbox import Intents, Move
from hub.errors import StoreRefused, StoreUnavailable
from hub.intents.intent import Intent, State
from hub.store.postgres.arrivals import send
from hub.store.postgres.database import Connection, Database
from hub.store.postgres.notices import notify_arrivals, read_intents, server_of

INTENT = (
    "key, partition, account, verb, params, workflow, run, step, caused_by, state, at, due, priority, attempts, sends, "
    "looks, sent_at, ticket, reason"
)
_INTENT_TYPES = (
    "$1::text[], $2::smallint[], $3::text[], $4::text[], $5::bytea[], $6::text[], $7::text[], $8::text[], $9::text[], "
    "$10::text[], $11::bigint[], $12::bigint[], $13::integer[], $14::integer[], $15::integer[], $16::integer[], "
    "$17::bigint[], $18::bigint[], $19::text[], $20::text[]"
)
_MOVED_TYPES = (
    "$1::text[], $2::text[], $3::bigint[], $4::integer[], $5::integer[], $6::integer[], $7::bigint[], $8::bigint[], "
    "$9::text[]"
)
_OPEN = "state IN ('ready', 'unknown')"
_MOST_UNSURE = 10_000
# From one server to the next in the index, however many intents wait for each.
_SERVERS = f"""
WITH RECURSIVE known AS (
  (SELECT server FROM intent WHERE {_OPEN} ORDER BY server LIMIT 1)
  UNION ALL
  SELECT (SELECT server FROM intent WHERE {_OPEN} AND server > known.server ORDER BY server LIMIT 1)
  FROM known WHERE known.server IS NOT NULL
)
SELECT server FROM known WHERE server IS NOT NULL
"""

ServerFence = Callable[[Collection[str]], Sequence[Lease]]
Owned = Callable[[], Collection[str] | None]


class _Stands(NamedTuple):
    """Everything of an intent that a move may change."""

    state: str
    due: int
    attempts: int
    sends: int
    looks: int
    sent_at: int | None
    ticket: int | None
    reason: str


def _everything() -> None:
    return None


@final
class PostgresIntents(Intents):
    """`owned` are the servers whose intents this process carries out ("" for what concerns no account); None means all.

    Call `told` or `heard` after others wrote intents, and `look_again` when servers became ours or notices were lost.
    """

    def __init__(self, database: Database, fence: ServerFence, *, owned: Owned = _everything) -> None:
        self._database = database
        self._fence = fence
        self._owned = owned
        self._next_due: int | None = 0  # unknown: look once
        self._expected: list[list[int]] = []  # what became due while a look was on its way, one list per look
        self._unsure: set[tuple[str, _Stands, _Stands]] = set()

    def told(self, intents: Sequence[Intent]) -> None:
        """Hear of intents another transaction of this process wrote."""
        for intent in intents:
            if intent.state in {State.READY, State.UNKNOWN} and self._is_ours(server_of(intent.account)):
                self._expect(intent.due)

    def heard(self, payload: str) -> None:
        """Hear a notice of intents another process wrote."""
        news = read_intents(payload)
        if not news:
            self.look_again()
        for server, due in news.items():
            if self._is_ours(server):
                self._expect(due)

    def look_again(self) -> None:
        """Forget when the next one is due, and find out."""
        self._expect(0)

    async def servers(self) -> list[str]:
        """Return the servers that have open intents, configured here or not."""

        async def work(connection: Connection) -> list[str]:
            rows = await connection.fetch(_SERVERS)
            return [str(row[0]) for row in rows]

        return await self._database.read(work)

    @override
    async def due(self, now_us: int, limit: int) -> list[Intent]:
        owned = self._owned()

        async def work(connection: Connection) -> tuple[list[Intent], int | None]:
            found = await _select(
                connection,
                f"{_OPEN} AND due <= $3",
                "priority, due, key",
                _listed(owned),
                now_us,
                limit=limit,
            )
            return found, await _first_due(connection, _listed(owned))

        expected: list[int] = []
        self._expected.append(expected)
        try:
            found, first = await self._database.read(work)
        finally:
            self._expected = [other for other in self._expected if other is not expected]
        self._next_due = min(expected if first is None else [first, *expected], default=None)
        return found

    @override
    async def in_state(self, state: State, limit: int) -> list[Intent]:
        owned = _listed(self._owned())
        # The state stands in the text, so that the planner can tell which of the partial indexes has it.
        return await self._database.read(
            lambda connection: _select(connection, f"state = '{state.value}'", "due, key", owned, limit=limit)
        )

    @override
    async def get(self, key: str) -> Intent | None:
        return await self._database.read(lambda connection: intent_at(connection, key))

    @override
    async def move(self, moves: Sequence[Move]) -> list[bool]:
        asked = {_identity(move) for move in moves}
        repeated = asked & self._unsure

        async def work(connection: Connection) -> list[bool]:
            stands = await _lock(connection, sorted({move.before.key for move in moves}))
            moved: dict[str, _Stands] = {}
            outcomes: list[NewInput] = []
            made: list[bool] = []
            for move in moves:
                key, after = move.before.key, _standing(move.after)
                now = stands.get(key)
                # Made before, with its outcome, if we asked for it and never heard the answer.
                was_made = now == after and _identity(move) in repeated
                is_there = now is not None and _is_at(now, move.before)
                if is_there and not was_made:
                    stands[key] = moved[key] = after
                    outcomes += [move.outcome] if move.outcome is not None else []
                made.append(is_there or was_made)
            await _write(connection, moved)
            await send(connection, [], outcomes)
            return made

        try:
            made = await self._database.transact(
                work, self._fence({server_of(m.before.account) for m in moves})
            )
            told = [m.outcome.partition for m, done in zip(moves, made, strict=True) if done and m.outcome]
            await notify_arrivals(self._database, told)
        except StoreRefused:
            raise
        except StoreUnavailable:
            if len(self._unsure) < _MOST_UNSURE:
                self._unsure |= asked
            raise
        self._unsure -= asked
        self.told([move.after for move in moves])
        return made

    @override
    def next_due(self) -> int | None:
        return self._next_due

    def _is_ours(self, server: str) -> bool:
        owned = self._owned()
        return owned is None or server in owned

    def _expect(self, due: int) -> None:
        for expected in self._expected:
            expected.append(due)
        if self._next_due is None or due < self._next_due:
            self._next_due = due


async def write_intents(connection: Connection, intents: Sequence[Intent]) -> None:
    """Insert intents inside somebody else's transaction; one whose key is there already is left as it is."""
    if intents:
        await connection.execute(
            f"INSERT INTO intent ({INTENT}, server) SELECT * FROM unnest({_INTENT_TYPES}) ON CONFLICT (key) DO NOTHING",
            *zip(*((*intent, server_of(intent.account)) for intent in intents), strict=True),
        )


async def intent_at(connection: Connection, key: str) -> Intent | None:
    row = await connection.fetchrow(f"SELECT {INTENT} FROM intent WHERE key = $1", key)
    return intent_of(row) if row else None


def intent_of(row: asyncpg.Record) -> Intent:
    return Intent._make((*row[:9], State(row[9]), *row[10:]))


def _listed(owned: Collection[str] | None) -> list[str] | None:
    return None if owned is None else sorted(owned)


async def _select(
    connection: Connection, where: str, order: str, owned: list[str] | None, *values: int, limit: int
) -> list[Intent]:
    tail = f"ORDER BY {order} LIMIT $2"
    if owned is None:
        query = f"SELECT {INTENT} FROM intent WHERE $1::text[] IS NULL AND {where} {tail}"
    else:  # a server at a time: each is a stretch of an index, in order
        query = (
            f"SELECT {INTENT} FROM unnest($1::text[]) AS mine (server) CROSS JOIN LATERAL "
            f"(SELECT {INTENT} FROM intent WHERE intent.server = mine.server AND {where} {tail}) AS found {tail}"
        )
    return [intent_of(row) for row in await connection.fetch(query, owned, limit, *values)]


async def _first_due(connection: Connection, owned: list[str] | None) -> int | None:
    if owned is None:
        return await _number(connection, f"SELECT min(due) FROM intent WHERE {_OPEN}")
    return await _number(
        connection,
        "SELECT min(first.due) FROM unnest($1::text[]) AS mine (server) CROSS JOIN LATERAL "
        f"(SELECT due FROM intent WHERE intent.server = mine.server AND {_OPEN} ORDER BY due LIMIT 1) AS first",
        owned,
    )


async def _number(connection: Connection, query: str, *values: object) -> int | None:
    found: int | None = await connection.fetchval(query, *values)
    return found


async def _lock(connection: Connection, keys: list[str]) -> dict[str, _Stands]:
    """Return where the intents stand, and keep them there until this transaction ends."""
    rows = await connection.fetch(
        "SELECT key, state, due, attempts, sends, looks, sent_at, ticket, reason FROM intent "
        "WHERE key = ANY($1::text[]) ORDER BY key FOR UPDATE",
        keys,
    )
    return {row[0]: _Stands(*row[1:]) for row in rows}


async def _write(connection: Connection, moved: Mapping[str, _Stands]) -> None:
    if moved:
        await connection.execute(
            "UPDATE intent SET state = moved.state, due = moved.due, attempts = moved.attempts, sends = moved.sends, "
            "looks = moved.looks, sent_at = moved.sent_at, ticket = moved.ticket, reason = moved.reason "
            f"FROM unnest({_MOVED_TYPES}) "
            "AS moved (key, state, due, attempts, sends, looks, sent_at, ticket, reason) WHERE intent.key = moved.key",
            *zip(*((key, *stands) for key, stands in moved.items()), strict=True),
        )


def _standing(intent: Intent) -> _Stands:
    return _Stands(
        intent.state.value, intent.due, intent.attempts, intent.sends, intent.looks, intent.sent_at, intent.ticket, intent.reason
    )  # fmt: skip


def _is_at(now: _Stands, before: Intent) -> bool:
    return (now.state, now.attempts, now.sends, now.looks) == (
        before.state.value, before.attempts, before.sends, before.looks,
    )  # fmt: skip


def _identity(move: Move) -> tuple[str, _Stands, _Stands]:
    return move.before.key, _standing(move.before), _standing(move.after)
