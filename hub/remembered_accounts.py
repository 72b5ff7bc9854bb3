"""Accounts as they were last read, for as long as nothing happens to them: apps ask for the same pages again and again."""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Final, final

from typing_extensions import override

from hub.api.ports import AccountReader
from hub.api.ports import AccountView as AccountRecord
from hub.bus.log import Input
from hub.engine.rows import Batch

_MOST: Final = 20_000


@final
class RememberedAccounts(AccountReader):
    """For the process that decides everything itself: it has to hear of what is committed, and of every decision."""

    def __init__(self, reader: AccountReader, *, most: int = _MOST) -> None:
        self._reader = reader
        self._most = most
        self._known: OrderedDict[str, AccountRecord | None] = OrderedDict()
        self._reading: dict[str, object] = {}  # who read last; what happens meanwhile takes him out

    @override
    async def account(self, key: str) -> AccountRecord | None:
        if key in self._known:
            self._known.move_to_end(key)
            return self._known[key]
        mine = self._reading[key] = object()
        try:
            record = await self._reader.account(key)
            if self._reading.get(key) is mine:
                self._known[key] = record
                if len(self._known) > self._most:
                    self._known.popitem(last=False)
            return record
        finally:
            if self._reading.get(key) is mine:
                del self._reading[key]

    def at_hand(self, key: str) -> AccountRecord | None:
        """Return an account that was read before; None also for one that has to be read."""
        record = self._known.get(key)
        if record is not None:
            self._known.move_to_end(key)
        return record

    def hear(self, rows: Sequence[Input]) -> None:
        """Hear what was committed to the log."""
        for row in rows:
            self._forget(row.key)

    def decided(self, batch: Batch) -> None:
        """Hear what the engine committed."""
        for state in batch.states:
            self._forget(state.key)

    def _forget(self, key: str) -> None:
        self._known.pop(key, None)
        self._reading.pop(key, None)
