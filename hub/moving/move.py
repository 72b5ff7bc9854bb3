"""The move itself: carry every table over, see that both sides say the same, and only then let the hub run over there."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from hub.moving.digest import Digest
from hub.moving.source import Source
from hub.moving.tables import TABLES, Table
from hub.moving.target import Target

ROWS_A_BATCH = 5_000


class Watching(Protocol):
    """Who looks on."""

    def begin(self, doing: str, rows: int) -> None:
        """Hear that something begins which is about so many rows."""

    def advance(self, table: str, rows: int) -> None:
        """Hear of rows that are done; what was done before the move was interrupted counts too."""


class Compared(NamedTuple):
    """A table on both sides. `expected` counts its rows in the folder without reading them as the move does."""

    table: str
    expected: int
    here: Digest
    there: Digest

    @property
    def is_same(self) -> bool:
        return self.expected == self.here.rows == self.there.rows and self.here.hex == self.there.hex


class Move:
    """Carry over, then compare, then finish. Each may be done again after an interruption."""

    def __init__(
        self, source: Source, target: Target, watching: Watching, *, rows_a_batch: int = ROWS_A_BATCH
    ) -> None:
        self._source = source
        self._target = target
        self._watching = watching
        self._most = rows_a_batch
        self._identity = source.identity()

    async def begin(self) -> bool:
        """Return whether there is anything to do: False means that this hub was moved to this database already."""
        if not await self._target.begin(self._identity, moved_to=self._source.moved_to):
            return False
        await self._target.make_room(self._source.span())
        return True

    async def carry_over(self) -> None:
        counts = self._counts()
        self._watching.begin("moving", sum(counts.values()))
        for table in TABLES:
            await self._carry(table)

    async def compare(self) -> Sequence[Compared]:
        counts = self._counts()
        self._watching.begin("comparing", 2 * sum(counts.values()))
        return [await self._compare(table, counts[table.name]) for table in TABLES]

    async def finish(self, *, keep: bool) -> None:
        """Have the folder refused from now on, unless it is kept, and the database accepted.

        In this order: killed in between, neither can be run, and the move is finished by running it again.
        """
        self.mark(keep=keep)
        await self._target.finish(self._identity)

    def mark(self, *, keep: bool) -> None:
        if not keep and self._source.moved_to is None:
            self._source.mark_moved(self._target.name)

    async def _carry(self, table: Table) -> None:
        progress = await self._target.progress(table)
        self._watching.advance(table.name, progress.rows)
        if progress.whole:
            return
        for batch in self._source.batches(table, progress.after, self._most):
            progress = await self._target.write(table, batch, progress)
            self._watching.advance(table.name, len(batch.records))
        await self._target.close_table(table, progress)

    async def _compare(self, table: Table, expected: int) -> Compared:
        here = Digest()
        for batch in self._source.batches(table, None, self._most):
            here.add(batch.records)
            self._watching.advance(table.name, len(batch.records))
        there = await self._target.digest(table, lambda rows: self._watching.advance(table.name, rows))
        return Compared(table.name, expected, here, there)

    def _counts(self) -> dict[str, int]:
        return {table.name: self._source.count(table) for table in TABLES}
