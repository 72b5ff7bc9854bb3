"""Leaving a service alone for a while that takes nothing from us for now."""

from typing import Final, final

from hub.clock import SECOND_US, Clock

_NEVER: Final = float("-inf")


@final
class Rest:
    """Counted by the clock that never goes back: when the other one is put right, nobody rests for longer."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._until = _NEVER

    def left_us(self) -> int:
        """Return for how long more nothing is to be asked, 0 when it may be."""
        left = self._until - self._clock.monotonic()
        return round(left * SECOND_US) if left > 0 else 0

    def begin(self, for_us: int) -> bool:
        """Rest from now on, unless that is over sooner than a rest that has begun; return whether it is not."""
        until = self._clock.monotonic() + for_us / SECOND_US
        longer = until > self._until
        if longer:
            self._until = until
        return longer
