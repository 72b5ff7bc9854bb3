"""A clock that ran ahead and was set back: nobody waits for the time it had.

A moment on disk is of the clock of whoever wrote it. Nothing is ever due further ahead than its schedule can say, so
what is was written by a clock that has been set back since: it is due by its schedule, from now on.
"""

from collections.abc import Callable, Sequence
from typing import Final, final

from hub.clock import SECOND_US, Clock
from hub.dispatch.outbox import Deliveries, Delivery, PutOff
from hub.dispatch.schedule import JITTER, LONGEST_WAIT_US

NOTICED_US: Final = SECOND_US
_PAGE: Final = 1_000
# After a schedule was made shorter, all that waits looks as if it waited for too long.
LOOKED_UP: Final = 1_000

Longest = Callable[[Delivery], int]


@final
class SetBack:
    """Notices that the clock was set back, by the one that never is."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ahead_us = self._difference()

    def by_us(self) -> int:
        """Return by how much it was set back since the last look; what it is corrected by all the time adds up."""
        ahead = self._difference()
        back = self._ahead_us - ahead
        if back >= NOTICED_US or back < 0:
            self._ahead_us = ahead
        return back if back >= NOTICED_US else 0

    def _difference(self) -> int:
        return self._clock.now_us() - round(self._clock.monotonic() * SECOND_US)


def due_instead(due: int, longest_us: int, now_us: int, back_us: int = 0) -> int:
    """Return when it is due of which nobody waits for longer than `longest_us`; `back_us`, if known, is how far the clock was ahead."""
    latest = now_us + longest_us
    if due <= latest:
        return due
    return min(latest, max(due - back_us, now_us)) if back_us else latest


def longest_of(waits: Sequence[float], *, in_order: bool) -> Longest:
    """Return what says how long a delivery waits by its schedule.

    One that was never tried waits for nothing, or, where accounts have an order, for one before it.
    """
    each = [int(wait * (1 + JITTER) * SECOND_US) + 1 for wait in waits] or [0]
    untried = max(each) if in_order else 0

    def longest(row: Delivery) -> int:
        return each[min(row.attempts, len(each)) - 1] if row.attempts else untried

    return longest


async def put_right(deliveries: Deliveries, endpoint: str, longest: Longest, now_us: int) -> int:
    """Have deliveries a clock wrote that ran ahead be due by their schedule; return how many. None of them may be in memory.

    Raises StoreUnavailable and LeaseLost; it may be called again.
    """
    after = (now_us, 0, 0)
    moved = looked_up = 0
    while True:
        rows = await deliveries.waiting(endpoint, after=after, limit=_PAGE)
        late = [row for row in rows if row.due > now_us + longest(row)]
        moves = []
        for row in late:
            if not row.attempts:
                due = now_us
            elif looked_up < LOOKED_UP:
                looked_up += 1
                due = await _by_its_record(deliveries, row, longest(row), now_us)
            else:
                due = due_instead(row.due, max(longest(row), LONGEST_WAIT_US), now_us)
            if due < row.due:
                moves.append(PutOff(row, due))
        if moves:
            await deliveries.put_off(moves)
            moved += len(moves)
        if len(rows) < _PAGE:
            return moved
        after = (rows[-1].due, rows[-1].partition, rows[-1].n)


async def _by_its_record(deliveries: Deliveries, row: Delivery, longest_us: int, now_us: int) -> int:
    """Return when one that waits for longer than its schedule says is due: its receiver may have asked for that."""
    attempts = await deliveries.attempts(row.endpoint, row.partition, row.n)
    if not attempts or attempts[-1].next_at is None:  # past its retention
        return now_us + longest_us
    last = attempts[-1]
    was_ahead = last.at > now_us
    return now_us + attempts[-1].next_at - last.at if was_ahead else row.due
