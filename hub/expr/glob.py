"""Globs for ``like``: ``*`` is any run of characters, ``?`` is one, and no pattern can make matching slow.

A pattern is a row of bits, one for each place in it; each character of the text moves all of them at once, so the
cost is the length of the text whatever the pattern says.
"""

from functools import lru_cache
from typing import Final, final

MAX_PATTERN: Final = 200
MAX_SUBJECT: Final = 2_000


@final
class Glob:
    def __init__(self, pattern: str) -> None:
        if len(pattern) > MAX_PATTERN:
            raise ValueError(f"a pattern has at most {MAX_PATTERN} characters")
        steps = [character for character in pattern if character != "*"]
        self._any = sum(1 << place for place, step in enumerate(steps) if step == "?")
        self._moves: dict[str, int] = {}
        for place, step in enumerate(steps):
            self._moves[step] = self._moves.get(step, 0) | 1 << place
        # A place with a star before it stays reachable whatever comes.
        self._stays, place = 0, 0
        for character in pattern:
            if character == "*":
                self._stays |= 1 << place
            else:
                place += 1
        self._done = 1 << place

    def matches(self, subject: str) -> bool:
        if len(subject) > MAX_SUBJECT:
            raise ValueError(f"a text of more than {MAX_SUBJECT} characters is not matched")
        reached, moves, joker, stays = 1, self._moves, self._any, self._stays
        for character in subject:
            allowed = moves.get(character, 0) | joker if character != "?" else joker
            reached = (reached & allowed) << 1 | reached & stays
            if not reached:
                return False
        return bool(reached & self._done)


@lru_cache(maxsize=1024)
def glob(pattern: str) -> Glob:
    return Glob(pattern)
