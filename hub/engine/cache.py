"""The keys an engine has in memory: as many as it may, those used last."""

from collections import OrderedDict
from collections.abc import Sequence
from typing import final

from hub.engine.rows import EngineStore, KeyRows
from hub.engine.state import KeyState

NO_ROWS = KeyRows((), (), ())


@final
class KeyCache:
    def __init__(self, store: EngineStore, most: int) -> None:
        self._store = store
        self._most = most
        self._states: OrderedDict[str, KeyState] = OrderedDict()

    def __len__(self) -> int:
        return len(self._states)

    def __getitem__(self, key: str) -> KeyState:
        return self._states[key]

    async def bring(self, wanted: Sequence[tuple[int, str]]) -> None:
        """Have each (partition, key) in memory; what is missing is read in one call."""
        missing = [(partition, key) for partition, key in wanted if key not in self._states]
        if missing:
            rows = await self._store.load(missing)
            for partition, key in missing:
                self._states[key] = KeyState.from_rows(partition, key, rows.get(key, NO_ROWS))
        for _, key in wanted:
            self._states.move_to_end(key)

    def shrink(self) -> None:
        while len(self._states) > self._most:
            self._states.popitem(last=False)

    def drop(self, partition: int) -> None:
        """Forget the keys of a partition, whose rows were changed beside the engine."""
        for key in [key for key, state in self._states.items() if state.partition == partition]:
            del self._states[key]

    def clear(self) -> None:
        self._states.clear()
