"""What decisions change, written one behind the other first, and put into its place in bulk later.

A batch of inputs touches as many accounts, and each account's rows stand on a page of their own: written in place, a
commit costs a page an event. Here a commit appends its changes to `state_change` and `series_change`, in the same
transaction as everything else; what they say is kept in memory beside the tables until there are so many that putting
them into their places costs little for each. After a crash that happens at the next start, before anything is read.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import apsw
import structlog

from hub.engine.rows import Batch, KeyRows, SeriesRow, StateRow
from hub.errors import StoreUnavailable
from hub.store.sqlite.wide import among, insert
from hub.store.sqlite.writer import Writer

log = structlog.get_logger(__name__)

ROWS_AT = 120_000  # rows in memory: some thirty megabytes
# Changes in the journal: what an account changes ten times is put in its place once. A start reads them in a second.
CHANGES_AT = 200_000
_SLICE = 400  # keys put in place in one transaction: a few milliseconds

StateName = tuple[int, str]
SeriesName = tuple[str, int, str]


class Overlay:
    """The latest changes of one key that are not in their place yet; `generation` tells when it last changed."""

    __slots__ = ("generation", "partition", "series", "states")

    def __init__(self, partition: int) -> None:
        self.partition = partition
        self.generation = 0
        self.states: dict[StateName, bytes | None] = {}
        self.series: dict[SeriesName, str | None] = {}

    def over(self, rows: KeyRows) -> KeyRows:
        """Return the rows as they stand with these changes."""
        states: dict[StateName, bytes | None] = {(kind, name): value for kind, name, value in rows.states}
        states |= self.states
        series: dict[SeriesName, str | None] = {
            (name, at, ref): value for name, at, ref, value in rows.series
        }
        series |= self.series
        return KeyRows(
            [(kind, name, value) for (kind, name), value in sorted(states.items()) if value is not None],
            [
                (name, at, ref, value)
                for (name, at, ref), value in sorted(series.items())
                if value is not None
            ],
            rows.levels,
        )


class Journal:
    """Everything but `write` happens on the event loop."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._overlays: dict[str, Overlay] = {}
        self._changes = 0
        self._rows = 0
        self._generation = 0
        self._full = asyncio.Event()

    def of(self, key: str) -> Overlay | None:
        return self._overlays.get(key)

    def keys(self, partition: int, after: str) -> list[str]:
        """Return keys with changes that stand nowhere else yet."""
        return [
            key for key, overlay in self._overlays.items() if overlay.partition == partition and key > after
        ]

    def write(self, connection: apsw.Connection, batch: Batch) -> None:
        """Append a batch's changes, inside its transaction."""
        insert(connection, "INSERT INTO state_change (partition, key, kind, name, value)", batch.states)
        insert(connection, "INSERT INTO series_change (partition, key, name, at, ref, value)", batch.series)

    def committed(self, batch: Batch) -> None:
        """Hear that a batch's changes are on disk."""
        self._generation += 1
        for row in batch.states:
            states, name = self._overlay(row.partition, row.key).states, (row.kind, row.name)
            self._rows += name not in states
            states[name] = row.value
        for change in batch.series:
            series = self._overlay(change.partition, change.key).series
            self._rows += (which := (change.name, change.at, change.ref)) not in series
            series[which] = change.value
        self._changes += len(batch.states) + len(batch.series)
        if self.is_full:
            self._full.set()

    @property
    def is_full(self) -> bool:
        """Whether it is time to put changes into their places."""
        return self._rows >= ROWS_AT or self._changes >= CHANGES_AT

    async def run(self, stopping: asyncio.Event) -> None:
        """Put changes into their places whenever there are enough of them, until told to stop."""
        async with asyncio.TaskGroup() as group:
            folding = group.create_task(self._keep_folding())
            await stopping.wait()
            folding.cancel()

    async def fold(self) -> None:
        """Put everything in its place, a few keys at a time so that others' transactions come in between."""
        until = await self._writer.submit(_latest)
        generation, self._changes = self._generation, 0
        waiting = sorted(self._overlays.items(), key=lambda item: (item[1].partition, item[0]))
        for start in range(0, len(waiting), _SLICE):
            rows = _rows(waiting[start : start + _SLICE])
            await self._writer.submit(lambda connection, rows=rows: put(connection, *rows))  # type: ignore[misc]  # bound now
        await self._writer.submit(lambda connection: _forget(connection, until))
        for key, overlay in waiting:
            if overlay.generation <= generation:
                del self._overlays[key]
        self._rows = sum(len(overlay.states) + len(overlay.series) for overlay in self._overlays.values())

    async def _keep_folding(self) -> None:
        while True:
            await self._full.wait()
            self._full.clear()
            try:
                await self.fold()
            except (
                StoreUnavailable
            ) as problem:  # nothing is lost: it stays in the journal, and later commits try again
                log.warning("store.not_folded", reason=str(problem))

    def _overlay(self, partition: int, key: str) -> Overlay:
        overlay = self._overlays.get(key)
        if overlay is None:
            overlay = self._overlays[key] = Overlay(partition)
        overlay.generation = self._generation
        return overlay


def put(connection: apsw.Connection, states: Sequence[StateRow], series: Sequence[SeriesRow]) -> None:
    """Write rows into their places; a value of None deletes one."""
    insert(connection, "INSERT OR REPLACE INTO state", [row for row in states if row.value is not None])
    insert(connection, "INSERT OR REPLACE INTO series", [row for row in series if row.value is not None])
    among(
        connection,
        "DELETE FROM state WHERE (partition, key, kind, name)",
        [row[:4] for row in states if row.value is None],
    )
    among(
        connection,
        "DELETE FROM series WHERE (partition, key, name, at, ref)",
        [row[:5] for row in series if row.value is None],
    )


def recover(connection: apsw.Connection) -> None:
    """Put what an earlier process left in the journal into its place, before anything is read."""
    states: Mapping[Any, StateRow] = {
        row[:4]: StateRow._make(row)
        for row in connection.execute(
            "SELECT partition, key, kind, name, value FROM state_change ORDER BY rank"
        )
    }
    series: Mapping[Any, SeriesRow] = {
        row[:5]: SeriesRow._make(row)
        for row in connection.execute(
            "SELECT partition, key, name, at, ref, value FROM series_change ORDER BY rank"
        )
    }
    if not states and not series:
        return
    with connection:
        put(
            connection,
            sorted(states.values(), key=lambda row: row[:4]),
            sorted(series.values(), key=lambda row: row[:5]),
        )
        _forget(connection, _latest(connection))


def _rows(keys: Sequence[tuple[str, Overlay]]) -> tuple[list[StateRow], list[SeriesRow]]:
    states = [
        StateRow(overlay.partition, key, kind, name, value)
        for key, overlay in keys
        for (kind, name), value in sorted(overlay.states.items())
    ]
    series = [
        SeriesRow(overlay.partition, key, name, at, ref, value)
        for key, overlay in keys
        for (name, at, ref), value in sorted(overlay.series.items())
    ]
    return states, series


def _latest(connection: apsw.Connection) -> tuple[int, int]:
    """Return the last ranks of both journals."""
    row = connection.execute(
        "SELECT coalesce((SELECT max(rank) FROM state_change), 0), coalesce((SELECT max(rank) FROM series_change), 0)"
    ).fetchone()
    assert row is not None
    states, series = row
    return states, series


def _forget(connection: apsw.Connection, until: tuple[int, int]) -> None:
    connection.execute("DELETE FROM state_change WHERE rank <= ?", (until[0],))
    connection.execute("DELETE FROM series_change WHERE rank <= ?", (until[1],))
