"""Switches in memory: for tests, and for whatever keeps nothing."""

from typing import final

from typing_extensions import override

from hub.control.switches import Change, Rows, SwitchStore


@final
class MemorySwitches(SwitchStore):
    def __init__(self) -> None:
        self.rows: dict[str, bytes] = {}

    @override
    async def read(self) -> Rows:
        return dict(self.rows)

    @override
    async def change(self, work: Change) -> Rows:
        for name, value in work(dict(self.rows)).items():
            if value is None:
                self.rows.pop(name, None)
            else:
                self.rows[name] = value
        return dict(self.rows)
