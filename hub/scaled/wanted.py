"""Whether samples have to tell of positions, for a process that follows sources and watches nothing itself."""

from typing import final

from hub.engine.position_levels import watches_positions
from hub.engine.programs import Programs


@final
class PositionsWanted:
    """Asks which workflows are live; until somebody has said so, positions are told."""

    def __init__(self, programs: Programs) -> None:
        self._programs = programs
        self._are_wanted = True

    def __call__(self) -> bool:
        return self._are_wanted

    async def look(self) -> None:
        live = await self._programs.live()
        self._are_wanted = live is None or any(map(watches_positions, live))
