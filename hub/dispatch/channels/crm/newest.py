"""The newest word on every record wins: one that waited must not undo what was written after it was asked for."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, final

MOST_RECORDS: Final = 20_000


@final
class Newest:
    """Remembers when what was last written to each field was asked for, of the records written last.

    Only this process knows; after a restart, an upsert that was waiting may be written over a newer one.
    """

    def __init__(self, most: int = MOST_RECORDS) -> None:
        self._most = most
        self._written: OrderedDict[str, dict[str, int]] = OrderedDict()
        self._locks: dict[str, tuple[asyncio.Lock, int]] = {}

    @asynccontextmanager
    async def alone(self, record: str) -> AsyncIterator[None]:
        """Hold the record: nobody else writes to it meanwhile."""
        lock, waiting = self._locks.get(record, (asyncio.Lock(), 0))
        self._locks[record] = (lock, waiting + 1)
        try:
            async with lock:
                yield
        finally:
            lock, waiting = self._locks[record]
            if waiting == 1:
                del self._locks[record]
            else:
                self._locks[record] = (lock, waiting - 1)

    def left_of(self, record: str, fields: Mapping[str, Any], at_us: int) -> dict[str, Any]:
        """Return the fields nothing newer was written to."""
        written = self._written.get(record, {})
        return {name: value for name, value in fields.items() if written.get(name, at_us) <= at_us}

    def wrote(self, record: str, names: Iterable[str], at_us: int) -> None:
        written = self._written.setdefault(record, {})
        self._written.move_to_end(record)
        written.update(dict.fromkeys(names, at_us))
        while len(self._written) > self._most:
            self._written.popitem(last=False)
