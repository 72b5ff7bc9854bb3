"""The `input` log on PostgreSQL, as the owner of some of its partitions has it."""

from collections import deque
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeAlias, TypeVar, final

from typing_extensions import override

from hub.bus.lease import Lease, Owned
from hub.bus.log import Appended, Input, Lane, Log, Mark, NewInput
from hub.clock import Clock
from hub.errors import HubError, LeaseLost, StoreRefused, StoreUnavailable
from hub.events.facts import Fact
from hub.store.postgres.append import ROW, Content, Written, rows_at, where_stored
from hub.store.postgres.database import Connection, Database
from hub.store.postgres.marks import read_marks, write_marks
from hub.store.postgres.positions import write_positions
from hub.store.postgres.taking import ArrivalTaker
from hub.store.postgres.transactions import Listener, OwnerTransactions

T = TypeVar("T")
Positions: TypeAlias = Mapping[tuple[str, int], int]  # (consumer, partition) to n
_FACTS_A_COMMIT = 1_024
_BULK_CHUNK = 256
_LIVE_ENOUGH = 1_000
_BULK_PAUSE = timedelta(milliseconds=20)


@dataclass(slots=True, eq=False)
class _Append:
    facts: Sequence[Fact]
    inputs: Sequence[NewInput]
    marks: Sequence[Mark]
    outcome: "list[Appended] | HubError | None" = None


