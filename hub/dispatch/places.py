"""How many attempts a process makes at a time, over all endpoints: each may take a connection, and those are not without end.

Who finds no place is called when it is his turn. Endpoints take turns, one place each, however many attempts of theirs
wait; and none has more than a quarter, so that a few that hang hold up nobody.
"""

from typing import Final, Protocol, final

_SPARE: Final = 256  # open files that are no receiver's: the store, those who post, streams
_EACH: Final = 4  # open files a place may come to: its connection, and those that are kept a while
_LEAST: Final = 16
_UNLIMITED: Final = 1_000_000
_SHARE: Final = 4


class Visitor(Protocol):
    def come(self) -> None:
        """Hear that a place is kept: enter, and leave again if there is nothing to do after all."""


@final
class Places:
    def __init__(self, most: int = _UNLIMITED) -> None:
        self.most = most
        self.most_each = max(most // _SHARE, 1)
        self.taken = 0
        self._line: dict[Visitor, None] = {}
        self._kept: dict[Visitor, int] = {}  # counted among those that are taken

    @property
    def waiting(self) -> int:
        """Return how many endpoints wait for a place."""
        return len(self._line)

    def enter(self, who: Visitor) -> bool:
        """Take a place; without one, stand in the line."""
        if self._kept and who in self._kept:
            self._use(who)
            return True
        if self.taken < self.most and not self._line:
            self.taken += 1
            return True
        self._line[who] = None
        return False

    def wants_more(self, who: Visitor) -> None:
        """Stand in the line again, behind all others."""
        if self._line or self.taken >= self.most:
            self._line[who] = None

    def leave(self) -> None:
        if not self._line:
            self.taken -= 1
            return
        following = next(iter(self._line))
        del self._line[following]
        self._kept[following] = self._kept.get(following, 0) + 1
        following.come()

    def give_back(self, who: Visitor) -> None:
        """Give up what is kept: there is nothing to do for now."""
        if self._kept:
            for _ in range(self._kept.pop(who, 0)):
                self.leave()

    def go(self, who: Visitor) -> None:
        """Give up what is kept, and the place in the line: nobody comes any more."""
        self._line.pop(who, None)
        self.give_back(who)

    def _use(self, who: Visitor) -> None:
        left = self._kept.pop(who) - 1
        if left:
            self._kept[who] = left


def places_within(open_files: int) -> int:
    """Return how many places a process may have that may have so many open files; 0 or less: any number."""
    return max((open_files - _SPARE) // _EACH, _LEAST) if open_files > 0 else _UNLIMITED
