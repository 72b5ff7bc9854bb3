"""The inputs of one key out of the log, the latest first: no index holds them, so a bounded stretch of it is looked at."""

from collections.abc import Callable
from functools import partial
from typing import final

import apsw
from typing_extensions import override

from hub.bus.log import Input
from hub.clock import Clock
from hub.engine.keys import partition_of
from hub.engine.past import History, Told
from hub.store.sqlite.reader import Reader

_ROW = "partition, n, at, kind, key, ref, sequence, body, rank"
_AT_ONCE = 50_000  # rows looked at in one snapshot: some 30 ms
_SECONDS = 0.25  # of looking, in which half a million rows go by


@final
class SqliteHistory(History):
    def __init__(self, reader: Reader, clock: Clock, *, seconds: float = _SECONDS) -> None:
        self._reader = reader
        self._clock = clock
        self._seconds = seconds

    @override
    async def told(self, key: str, *, until: int, last: Input | None, most: int) -> Told:
        begun = self._clock.monotonic()
        upper = last.rank if last is not None else await self._reader.read(partial(rank_at, until=until))
        found: list[Input] = []
        while upper > 0:
            rows, upper = await self._reader.read(_stretch(partition_of(key), key, upper, most - len(found)))
            found += rows
            if rows and rows[-1].sequence == 1:
                return Told(found[::-1], complete=True)
            if len(found) >= most or self._clock.monotonic() - begun > self._seconds:
                return Told(found[::-1], complete=False)
        return Told(found[::-1], complete=_from_its_beginning(found))


def _from_its_beginning(found: list[Input]) -> bool:
    """Return whether the whole log was enough: the first event of an account is numbered 1, other keys have no numbers."""
    numbers = [row.sequence for row in found if row.sequence is not None]
    return not numbers or numbers[-1] == 1


def _stretch(
    partition: int, key: str, upper: int, most: int
) -> Callable[[apsw.Connection], tuple[list[Input], int]]:
    def work(connection: apsw.Connection) -> tuple[list[Input], int]:
        lower = max(upper - _AT_ONCE, 0)
        rows = connection.execute(
            f"SELECT {_ROW} FROM input WHERE rank > ? AND rank <= ? AND partition = ? AND key = ? ORDER BY rank DESC LIMIT ?",
            (lower, upper, partition, key, most),
        )
        found = [Input._make(row) for row in rows]
        first = connection.execute("SELECT min(rank) FROM input").fetchone()
        if first is None or first[0] is None or lower < int(first[0]):
            lower = 0
        return found, lower

    return work


def rank_at(connection: apsw.Connection, until: int) -> int:
    """Return the rank of the last row at or before a moment: `at` never decreases with rank, so halving finds it."""
    row = connection.execute("SELECT min(rank) - 1, max(rank) FROM input").fetchone()
    if row is None or row[0] is None:
        return 0
    low, high = int(row[0]), int(row[1])
    while low < high:
        middle = (low + high + 1) // 2
        found = connection.execute(
            "SELECT at FROM input WHERE rank <= ? ORDER BY rank DESC LIMIT 1", (middle,)
        ).fetchone()
        if found is None or int(found[0]) <= until:
            low = middle
        else:
            high = middle - 1
    return low
