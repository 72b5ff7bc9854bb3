"""How fast one endpoint is sent to: its rate, the pauses it asked for, and how many attempts at a time it bears.

All of it is kept here, in one place per endpoint, by the one process that owns it.
"""

from math import ceil
from random import Random
from typing import Final, final

from hub.clock import SECOND_US
from hub.dispatch.delivery import Aborted, Delivered, ErrorClass, Gone, Outcome, Refused, Unreachable

_NS_A_SECOND: Final = 1_000_000_000
_NS_A_US: Final = 1_000
TOO_MANY: Final = 429

TRIPS_AFTER: Final = 10  # failures in a row
FIRST_REST_US: Final = 5 * SECOND_US
LONGEST_REST_US: Final = 300 * SECOND_US
_JITTER: Final = 0.2
# What went wrong on our side of the line says nothing about how much the receiver bears.
_OUR_OWN: Final = frozenset({ErrorClass.BLOCKED.value, "transform"})


@final
class TokenBucket:
    """`rate` attempts a second, `burst` of them at once; it begins empty.

    Empty, because nobody knows what was sent before: a process that starts again and again, or an endpoint that goes
    from one to the other, gets no second burst. Counted in whole nanoseconds, so that no error adds up.
    """

    def __init__(self, rate: float, burst: int | None, now_us: int) -> None:
        self._every = ceil(_NS_A_SECOND / rate)
        many = max(ceil(rate), 1) if burst is None else burst
        self._slack = self._every * (many - 1)
        self._empty_for = self._every * many
        self._next = now_us * _NS_A_US + self._empty_for

    def free_at(self, now_us: int) -> int:
        """Return from when, in µs, the next attempt may go."""
        now = now_us * _NS_A_US
        if self._next - now > self._empty_for + self._every:
            self._next = now + self._empty_for  # the clock was set back
        return -((self._slack - self._next) // _NS_A_US)

    def take(self, now_us: int) -> None:
        self._next = max(self._next, now_us * _NS_A_US) + self._every


@final
class Pace:
    """Says whether an attempt may begin: not before `not_before`, and only while `running` is below `limit`.

    An endpoint that is overrun (429, 5xx, no answer) gets half as many at a time, at most once for those that were on
    their way together; each round of successes gives one back. After ten failures in a row it is left alone, longer each
    time, and then one attempt at a time tries how it is: what waits does not use its attempts up on a receiver that is
    down.
    """

    def __init__(self, random: Random) -> None:
        self._random = random
        self.most = 1
        self.limit = 1
        self.running = 0
        self.not_before = 0
        self.unwell = False
        self.bucket: TokenBucket | None = None
        self._asked: tuple[float | None, int | None] = (None, None)
        self._paused_until = 0
        self._rests_until = 0
        self._rest_us = FIRST_REST_US
        self._in_a_row = 0
        self._good = 0
        self._cut_at = 0
        self._looked_at = 0

    def settle_on(self, most: int, rate: float | None, burst: int | None, now_us: int) -> None:
        """Take what the endpoint asks for; what was learnt of it stays."""
        self.limit = most if not self.unwell else min(self.limit, most)
        self.most = most
        self.running = 0
        if (rate, burst) != self._asked:
            self.bucket = None if rate is None else TokenBucket(rate, burst, now_us)
            self._asked = rate, burst
        self.look(now_us)

    def room(self) -> int:
        return max(self.limit - self.running, 0)

    @property
    def paused_until(self) -> int:
        """Return until when the receiver asked to be left alone, in µs."""
        return self._paused_until

    @property
    def rests_until(self) -> int:
        """Return until when it is left alone because it failed again and again, in µs."""
        return self._rests_until

    def begins(self, now_us: int) -> bool:
        """Count an attempt that begins; return whether the next one has to wait for its token."""
        self.running += 1
        if self.bucket is None:
            return False
        self.bucket.take(now_us)
        self.look(now_us)
        return self.not_before > now_us

    def pause(self, until_us: int, now_us: int) -> None:
        self._heed_the_clock(now_us)
        self._paused_until = max(self._paused_until, until_us)
        self.look(now_us)

    def ended(self, outcome: Outcome, started_us: int, now_us: int) -> bool:
        """Learn from an outcome that is no plain success, or from any while unwell; return whether something changed."""
        self._heed_the_clock(now_us)
        match outcome:
            case Delivered() | Aborted() | Gone():
                return self._went_well(now_us)
            case Refused(status) if status < 500 and status != TOO_MANY:
                return self._went_well(now_us)  # it is up, and says no to this one
            case Unreachable(error) if error.value in _OUR_OWN:
                return False
            case _:
                return self._went_badly(started_us, now_us)

    def _went_well(self, now_us: int) -> bool:
        if not self.unwell:
            return False
        self._in_a_row = 0
        self._rest_us = FIRST_REST_US
        self._good += 1
        if self._good >= self.limit:
            self._good = 0
            self.limit = min(self.limit + 1, self.most)
        self.unwell = self.limit < self.most
        if self._rests_until:
            self._rests_until = 0
            self.look(now_us)
        return True

    def _went_badly(self, started_us: int, now_us: int) -> bool:
        self.unwell = True
        self._good = 0
        if started_us < self._cut_at:
            return False  # it was on its way when we slowed down
        self._in_a_row += 1
        self._cut_at = now_us if self.limit > 1 else 0
        self.limit = max(self.limit // 2, 1)
        if self._in_a_row >= TRIPS_AFTER:
            rest = self._rest_us * (1 + _JITTER * self._random.random())
            self._rests_until = now_us + int(rest)
            self._rest_us = min(self._rest_us * 2, LONGEST_REST_US)
            self.look(now_us)
        return True

    def look(self, now_us: int) -> None:
        """Work out when the next attempt may begin."""
        self._heed_the_clock(now_us)
        token = 0 if self.bucket is None else self.bucket.free_at(now_us)
        self.not_before = max(self._paused_until, self._rests_until, token)

    def _heed_the_clock(self, now_us: int) -> None:
        """Where the clock was set back, have what is waited for go back with it: it lasts as long as it was meant to."""
        back = self._looked_at - now_us
        if back > 0:
            self._paused_until -= back
            self._rests_until -= back
            self._cut_at -= back
        self._looked_at = now_us
