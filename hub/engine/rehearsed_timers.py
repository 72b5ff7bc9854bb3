"""The timers of a rehearsal, in the order they fall due in: by (due, id)."""

from heapq import heappop, heappush
from typing import final

from hub.engine.rows import TimerRow


@final
class Timers:
    """`due` is a heap whose first is the next to fall due, or one that was cancelled."""

    __slots__ = ("_rows", "due")

    def __init__(self) -> None:
        self.due: list[tuple[int, str]] = []
        self._rows: dict[tuple[int, str], TimerRow] = {}

    def wait(self, timer: TimerRow) -> None:
        where = (timer.due, timer.id)
        if where not in self._rows:
            self._rows[where] = timer
            heappush(self.due, where)

    def cancel(self, due: int, timer: str) -> None:
        self._rows.pop((due, timer), None)

    def take(self, until: int) -> TimerRow | None:
        """Take out the next that is due by then."""
        while self.due and self.due[0][0] <= until:
            timer = self._rows.pop(heappop(self.due), None)
            if timer is not None:
                return timer
        return None
