"""Watched levels as a table of numbers: one row an account, one column a level, compared all at once.

Each cell holds what would make its level move next, as sign · value ≤ bound: an armed level waits to be passed, a
crossed one for its rearm, and 0 · value ≤ 0 lets every value through. Turning a decimal into a float keeps order, so
the floats show a few hits too many and never one too few; each hit is then decided by the decimals themselves.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Literal, Protocol, final

import numpy as np
from numpy.typing import NDArray

from hub.ingest.reading import FIELDS, Reading

Edge = Literal["crossed", "recovered"]
_FIRST_WIDTH = 4
_FIRST_ROWS = 64
_KEPT = 256


class LevelState(Protocol):
    """A row of the engine's: `state` is new (never seen), armed, crossed or gone; numbers are decimal strings."""

    @property
    def partition(self) -> int: ...
    @property
    def level_id(self) -> str: ...
    @property
    def key(self) -> str: ...
    @property
    def field(self) -> str: ...
    @property
    def side(self) -> str: ...
    @property
    def threshold(self) -> str: ...
    @property
    def rearm(self) -> str: ...
    @property
    def generation(self) -> int: ...
    @property
    def state(self) -> str: ...


@dataclass(slots=True, eq=False)
class Cell:
    """One level. `told`: what the engine was told of, whose answer is awaited; `since`: what was seen meanwhile.

    `repeated`: it was told for the second time, because the engine's row had moved without taking it into account.
    """

    level: LevelState
    threshold: Decimal
    rearm: Decimal
    place: int  # of the field in FIELDS
    row: int
    column: int
    told: Reading | None = None
    repeated: bool = False
    since: list[Reading] = field(default_factory=list)

    def beyond(self, value: Decimal) -> bool:
        return value < self.threshold if self.level.side == "below" else value > self.threshold

    def edge(self, reading: Reading) -> Edge | None:
        """Return the edge a reading makes of an armed or a crossed level."""
        value = reading.values[self.place]
        if value is None:
            return None
        if self.level.state == "armed":
            return "crossed" if self.beyond(value) else None
        back = value >= self.rearm if self.level.side == "below" else value <= self.rearm
        return "recovered" if back else None

    def keep(self, reading: Reading) -> None:
        """Remember a reading until the engine answers; when too many, the lowest, the highest and the last stay."""
        since = self.since
        since.append(reading)
        if len(since) > _KEPT:
            known = [item for item in since if item.values[self.place] is not None] or since[-1:]
            ends = {
                id(pick(known, key=lambda item: item.values[self.place] or Decimal(0))) for pick in (min, max)
            }
            self.since = [item for item in since if id(item) in ends or item is since[-1]]


