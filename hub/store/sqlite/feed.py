"""The log of one process as feeds read it: its rows have one order, so a place is one rank."""

from collections.abc import Collection, Sequence
from functools import partial
from typing import final

import apsw
from typing_extensions import override

from hub.bus.feed import FeedLog, Stretch, TooOld, bad_place
from hub.bus.log import Input, InputKind
from hub.store.sqlite.history import rank_at
from hub.store.sqlite.reader import Reader

_ROW = "partition, n, at, kind, key, ref, sequence, body, rank"
_AT_ONCE = 20_000  # rows looked at for one stretch: some 10 ms


@final
class SqliteFeed(FeedLog):
    axes = 1

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    @override
    def axis(self, row: Input) -> int:
        return 0

    @override
    def number(self, row: Input) -> int:
        return row.rank

    @override
    def axes_of(self, accounts: Collection[str] | None) -> Sequence[int]:
        return (0,)

    @override
    async def end(self) -> list[int]:
        return [(await self._reader.read(_ends))[1]]

    @override
    async def at(self, moment: int) -> list[int]:
        return [await self._reader.read(partial(rank_at, until=moment - 1))]

    @override
    async def translated(self, rank: int) -> list[int]:
        raise bad_place()

    @override
    async def after(
        self, place: Sequence[int], axes: Sequence[int], accounts: Collection[str] | None, limit: int
    ) -> Stretch:
        (after,) = place

        def work(connection: apsw.Connection) -> Stretch:
            first, last = _ends(connection)
            if after + 1 < first:
                raise TooOld
            upper = min(after + _AT_ONCE, last)
            of = "" if accounts is None else f" AND key IN ({', '.join('?' * len(accounts))})"
            rows = connection.execute(
                f"SELECT {_ROW} FROM input WHERE rank > ? AND rank <= ? AND kind = ?{of} ORDER BY rank LIMIT ?",
                (after, upper, int(InputKind.EVENT), *(accounts or ()), limit),
            )
            found = [Input._make(row) for row in rows]
            reached = found[-1].rank if len(found) == limit else max(upper, after)
            return Stretch(found, [reached], reached >= last)

        return await self._reader.read(work)


def _ends(connection: apsw.Connection) -> tuple[int, int]:
    """Return the first rank that is kept and the last."""
    row = connection.execute(
        "SELECT coalesce((SELECT min(rank) FROM input), 1), coalesce((SELECT max(rank) FROM input), 0)"
    ).fetchone()
    return (int(row[0]), int(row[1])) if row else (1, 0)
