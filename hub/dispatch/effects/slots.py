"""How many intents may be on their way at once, by lane: what is urgent finds room however many others are slow."""

from typing import Final

CRITICAL: Final = 0
BULK: Final = 2


class Slots:
    """Of `most`, a quarter is kept for critical intents, and of the rest bulk takes no more than half of all."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._of_others = max(1, most - most // 4)
        self._of_bulk = max(1, most // 2)
        self._taken: dict[str, int] = {}
        self._others = 0
        self._bulk = 0

    def __len__(self) -> int:
        return len(self._taken)

    def __contains__(self, key: str) -> bool:
        return key in self._taken

    def keys(self) -> frozenset[str]:
        """Return which are on their way now."""
        return frozenset(self._taken)

    @property
    def full(self) -> bool:
        return len(self._taken) >= self._most

    def free_for(self, priority: int) -> bool:
        """Return whether there is room; where there is none, there is none for anything less urgent either."""
        if self.full or priority <= CRITICAL:
            return not self.full
        return self._others < self._of_others and (priority < BULK or self._bulk < self._of_bulk)

    def take(self, key: str, priority: int) -> None:
        self._taken[key] = priority
        self._count(priority, 1)

    def leave(self, key: str) -> None:
        priority = self._taken.pop(key, None)
        if priority is not None:
            self._count(priority, -1)

    def _count(self, priority: int, by: int) -> None:
        self._others += by * (priority > CRITICAL)
        self._bulk += by * (priority >= BULK)
