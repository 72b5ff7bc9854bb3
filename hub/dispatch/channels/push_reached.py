"""What became of one push message at each of a client's devices."""

from collections import Counter
from collections.abc import Mapping
from typing import Final, final

from hub.dispatch.effects.notifier import TAKEN

_REASONS: Final = 3  # told in words; each device's own is told with the outcome
_LONGEST: Final = 120


@final
class Reached:
    def __init__(self) -> None:
        self._each: dict[str, str] = {}

    def took(self, device: str) -> None:
        self._each[device] = TAKEN

    def did_not(self, device: str, reason: str) -> None:
        self._each[device] = reason[:_LONGEST]

    def has(self, device: str) -> bool:
        return self._each.get(device) == TAKEN

    @property
    def each(self) -> Mapping[str, str]:
        return dict(self._each)

    @property
    def taken(self) -> int:
        return sum(how == TAKEN for how in self._each.values())

    def in_words(self) -> str:
        """Return how many have it, and why how many others do not."""
        reasons = Counter(how for how in self._each.values() if how != TAKEN)
        parts = [f"to {self.taken} of {len(self._each)} devices"]
        parts += [f"not to {number}: {reason}" for reason, number in reasons.most_common(_REASONS)]
        return "; ".join(parts)
