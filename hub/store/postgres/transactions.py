"""The transactions of an owner that write to its log: one at a time, fenced, and heard of in the order they committed."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import TypeVar

import asyncpg

from hub.bus.lease import Lease, Owned
from hub.bus.log import Input
from hub.clock import Clock
from hub.errors import LeaseLost, StoreRefused, StoreUnavailable
from hub.ids import PARTITIONS
from hub.store.postgres.append import Content, Written, write
from hub.store.postgres.database import Connection, Database
from hub.store.postgres.heads import heads_at_rest, rows_after
from hub.store.postgres.notices import notify_arrivals
from hub.store.postgres.numbering import Numbering

T = TypeVar("T")
Listener = Callable[[Sequence[Input]], None]


class OwnerTransactions:
    """Numbers are given from memory, so a transaction must know how the one before it ended: `turn` lets one in.

    Also a follower relies on it: a row of these partitions never commits after one of a higher rank, and is heard of in
    that order. So after a transaction whose end is unknown the next one first finds out what it stored.
    """

    def __init__(self, database: Database, clock: Clock, owned: Owned) -> None:
        self.turn = asyncio.Lock()
        self.owned = owned
        self.heads = [0] * PARTITIONS
        self.listeners: list[Listener] = []
        self._database = database
        self._clock = clock
        self._numbering = Numbering()
        self.held: dict[int, Sequence[Lease]] = {}  # by the transaction that is running
        self._away: set[int] = set()  # partitions it left something for
        self._unsure = False  # whether a transaction was committed; if so, its rows are not published

    def forget(self) -> None:
        """Trust nothing that is kept in memory; for a change of what is owned, which is also noticed without it."""
        self._numbering.forget()

    async def open(self) -> None:
        """Know the heads of what is owned now; nothing that is stored already will be told to listeners."""
        async with self.turn:
            found = await self._database.transact(
                lambda connection: heads_at_rest(connection, self._leases())
            )
            self.heads = [found.get(p, 0) for p in range(PARTITIONS)]
            self._numbering.forget()
            self._unsure = False

    async def settle(self) -> None:
        """Tell listeners of rows that were stored by a transaction whose end nobody told us."""
        async with self.turn:
            await self._settle()

    async def run(
        self,
        work: Callable[[Connection], Awaitable[T]],
        touching: Collection[int],
        committed: Callable[[T], None],
        fence: Sequence[Lease] = (),
    ) -> T:
        """Do the work in a transaction of its own, when its turn comes.

        `touching` are the partitions it may write rows of; those that are not owned are left out. `work` may be done
        twice; `committed` is told its result before the next transaction begins.
        """
        async with self.turn:
            return await self.run_now(work, touching, committed, fence)

    async def run_now(
        self,
        work: Callable[[Connection], Awaitable[T]],
        touching: Collection[int],
        committed: Callable[[T], None],
        fence: Sequence[Lease] = (),
    ) -> T:
        """As `run`, for whoever has the turn already."""
        await self._settle()
        mine = set(self.owned.partitions()).intersection(touching)
        self.held = {partition: self.owned.fence((partition,)) for partition in sorted(mine)}
        self._away = set()
        leases = list(dict.fromkeys([*fence, *(lease for by in self.held.values() for lease in by)]))
        try:
            try:
                result = await self._database.transact(work, leases)
            except StoreRefused as error:
                if not isinstance(error.__cause__, asyncpg.UniqueViolationError):
                    raise
                # The same key was written at the same moment, by another owner or by a commit of ours that came late.
                # It is there now, and will be recognised.
                self._numbering.forget()
                self._unsure = True
                await self._settle()
                result = await self._database.transact(work, leases)
        except (StoreRefused, LeaseLost):
            self._numbering.forget()
            raise
        except BaseException:  # also when cancelled: nobody knows then whether it was committed
            self._numbering.forget()
            self._unsure = True
            raise
        committed(result)
        if self._away:
            # They look by themselves too, so a notice that cannot be sent is no failure of what is stored.
            with contextlib.suppress(StoreUnavailable):
                await notify_arrivals(self._database, self._away)
        return result

    async def write(self, connection: Connection, appends: Sequence[Content]) -> Written:
        """Add to the log inside the transaction that is running; what belongs elsewhere is left for its owner."""
        written = await write(connection, self._numbering, self.held, self._clock.now_us(), appends)
        named = {fact.partition for facts, _ in appends for fact in facts}
        named |= {item.partition for _, items in appends for item in items}
        self._away = named - self.held.keys()
        return written

    async def _settle(self) -> None:
        if not self._unsure:
            return
        leases = self._leases()

        async def work(connection: Connection) -> list[Input]:
            found = await heads_at_rest(connection, leases)
            grown = [(p, self.heads[p]) for p, n in found.items() if n > self.heads[p]]
            return await rows_after(connection, grown)

        rows = await self._database.transact(work)
        self._unsure = False
        # A follower passes over what it does not hear of in order, so these come before anything newer.
        self.published(Written(rows, {row.partition: row.n for row in rows}, []))

    def _leases(self) -> dict[int, Sequence[Lease]]:
        """Return what proves each partition is ours, of those that still are."""
        leases: dict[int, Sequence[Lease]] = {}
        for partition in self.owned.partitions():
            with contextlib.suppress(LeaseLost):
                leases[partition] = self.owned.fence((partition,))
        return leases

    def published(self, written: Written) -> None:
        # Another list: who was given the old one may still compare with it.
        self.heads = [written.heads.get(p, n) for p, n in enumerate(self.heads)]
        if not written.rows:
            return
        for listener in self.listeners:
            try:
                listener(written.rows)
            except Exception as error:  # what it was told is stored, and others wait for their answers
                asyncio.get_running_loop().call_exception_handler(
                    {"message": "a listener failed after a commit", "exception": error}
                )