@final
class LevelTable:
    def __init__(self) -> None:
        self._rows: dict[str, int] = {}
        self._free: list[int] = []
        self._cells: dict[tuple[str, str], Cell] = {}
        self._in_row: list[list[Cell | None]] = []
        self._bound: NDArray[np.float64] = np.full((0, _FIRST_WIDTH), np.nan)
        self._sign: NDArray[np.float64] = np.zeros((0, _FIRST_WIDTH))
        self._place: NDArray[np.intp] = np.zeros((0, _FIRST_WIDTH), dtype=np.intp)

    def __len__(self) -> int:
        return len(self._cells)

    def get(self, key: str, level_id: str) -> Cell | None:
        return self._cells.get((key, level_id))

    def row_of(self, key: str) -> int | None:
        return self._rows.get(key)

    def put(self, level: LevelState) -> Cell | None:
        """Add or replace a level; None, and no longer watched, when it cannot be compared with anything."""
        known = self._cells.get((level.key, level.level_id))
        limits = _limits(level)
        if limits is None:
            if known is not None:
                self.remove(known)
            return None
        row, column = (known.row, known.column) if known is not None else self._room(level.key)
        cell = Cell(level, *limits, FIELDS.index(level.field), row, column)
        self._cells[level.key, level.level_id] = cell
        self._in_row[row][column] = cell
        self._place[row, column] = cell.place
        self.watch(cell)
        return cell

    def remove(self, cell: Cell) -> None:
        row, column, key = cell.row, cell.column, cell.level.key
        del self._cells[key, cell.level.level_id]
        self._in_row[row][column] = None
        self._bound[row, column] = np.nan
        if not any(self._in_row[row]):
            del self._rows[key]
            self._free.append(row)

    def watch(self, cell: Cell) -> None:
        """Let the table look for the next edge of a level; a new or waiting one sees every value."""
        state, below = cell.level.state, cell.level.side == "below"
        if cell.told is not None or state == "new":
            sign, bound = 0.0, 0.0
        elif state == "armed":
            sign, bound = (1.0, float(cell.threshold)) if below else (-1.0, -float(cell.threshold))
        else:
            sign, bound = (-1.0, -float(cell.rearm)) if below else (1.0, float(cell.rearm))
        self._sign[cell.row, cell.column] = sign
        self._bound[cell.row, cell.column] = bound

    def hits(self, readings: Sequence[Reading]) -> list[tuple[Reading, Cell]]:
        """Return the readings that may concern a level, in order, each with the level."""
        watched = [(row, reading) for reading in readings if (row := self._rows.get(reading.key)) is not None]
        if not watched:
            return []
        rows = np.fromiter((row for row, _ in watched), dtype=np.intp, count=len(watched))
        values = np.array(
            [
                [np.nan if value is None else float(value) for value in reading.values]
                for _, reading in watched
            ]
        )
        sample, column = self.compare(rows, values)
        return [
            (watched[at][1], cell)
            for at, place in zip(sample.tolist(), column.tolist(), strict=True)
            if (cell := self._in_row[watched[at][0]][place]) is not None
        ]

    def compare(
        self, rows: NDArray[np.intp], values: NDArray[np.float64]
    ) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Return (sample, column) of every hit; `values` has one row a sample, in the order of FIELDS."""
        where = self._place.take(rows, axis=0)
        where += (np.arange(len(rows), dtype=np.intp) * len(FIELDS))[:, None]
        signed = values.ravel().take(where)
        signed *= self._sign.take(rows, axis=0)
        sample, column = np.nonzero(signed <= self._bound.take(rows, axis=0))
        return sample, column

    def _room(self, key: str) -> tuple[int, int]:
        row = self._rows.get(key)
        if row is None:
            if not self._free:
                self._grow_rows()
            row = self._rows[key] = self._free.pop()
        cells = self._in_row[row]
        if None not in cells:
            self._grow_width()
        return row, self._in_row[row].index(None)

    def _grow_rows(self) -> None:
        before, width = self._bound.shape
        more = max(before, _FIRST_ROWS)
        self._bound = np.vstack([self._bound, np.full((more, width), np.nan)])
        self._sign = np.vstack([self._sign, np.zeros((more, width))])
        self._place = np.vstack([self._place, np.zeros((more, width), dtype=np.intp)])
        self._in_row += [[None] * width for _ in range(more)]
        self._free += range(before + more - 1, before - 1, -1)

    def _grow_width(self) -> None:
        rows, width = self._bound.shape
        self._bound = np.hstack([self._bound, np.full((rows, width), np.nan)])
        self._sign = np.hstack([self._sign, np.zeros((rows, width))])
        self._place = np.hstack([self._place, np.zeros((rows, width), dtype=np.intp)])
        for cells in self._in_row:
            cells.extend([None] * width)


def _limits(level: LevelState) -> tuple[Decimal, Decimal] | None:
    if level.field not in FIELDS or level.side not in {"below", "above"}:
        return None
    try:
        threshold, rearm = Decimal(level.threshold), Decimal(level.rearm or level.threshold)
    except InvalidOperation:
        return None
    if not threshold.is_finite() or not rearm.is_finite():
        return None
    # A rearm inside the breach would cross and recover for ever without any change of value.
    return threshold, max(threshold, rearm) if level.side == "below" else min(threshold, rearm)
