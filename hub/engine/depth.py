"""How many workflows led to an event: told by its source, so that none starts another for ever."""

from functools import lru_cache
from typing import Final

_PUBLISHER: Final = "engine/"


def source_at(depth: int) -> str:
    """Return the source of what a workflow publishes that so many workflows led to, itself among them."""
    return f"{_PUBLISHER}{depth}"


@lru_cache(maxsize=256)  # sources are few, and every event is asked
def depth_of(source: str) -> int:
    """Return how many workflows led to an event: 0 for one from outside."""
    if not source.startswith(_PUBLISHER):
        return 0
    depth = source[len(_PUBLISHER) :]
    return int(depth) if depth.isascii() and depth.isdecimal() and len(depth) < 4 else 0
