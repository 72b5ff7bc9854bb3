"""How much one rendering may do: counted and not timed, so that what is decided again ends the same way.

What costs time is looking at characters and items, in filters and in comparisons; a text has no loops. Each value is
counted by its size whenever it is read or filtered.
"""

import threading
from collections.abc import Mapping
from typing import Final

from jinja2.exceptions import SecurityError

MOST_WORK: Final = 1_000_000
LONGEST_VALUE: Final = 65_536
MOST_ITEMS: Final = 1_000
_SMALL: Final = 32


class _Left(threading.local):
    left = MOST_WORK


_work = _Left()


def begin() -> None:
    """Begin a rendering, or a compilation: constants are calculated there."""
    _work.left = MOST_WORK


def count(value: object) -> None:
    """Count one look at a value. Raises SecurityError where it is too large, or where it all becomes too much."""
    size = _size(value)
    _work.left -= size
    if size > LONGEST_VALUE:
        raise SecurityError(
            f"a value in text has at most {LONGEST_VALUE} characters, and a list {MOST_ITEMS} items"
        )
    if _work.left < 0:
        raise SecurityError("the text looks at too much: use fewer or shorter values and filters")


def _size(value: object) -> int:
    if isinstance(value, str | bytes):
        return len(value) + _SMALL
    if isinstance(value, list | tuple):
        if len(value) > MOST_ITEMS:
            return LONGEST_VALUE + 1
        return _SMALL + sum(len(item) if isinstance(item, str) else _SMALL for item in value)
    return len(value) + _SMALL if isinstance(value, Mapping) else _SMALL
