"""The timers of a rehearsal, in the order they fall due in: by (due, id)."""

from collections import defaultdict
from heapq import heapify, heappop, heappush
from typing import final

from hub.engine.plans import Feed
from hub.engine.rows import TimerKey, TimerRow
from hub.engine.state import NEVER, KeyState
from hub.engine.timers import window_timer

_STRETCH = 32  # bits of a moment: some 72 minutes


@final
class Window:
    """Of one key, one that only lets go: its timer is moved again and again, and nobody stores it."""

    __slots__ = ("feed", "state")

    def __init__(self, state: KeyState, feed: Feed) -> None:
        self.state = state
        self.feed = feed


@final
class Waiting:
    """What falls due. The timer of a window is made where somebody asks for it, such as when two fall due at once."""

    __slots__ = ("_of", "due")

    def __init__(self, due: int, of: TimerRow | Window) -> None:
        self.due = due
        self._of = of

    def __lt__(self, other: "Waiting") -> bool:
        return self.timer.id < other.timer.id

    @property
    def window(self) -> Window | None:
        return self._of if isinstance(self._of, Window) else None

    @property
    def timer(self) -> TimerRow:
        of = self._of
        if isinstance(of, TimerRow):
            return of
        return window_timer(of.state.partition, of.state.key, of.feed.name, self.due)


@final
class Timers:
    """`next` is when the next falls due, or a while before.

    Most wait for days: they lie by the hour and out of order until their hour has come. One heap of them all would be
    gone through from end to end of its memory with every timer.
    """

    __slots__ = ("_later", "_now", "_reached", "_stretches", "_timers", "next")

    def __init__(self) -> None:
        self.next = NEVER
        self._reached = -1  # a stretch
        self._now: list[tuple[int, Waiting]] = []  # a heap of all up to its end
        self._later: defaultdict[int, list[tuple[int, Waiting]]] = defaultdict(list)
        self._stretches: list[int] = []  # a heap of those something waits in
        self._timers: set[tuple[int, str]] = set()  # but those of windows, who say themselves if they wait

    def wait(self, timer: TimerRow) -> None:
        where = (timer.due, timer.id)
        if where not in self._timers:
            self._timers.add(where)
            self._add(timer.due, Waiting(timer.due, timer))

    def watch(self, window: Window, due: int) -> None:
        """Have the timer of a window wait; it is not taken back, but found out of date when it is due."""
        self._add(due, Waiting(due, window))

    def cancel(self, timer: TimerKey) -> None:
        self._timers.discard((timer.due, timer.id))

    def take(self, until: int) -> Waiting | None:
        """Take out the next that is due by then."""
        while self._reach(until):
            _, waiting = heappop(self._now)
            if waiting.window is not None:
                return waiting
            where = (waiting.due, waiting.timer.id)
            if where in self._timers:
                self._timers.remove(where)
                return waiting
        return None

    def _add(self, due: int, waiting: Waiting) -> None:
        stretch = due >> _STRETCH
        if stretch <= self._reached:
            heappush(self._now, (due, waiting))
        else:
            later = self._later[stretch]
            if not later:
                heappush(self._stretches, stretch)
            later.append((due, waiting))
        self.next = min(self.next, due)

    def _reach(self, until: int) -> bool:
        """Return whether the first in `_now` is due by then; note when the next is if it is not."""
        while not self._now:
            start = self._stretches[0] << _STRETCH if self._stretches else NEVER
            if start > until:
                self.next = start
                return False
            self._reached = heappop(self._stretches)
            self._now = self._later.pop(self._reached)
            heapify(self._now)
        self.next = self._now[0][0]
        return self.next <= until
