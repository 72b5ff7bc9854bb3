"""What stands in a table, in one number that is the same on both sides."""

from collections.abc import Iterable
from hashlib import sha256
from typing import Any

import msgspec

_encode = msgspec.msgpack.encode
_SIZE = 1 << 256


class Digest:
    """The sum of the hashes of all rows: neither side has to sort them, and a row too many does not undo another."""

    def __init__(self) -> None:
        self.rows = 0
        self._sum = 0

    def add(self, rows: Iterable[tuple[Any, ...]]) -> None:
        total, count = self._sum, self.rows
        for row in rows:
            total += int.from_bytes(sha256(_encode(row)).digest(), "big")
            count += 1
        self._sum, self.rows = total % _SIZE, count

    @property
    def hex(self) -> str:
        return f"{self._sum:064x}"
