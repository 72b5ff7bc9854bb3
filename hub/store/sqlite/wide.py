"""Many rows in one statement.

Each statement gives the interpreter lock away and must win it back from a busy event loop, so a hundred rows in one
statement are many times faster there than a hundred statements. Statements come in sizes that double, so that few of
them are compiled and kept; what does not fill its size is padded.
"""

from collections.abc import Iterator, Sequence
from functools import cache
from itertools import chain
from typing import Any

import apsw

Row = tuple[Any, ...]
_WIDEST = 256


def insert(connection: apsw.Connection, head: str, rows: Sequence[Row], tail: str = "") -> None:
    """Insert rows in their order: ``head VALUES (…), (…) tail``."""
    for chunk in _chunks(rows):
        columns, size = len(chunk[0]), _size(chunk)
        values = list(chain.from_iterable(chunk))
        if size == len(chunk):
            connection.execute(f"{head} VALUES {_places(size, columns)} {tail}", values)
            continue
        # The padding is left out by its number and not for being empty: a row of ours is never mistaken for it.
        values += [None] * ((size - len(chunk)) * columns)
        values.append(len(chunk))
        connection.execute(f"{head} {_first_of(size, columns)} {tail}", values)


def among(connection: apsw.Connection, head: str, keys: Sequence[Row], tail: str = "") -> list[Row]:
    """Do something with the rows that have these keys: ``head IN (VALUES (…), (…)) tail``; return what it returns."""
    found: list[Row] = []
    for chunk in _chunks(keys):
        size = _size(chunk)
        padding = chunk[-1] * (size - len(chunk))  # asking twice for a key changes nothing
        statement = f"{head} IN (VALUES {_places(size, len(chunk[0]))}) {tail}"
        found += connection.execute(statement, [*chain.from_iterable(chunk), *padding]).fetchall()
    return found


def _chunks(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    return (rows[start : start + _WIDEST] for start in range(0, len(rows), _WIDEST))


def _size(rows: Sequence[Row]) -> int:
    """Return the next power of two."""
    return int(1 << (len(rows) - 1).bit_length())


@cache
def _places(rows: int, columns: int) -> str:
    return ",".join(["(" + ",".join("?" * columns) + ")"] * rows)


@cache
def _first_of(rows: int, columns: int) -> str:
    """Return a query for as many rows as its last parameter says, in their order."""
    names = ",".join(f"column{column}" for column in range(2, columns + 2))
    numbered = ",".join(f"({row}{',?' * columns})" for row in range(1, rows + 1))
    return f"SELECT {names} FROM (VALUES {numbered}) WHERE column1 <= ?"
