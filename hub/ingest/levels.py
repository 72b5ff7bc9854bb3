"""Watched levels as a table of numbers: one row an account, a position or a symbol, one column a level, compared all at once.

Each cell holds what would make its level move next, as sign · value ≤ bound: an armed level waits to be passed, a
crossed one for its rearm, and 0 · value ≤ 0 lets every value through. Turning a decimal into a float keeps order, so
the floats show a few hits too many and never one too few; each hit is then decided by the decimals themselves.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Literal, NamedTuple, Protocol, final

import numpy as np
from numpy.typing import NDArray

from hub.events.watched import (
    POSITION,
    POSITION_FIELDS,
    SYMBOL,
    SYMBOL_FIELDS,
    Rule,
    decode_rule,
    farther,
    is_back,
    is_past,
    limit_at,
)
from hub.ingest.reading import FIELDS, PLACES, Reading

Edge = Literal["crossed", "recovered"]
_FIRST_WIDTH = 4
_FIRST_ROWS = 64
_KEPT = 256


class LevelState(Protocol):
    """A row of the engine's: `state` is new (never seen), armed, crossed, trail, day or gone; numbers are decimal strings."""

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
    @property
    def rule(self) -> str: ...
    @property
    def peak(self) -> str: ...


class Seen(NamedTuple):
    """A reading beside a level, with the limits as they were then: those that follow a peak move on."""

    reading: Reading
    threshold: Decimal
    rearm: Decimal


@dataclass(slots=True, eq=False)
class Trail:
    """The largest or smallest value so far, None before the first; `is_new` until that is written down."""

    level: LevelState
    peak: Decimal | None
    place: int
    row: int
    column: int
    is_new: bool = False

    def advance(self, value: Decimal) -> bool:
        if self.peak is not None and not farther(self.level.side, self.peak, value):
            return False
        self.peak, self.is_new = value, True
        return True


@dataclass(slots=True, eq=False)
class Cell:
    """One level. `told`: what the engine was told of, whose answer is awaited; `since`: what was seen meanwhile.

    `repeated`: it was told for the second time, because the engine's row had moved without taking it into account.
    Limits are None where they follow a peak that nobody has seen yet.
    """

    level: LevelState
    rule: Rule
    threshold: Decimal | None
    rearm: Decimal | None
    place: int  # of the field among a reading's values
    row: int
    column: int
    told: Seen | None = None
    repeated: bool = False
    since: list[Seen] = field(default_factory=list)

    def seen(self, reading: Reading) -> Seen | None:
        """Return a reading beside the limits as they are now."""
        if self.threshold is None or self.rearm is None:
            return None
        return Seen(reading, self.threshold, self.rearm)

    def beyond(self, seen: Seen) -> bool:
        value = seen.reading.values[self.place]
        side, inclusive = self.level.side, self.rule.inclusive
        return value is not None and is_past(side, seen.threshold, value, inclusive=inclusive)

    def edge(self, seen: Seen) -> Edge | None:
        """Return the edge a reading makes of an armed or a crossed level."""
        value = seen.reading.values[self.place]
        if value is None:
            return None
        if self.level.state == "armed":
            return "crossed" if self.beyond(seen) else None
        side, inclusive = self.level.side, self.rule.inclusive
        back = is_back(side, seen.threshold, seen.rearm, value, inclusive=inclusive)
        return "recovered" if back else None

    def keep(self, seen: Seen) -> None:
        """Remember a reading until the engine answers; when too many, the lowest, the highest and the last stay."""
        since = self.since
        since.append(seen)
        if len(since) > _KEPT:
            known = [item for item in since if item.reading.values[self.place] is not None] or since[-1:]
            ends = {
                id(pick(known, key=lambda item: item.reading.values[self.place] or Decimal(0)))
                for pick in (min, max)
            }
            self.since = [item for item in since if id(item) in ends or item is since[-1]]


