"""How far peaks have come since they were last written down."""

from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple, final

from hub.ingest.levels import LevelTable, Trail


class PeakSeen(NamedTuple):
    """How far a trail has come, for whoever writes that down."""

    partition: int
    level_id: str
    generation: int
    peak: str


SavePeaks = Callable[[Sequence[PeakSeen]], Awaitable[None]]


@final
class UnwrittenPeaks:
    """Without somebody to `write` them there are none: the engine's rows say all there is to know."""

    def __init__(self, write: SavePeaks | None) -> None:
        self._write = write
        self._moved: dict[tuple[str, str], Trail] = {}

    def came_to(self, trail: Trail) -> None:
        if trail.is_new and self._write is not None:
            self._moved[trail.level.key, trail.level.level_id] = trail

    def forget(self) -> None:
        self._moved.clear()

    async def save(self, table: LevelTable) -> None:
        """Write down those that are still watched. What could not be written waits on."""
        if not self._moved or self._write is None:
            return
        moved, self._moved = self._moved, {}
        trails = [
            each for place, each in moved.items() if table.trail_of(*place) is each and each.peak is not None
        ]
        for trail in trails:
            trail.is_new = False
        rows = [
            PeakSeen(each.level.partition, each.level.level_id, each.level.generation, format(each.peak, "f"))
            for each in trails
            if each.peak is not None
        ]
        try:
            await self._write(rows)
        except BaseException:
            self._moved = {**moved, **self._moved}
            raise
