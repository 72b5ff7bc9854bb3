"""What both stores' pages share: reading a cursor somebody gives back, and whether a row is one that was asked for."""

from collections.abc import Sequence

from hub.bus.log import Input
from hub.bus.pages import BadCursor
from hub.clock import SECOND_US
from hub.dispatch.patterns import matches
from hub.events.records import decode_envelope

# An attempt is written when it is over, and while the store is away, when it is back: pages that end at a moment look
# so much further.
WRITTEN_WITHIN_US = 24 * 3600 * SECOND_US
_DIGITS = 18  # what any of them fits into 64 bits with
_LONGEST_ID = 128


def number(cursor: str, default: int) -> int:
    """Return the number a cursor is; raises BadCursor for what this hub never gave."""
    if not cursor:
        return default
    if not (cursor.isascii() and cursor.isdigit()) or len(cursor) > _DIGITS:
        raise bad_cursor()
    return int(cursor)


def moment_and_id(cursor: str, *, first: int = 10**_DIGITS) -> tuple[int, str]:
    """Return the (at, id) a page goes on behind, or from `first`: the newest first begins at the end of time.

    Raises BadCursor for what this hub never gave.
    """
    if not cursor:
        return first, ""
    at, comma, name = cursor.partition(",")
    if not at or not comma or not name or len(name) > _LONGEST_ID:
        raise bad_cursor()
    return number(at, 0), name


def table_and_place(cursor: str) -> tuple[str, str]:
    """Return which table a page of deliveries goes on in, "w" what waits or "a" what is over, and where."""
    table, _, place = (cursor or "w:").partition(":")
    if table not in {"w", "a"}:
        raise bad_cursor()
    return table, place


def bad_cursor() -> BadCursor:
    return BadCursor("that cursor is not one of this hub's: begin again without it")


def is_wanted(row: Input, types: Sequence[str]) -> bool:
    """Return whether a row is of one of the types, given as patterns; all are wanted without any."""
    if not types:
        return True
    name = decode_envelope(row.body).type
    return any(matches(pattern, name) for pattern in types)
