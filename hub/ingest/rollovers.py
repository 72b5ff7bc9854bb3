"""Which days are over, of which accounts: found by the clock, told once, and told later where the hub was down.

Rows belong to the engine and say until when a day's value is known. What is due waits for the account's next sample
where the row wants one and none was seen yet; after a while it is told without, and what it was worth follows.
"""

import heapq
from collections import defaultdict
from dataclasses import dataclass
from typing import Final, NamedTuple, final

from hub.clock import SECOND_US
from hub.events.days import began, ends
from hub.events.watched import WAITING, decode_rule
from hub.ingest.levels import LevelState

GRACE: Final = 30 * SECOND_US
NEVER: Final = 2**62


class DayClock(NamedTuple):
    zone: str
    daily_at: str


class Due(NamedTuple):
    """A day that is over: it ended `at`, and since `since` somebody could have told so."""

    clock: DayClock
    at: int
    since: int


@dataclass(slots=True)
class _Row:
    level: LevelState
    clock: DayClock
    sampled: bool


@final
class Rollovers:
    def __init__(self) -> None:
        self._rows: dict[tuple[str, str], _Row] = {}
        # How many rows each account has, and how many of them want a sample.
        self._of_clock: defaultdict[DayClock, dict[str, tuple[int, int]]] = defaultdict(dict)
        self._ends: list[tuple[int, DayClock]] = []
        self.due: dict[str, dict[DayClock, Due]] = {}
        self.wanted: dict[str, dict[DayClock, int]] = {}  # told without a sample: which day, by account

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def next_at(self) -> int:
        """Return when the next day ends."""
        return self._ends[0][0] if self._ends else NEVER

    def put(self, level: LevelState, now: int) -> None:
        """Take over a row; a day that ended unnoticed is due at once, the last one of several."""
        known = self._rows.get((level.key, level.level_id))
        if known is not None:
            if known.level.generation >= level.generation:
                return
            self.remove(level.key, level.level_id)
        clock, until = DayClock(level.side, level.threshold), int(level.rearm)
        sampled = decode_rule(level.rule).sampled
        self._rows[level.key, level.level_id] = _Row(level, clock, sampled)
        accounts = self._of_clock[clock]
        if not accounts and all(each != clock for _, each in self._ends):
            heapq.heappush(self._ends, (ends(now, *clock), clock))
        rows, wanting = accounts.get(level.key, (0, 0))
        accounts[level.key] = rows + 1, wanting + sampled
        latest = began(now, *clock)
        if until < latest:
            self._is_due(level.key, Due(clock, latest, now))
        elif level.state == WAITING:
            self.wanted.setdefault(level.key, {})[clock] = until

    def remove(self, key: str, level_id: str) -> None:
        row = self._rows.pop((key, level_id), None)
        if row is None:
            return
        _drop(self.wanted, key, row.clock)
        accounts = self._of_clock[row.clock]
        rows, wanting = accounts[key]
        accounts[key] = rows - 1, wanting - row.sampled
        if rows == 1:
            del accounts[key]
            _drop(self.due, key, row.clock)

    def advance(self, now: int) -> None:
        """Find the days that have ended by now."""
        while self._ends and self._ends[0][0] <= now:
            _, clock = heapq.heappop(self._ends)
            accounts = self._of_clock[clock]
            if not accounts:
                continue  # nobody wants to know any more
            at = began(now, *clock)
            for key in accounts:
                self._is_due(key, Due(clock, at, now))
            heapq.heappush(self._ends, (ends(now, *clock), clock))

    def wants_sample(self, key: str, clock: DayClock) -> bool:
        return self._of_clock[clock].get(key, (0, 0))[1] > 0

    def is_told(self, key: str, due: Due) -> None:
        known = self.due.get(key, {}).get(due.clock)
        if known is not None and known.at == due.at:
            _drop(self.due, key, due.clock)

    def again(self, key: str, due: Due) -> None:
        """Have it told once more: it could not be written down."""
        if key in self._of_clock[due.clock]:
            self._is_due(key, due)

    def _is_due(self, key: str, due: Due) -> None:
        days = self.due.setdefault(key, {})
        known = days.get(due.clock)
        if known is None or known.at < due.at:
            days[due.clock] = due
        _drop(self.wanted, key, due.clock)


def _drop(
    places: dict[str, dict[DayClock, Due]] | dict[str, dict[DayClock, int]], key: str, clock: DayClock
) -> None:
    found = places.get(key)
    if found is not None:
        found.pop(clock, None)
        if not found:
            del places[key]
