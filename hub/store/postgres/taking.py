"""Taking what others left for the owned partitions: removed and written into the log in one transaction."""

from collections.abc import Sequence
from typing import NamedTuple, final

import structlog

from hub.errors import StoreRefused
from hub.events.facts import Fact
from hub.store.postgres.append import Content, Written
from hub.store.postgres.arrivals import Left, Taken, partitions_waiting, remove, set_aside, understand
from hub.store.postgres.database import Connection, Database, failure
from hub.store.postgres.transactions import OwnerTransactions

_logger = structlog.get_logger(__name__)


class _Result(NamedTuple):
    written: Written
    bad: list[tuple[int, str]]
    taken: int


@final
class ArrivalTaker:
    def __init__(self, database: Database, transactions: OwnerTransactions) -> None:
        self._database = database
        self._transactions = transactions

    async def take(self, limit: int) -> int:
        """Turn up to `limit` arrivals into rows, in order; return how many were taken out of the way."""
        await self._transactions.settle()
        owned = list(self._transactions.owned.partitions())
        # Looked for without a fence: mostly there is nothing.
        waiting = await self._database.read(lambda connection: partitions_waiting(connection, owned))
        if not waiting:
            return 0
        try:
            return await self._take(waiting, limit)
        except StoreRefused:
            # One of them spoils it for the others: each goes for itself, and the guilty one aside.
            taken = 0
            while taken < limit and await self._take(waiting, 1, guarded=True):
                taken += 1
            return taken

    async def _take(self, partitions: Sequence[int], limit: int, *, guarded: bool = False) -> int:
        transactions = self._transactions

        async def work(connection: Connection) -> _Result:
            rows = await remove(connection, sorted(transactions.held), limit)
            taken = understand(rows)
            written = Written([], {}, [])
            if guarded:
                written, taken = await self._write_guarded(connection, rows, taken)
            else:
                written = await transactions.write(connection, _contents(taken))
            reasons = dict(taken.bad)
            aside = [row for row in rows if row.rank in reasons]
            if aside:
                await set_aside(connection, aside, [reasons[row.rank] for row in aside])
            return _Result(written, taken.bad, len(rows))

        def committed(result: _Result) -> None:
            transactions.published(result.written)
            for rank, reason in result.bad:
                _logger.error("arrival.refused", rank=rank, reason=reason)

        return (await transactions.run(work, partitions, committed)).taken

    async def _write_guarded(
        self, connection: Connection, rows: Sequence[Left], taken: Taken
    ) -> tuple[Written, Taken]:
        """Write behind a savepoint: what the database refuses leaves the rest of the transaction as it was."""
        try:
            async with connection.transaction():
                return await self._transactions.write(connection, _contents(taken)), taken
        except Exception as error:
            reason = failure(error)
            if not isinstance(reason, StoreRefused):
                raise
            self._transactions.forget()
            return Written([], {}, []), Taken([], [(row.rank, str(reason)) for row in rows])


def _contents(taken: Taken) -> list[Content]:
    """Return each as an append of its own: facts and inputs keep the order they were left in."""
    return [((each,), ()) if isinstance(each, Fact) else ((), (each,)) for each in taken.good]
