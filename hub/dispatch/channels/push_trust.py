"""How far a push project is believed when it says that a token is another sender's.

Firebase says so of a token of another app, and of every token there is where the service account is another app's. So a
device goes for it only where ten messages were taken by devices of the project before; that is kept, for three of them.
"""

from collections.abc import Callable, Mapping
from typing import Final, Protocol, TypeAlias, final

from hub.errors import StoreUnavailable

TAKEN_FOR_ONE: Final = 10
MOST_TAKEN: Final = 3 * TAKEN_FOR_ONE

Rows: TypeAlias = Mapping[str, bytes]
Change: TypeAlias = Callable[[Rows], Mapping[str, bytes | None]]


class Taken(Protocol):
    """How many messages count for each project, on disk."""

    async def change(self, work: Change) -> Rows:
        """Have `work` say what changes and return the rows after it, in one transaction; `work` may be called again."""


@final
class PushTrust:
    def __init__(self, taken: Taken, project: str) -> None:
        self._taken = taken
        self._project = project
        self._full = False  # as far as this process knows: while it is, nothing is written

    async def took(self) -> None:
        """Count a message that a device took."""
        if self._full:
            return
        try:
            rows = await self._taken.change(self._one_more)
        except StoreUnavailable:
            return  # it was taken all the same; one less counts
        self._full = self._count(rows) >= MOST_TAKEN

    async def believed(self) -> bool:
        """Return whether a device may go now, and count it."""
        self._full = False
        enough = False

        def work(rows: Rows) -> Mapping[str, bytes | None]:
            nonlocal enough
            left = self._count(rows) - TAKEN_FOR_ONE
            enough = left >= 0
            return {self._project: str(left).encode()} if enough else {}

        try:
            await self._taken.change(work)
        except StoreUnavailable:
            return False
        return enough

    def _one_more(self, rows: Rows) -> Mapping[str, bytes | None]:
        return {self._project: str(min(self._count(rows) + 1, MOST_TAKEN)).encode()}

    def _count(self, rows: Rows) -> int:
        return int(rows.get(self._project, b"0"))