@final
class PostgresLog(Log):
    """Appends that arrive while a transaction is on its way share the next one, which the first of them carries out."""

    def __init__(self, database: Database, clock: Clock, owned: Owned) -> None:
        self._database = database
        self._clock = clock
        self._transactions = OwnerTransactions(database, clock, owned)
        self._arrivals = ArrivalTaker(database, self._transactions)
        self._pending: deque[_Append] = deque()
        self._live_backlog: Callable[[], int] = lambda: 0

    def listen(self, listener: Listener) -> None:
        """Have committed rows told to `listener`, on the event loop, in order."""
        self._transactions.listeners.append(listener)

    def let_bulk_wait_for(self, backlog: Callable[[], int]) -> None:
        self._live_backlog = backlog

    async def open(self) -> None:
        """Know the heads of what is owned now; for the start, and for every change of what is owned."""
        await self._transactions.open()

    def forget(self) -> None:
        self._transactions.forget()

    @override
    def append(
        self,
        facts: Sequence[Fact],
        *,
        inputs: Sequence[NewInput] = (),
        marks: Sequence[Mark] = (),
        lane: Lane = Lane.LIVE,
    ) -> Awaitable[list[Appended]]:
        if lane is Lane.BULK:
            return self._append_bulk(facts, inputs, marks)
        return self._append(facts, inputs, marks)

    async def admit(self, facts: Sequence[Fact], positions: Mapping[tuple[str, int], int]) -> list[Appended]:
        """Store what is new and how far its sources were read, both or neither.

        Raises LeaseLost when a partition of `positions` is not owned: its facts are its owner's to admit.
        """
        by_consumer: dict[str, dict[int, int]] = {}
        for (consumer, partition), n in positions.items():
            by_consumer.setdefault(consumer, {})[partition] = n

        async def work(connection: Connection) -> Written:
            await write_positions(connection, by_consumer)
            return await self.write(connection, [(facts, ())])

        read = {partition for _, partition in positions}
        fence = self._transactions.owned.fence(read) if read else ()
        touching = read | {fact.partition for fact in facts}
        return (await self.transact(work, touching, self.published, fence)).answers[0]

    async def take_arrivals(self, limit: int) -> int:
        """Turn up to `limit` of what was left for the owned partitions into rows, in order; return how many."""
        return await self._arrivals.take(limit)

    @override
    async def read(self, partition: int, after: int, limit: int) -> list[Input]:
        return await self._rows(
            f"SELECT {ROW} FROM input WHERE partition = $1 AND n > $2 ORDER BY n LIMIT $3",
            partition, after, limit,
        )  # fmt: skip

    @override
    async def start(self, positions: Sequence[int]) -> int:
        owned = self._owned()

        async def work(connection: Connection) -> int:
            # The first row beyond each position; without one the last there is. Only of our own partitions: a row of
            # another owner may be committed before one of ours that has a lower rank.
            first = await connection.fetchval(
                "SELECT min(row.rank) FROM unnest($1::smallint[], $2::bigint[]) AS place (p, n) CROSS JOIN LATERAL "
                "(SELECT rank FROM input WHERE partition = place.p AND n > place.n ORDER BY n LIMIT 1) AS row",
                owned,
                [positions[partition] for partition in owned],
            )
            if first is not None:
                return int(first) - 1
            last = await connection.fetchval(
                "SELECT max(row.rank) FROM unnest($1::smallint[]) AS p CROSS JOIN LATERAL "
                "(SELECT rank FROM input WHERE partition = p ORDER BY n DESC LIMIT 1) AS row",
                owned,
            )
            return int(last or 0)

        return await self._database.read(work)

    @override
    async def scan(self, after: int, limit: int) -> list[Input]:
        return await self._rows(
            f"SELECT {ROW} FROM input WHERE rank > $1 AND partition = ANY($2::smallint[]) ORDER BY rank LIMIT $3",
            after, self._owned(), limit,
        )  # fmt: skip

    @override
    async def find(self, key: bytes) -> Input | None:
        async def work(connection: Connection) -> Input | None:
            known = await where_stored(connection, [key])
            rows = await rows_at(connection, list(known.values()))
            return rows[0] if rows else None

        return await self._database.read(work)

    @override
    def heads(self) -> Sequence[int]:
        return self._transactions.heads

    @override
    async def marks(self, source: str) -> Mapping[str, bytes]:
        return await self._database.read(lambda connection: read_marks(connection, source))

    async def transact(
        self,
        work: Callable[[Connection], Awaitable[T]],
        touching: Collection[int],
        committed: Callable[[T], None],
        fence: Sequence[Lease] = (),
    ) -> T:
        """Do work that writes to the log, see `OwnerTransactions.run`: inside it call `write`, and in `committed` `published`."""
        return await self._transactions.run(work, touching, committed, fence)

    async def write(self, connection: Connection, appends: Sequence[Content]) -> Written:
        return await self._transactions.write(connection, appends)

    def published(self, written: Written) -> None:
        self._transactions.published(written)

    async def _append_bulk(
        self, facts: Sequence[Fact], inputs: Sequence[NewInput], marks: Sequence[Mark]
    ) -> list[Appended]:
        answers: list[Appended] = []
        for start in range(0, max(len(facts), 1), _BULK_CHUNK):
            while self._live_backlog() >= _LIVE_ENOUGH:
                await self._clock.sleep(_BULK_PAUSE)
            last = start + _BULK_CHUNK >= len(facts)
            answers += await self._append(
                facts[start : start + _BULK_CHUNK], inputs if last else (), marks if last else ()
            )
        return answers

    async def _append(
        self, facts: Sequence[Fact], inputs: Sequence[NewInput], marks: Sequence[Mark]
    ) -> list[Appended]:
        mine = _Append(facts, inputs, marks)
        self._pending.append(mine)
        try:
            async with self._transactions.turn:
                while mine.outcome is None:
                    await self._store_pending(mine)
        finally:
            if mine in self._pending:  # cancelled while it waited: nobody asks for it any more
                self._pending.remove(mine)
        if isinstance(mine.outcome, HubError):
            raise mine.outcome
        return mine.outcome

    async def _store_pending(self, mine: _Append) -> None:
        batch: list[_Append] = []
        room = _FACTS_A_COMMIT
        while self._pending and (not batch or room >= 0):
            batch.append(self._pending.popleft())
            room -= len(batch[-1].facts) + len(batch[-1].inputs)
        try:
            await self._store(batch)
        finally:
            # Cancelled on the way, before it could commit: the next in turn does it for the others.
            self._pending.extendleft(
                each for each in reversed(batch) if each.outcome is None and each is not mine
            )

    async def _store(self, batch: Sequence[_Append]) -> None:
        committing = False

        async def work(connection: Connection) -> Written:
            nonlocal committing
            committing = False
            written = await self.write(connection, [(append.facts, append.inputs) for append in batch])
            await write_marks(connection, [mark for append in batch for mark in append.marks])
            committing = True
            return written

        def committed(written: Written) -> None:
            for append, answers in zip(batch, written.answers, strict=True):
                append.outcome = answers
            self.published(written)

        touching = {fact.partition for append in batch for fact in append.facts}
        touching |= {item.partition for append in batch for item in append.inputs}
        try:
            await self._transactions.run_now(work, touching, committed)
        except (StoreRefused, LeaseLost) as error:
            if len(batch) == 1:
                batch[0].outcome = error
                return
            # One append spoiled it for those it shared the transaction with: give each its own.
            for append in batch:
                await self._store([append])
        except HubError as error:
            _fail(batch, error)
        except BaseException:
            if committing:
                _fail(batch, StoreUnavailable("nobody knows whether this was stored: ask again"))
            raise

    def _owned(self) -> list[int]:
        return list(self._transactions.owned.partitions())

    async def _rows(self, query: str, *values: object) -> list[Input]:
        async def work(connection: Connection) -> list[Input]:
            return [Input(*row) for row in await connection.fetch(query, *values)]

        return await self._database.read(work)


def _fail(batch: Sequence[_Append], error: HubError) -> None:
    for append in batch:
        if append.outcome is None:
            append.outcome = error
