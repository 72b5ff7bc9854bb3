"""A row of a key as it stands in the middle of a decision: as it was decided so far, else as it is stored."""

from typing import TypeVar

from hub.engine.scene import Scene
from hub.engine.values import Slot, Value

Row = TypeVar("Row", bound=Value)


def so_far(scene: Scene, slot: Slot, row: type[Row]) -> Row | None:
    """Return the row, or None where there is none or it was taken away."""
    puts = scene.decision.puts
    found = puts[slot] if slot in puts else scene.state.values.get(slot)
    return found if isinstance(found, row) else None