@final
class LevelTable:
    def __init__(self) -> None:
        self._rows: dict[str, int] = {}
        self._free: list[int] = []
        self._cells: dict[tuple[str, str], Cell] = {}
        self._trails: dict[tuple[str, str], Trail] = {}
        self._in_row: list[list[Cell | Trail | None]] = []
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
        rule = decode_rule(level.rule)
        limits = _limits(level, rule)
        if limits is None:
            if known is not None:
                self.remove(known)
            return None
        row, column = (known.row, known.column) if known is not None else self._room(level.key)
        cell = Cell(level, rule, *limits, PLACES[level.field], row, column)
        self._follow(cell)
        self._cells[level.key, level.level_id] = cell
        self._in_row[row][column] = cell
        self._place[row, column] = cell.place
        self.watch(cell)
        return cell

    def trail(self, level: LevelState) -> list[Cell]:
        """Follow a value, from the farthest its row says; return the levels whose limits that moved."""
        place = level.key, level.level_id
        known = self._trails.get(place)
        if level.field not in FIELDS or (known is not None and known.level.generation > level.generation):
            return []
        told = [Decimal(text) for text in (level.threshold, level.peak) if text]
        fresh = known is None or known.level.generation != level.generation
        if known is None or fresh:
            row, column = (known.row, known.column) if known is not None else self._room(level.key)
            known = Trail(level, None, FIELDS.index(level.field), row, column)
            self._trails[place] = self._in_row[row][column] = known
            self._place[row, column] = known.place
        known.level, unwritten = level, known.is_new
        moved = [known.advance(peak) for peak in told]
        known.is_new = unwritten and not any(moved)  # what the row says is written
        self._look_for_peaks(known)
        return self._moved_with(known) if fresh or any(moved) else []

    def trail_of(self, key: str, level_id: str) -> Trail | None:
        return self._trails.get((key, level_id))

    def trails_of(self, key: str) -> list[Trail]:
        row = self._rows.get(key)
        return [] if row is None else [each for each in self._in_row[row] if isinstance(each, Trail)]

    def advance(self, trail: Trail, value: Decimal) -> list[Cell]:
        """Move a peak to a value, if it goes farther; return the levels whose limits that moved."""
        if not trail.advance(value):
            return []
        self._look_for_peaks(trail)
        return self._moved_with(trail)

    def held(self, key: str | None = None) -> list[Cell]:
        """Return the levels, of one account or of all, that somebody has to vouch for while they are passed."""
        if key is None:
            cells: list[Cell | Trail | None] = [*self._cells.values()]
        else:
            row = self._rows.get(key)
            cells = [] if row is None else self._in_row[row]
        return [
            cell
            for cell in cells
            if isinstance(cell, Cell)
            and cell.rule.held
            and (cell.level.state == "crossed" or cell.told is not None)
        ]

    def _look_for_peaks(self, trail: Trail) -> None:
        sign, bound = 0.0, 0.0
        if trail.peak is not None:
            sign, bound = (
                (-1.0, -float(trail.peak)) if trail.level.side == "max" else (1.0, float(trail.peak))
            )
        self._sign[trail.row, trail.column] = sign
        self._bound[trail.row, trail.column] = bound

    def _moved_with(self, trail: Trail) -> list[Cell]:
        name = trail.level.level_id
        moved = [
            cell for cell in self._in_row[trail.row] if isinstance(cell, Cell) and cell.rule.trail == name
        ]
        for cell in moved:
            self._follow(cell)
            self.watch(cell)
        return moved

    def _follow(self, cell: Cell) -> None:
        """Set a level's limits as the peak it follows has them."""
        rule = cell.rule
        if rule.limit is None:
            return
        trail = self._trails.get((cell.level.key, rule.trail))
        if trail is None or trail.peak is None:
            cell.threshold = cell.rearm = None
            return
        side, peak = trail.level.side, trail.peak
        cell.threshold = limit_at(rule.limit, side, peak, rule.lock)
        rearm = cell.threshold if rule.rearm is None else limit_at(rule.rearm, side, peak, rule.lock)
        cell.rearm = _behind(cell.level.side, cell.threshold, rearm)

    def remove(self, cell: Cell | Trail) -> None:
        row, column, key = cell.row, cell.column, cell.level.key
        places: dict[tuple[str, str], Cell] | dict[tuple[str, str], Trail]
        places = self._cells if isinstance(cell, Cell) else self._trails
        del places[key, cell.level.level_id]
        self._in_row[row][column] = None
        self._bound[row, column] = np.nan
        if not any(self._in_row[row]):
            del self._rows[key]
            self._free.append(row)

    def watch(self, cell: Cell) -> None:
        """Let the table look for the next edge of a level; a new or waiting one sees every value."""
        state, below = cell.level.state, cell.level.side == "below"
        if cell.threshold is None or cell.rearm is None:
            sign, bound = 0.0, float("nan")
        elif cell.told is not None or state == "new":
            sign, bound = 0.0, 0.0
        elif state == "armed":
            sign, bound = (1.0, float(cell.threshold)) if below else (-1.0, -float(cell.threshold))
        else:
            sign, bound = (-1.0, -float(cell.rearm)) if below else (1.0, float(cell.rearm))
        self._sign[cell.row, cell.column] = sign
        self._bound[cell.row, cell.column] = bound

    def hits(self, readings: Sequence[Reading]) -> list[tuple[Reading, Cell | Trail]]:
        """Return the readings that may concern a level or a peak, in order, each with that."""
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


def _limits(level: LevelState, rule: Rule) -> tuple[Decimal | None, Decimal | None] | None:
    if level.field not in _fields_of(level.key) or level.side not in {"below", "above"}:
        return None
    if rule.limit is not None:
        return None, None  # as the peak has them
    try:
        threshold, rearm = Decimal(level.threshold), Decimal(level.rearm or level.threshold)
    except InvalidOperation:
        return None
    if not threshold.is_finite() or not rearm.is_finite():
        return None
    return threshold, _behind(level.side, threshold, rearm)


def _fields_of(key: str) -> tuple[str, ...]:
    if key.startswith(POSITION):
        return POSITION_FIELDS
    return SYMBOL_FIELDS if key.startswith(SYMBOL) else FIELDS


def _behind(side: str, threshold: Decimal, rearm: Decimal) -> Decimal:
    # A rearm inside the breach would cross and recover for ever without any change of value.
    return max(threshold, rearm) if side == "below" else min(threshold, rearm)
