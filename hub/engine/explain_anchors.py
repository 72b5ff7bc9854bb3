"""What a workflow remembers, in plain English."""

from collections.abc import Iterator, Sequence
from typing import Final

from hub.engine import explain_names as names
from hub.engine.explain_conditions import Wording
from hub.engine.program import Anchor

_EXTREMES: Final = {"max": "the largest", "min": "the smallest"}
_BOUNDS: Final = {"max": "at most", "min": "at least"}


def remembered(anchors: Sequence[Anchor], each: str, wording: Wording) -> Iterator[str]:
    if anchors:
        yield f"Remembers, {each}:"
    for anchor in anchors:
        moves = "; deposits and withdrawals move it by their amount" if anchor.shifts else ""
        yield f"  {anchor.name}: {_anchor(anchor, wording)}{moves}."


def _anchor(anchor: Anchor, wording: Wording) -> str:
    if anchor.how in {"max", "min"}:
        return _extreme(anchor, wording)
    first = f"; until the first time, {wording.value(anchor.first)}" if anchor.first is not None else ""
    if anchor.day is not None:
        when = f"whenever it is {anchor.day.daily_at} by the clock of {anchor.day.zone}"
        return f"{wording.value(anchor.take)}, {when}{first}"
    if anchor.event is not None:
        near = wording.of_the_event()
        where = f" where {near.condition(anchor.where)}" if anchor.where is not None else ""
        return f"{wording.value(anchor.take)}, at every {names.kind(anchor.event)}{where}{first}"
    return f"{wording.value(anchor.take)}, when it is first known, and then for good{first}"


def _extreme(anchor: Anchor, wording: Wording) -> str:
    seen = ", between the events as well" if anchor.trails else ""
    first = f", beginning with {wording.value(anchor.first)}" if anchor.first is not None else ""
    lock = f", {_BOUNDS[anchor.how]} {wording.value(anchor.lock)}" if anchor.lock is not None else ""
    return f"{_EXTREMES[anchor.how]} value ever of {wording.value(anchor.take)}{seen}{first}{lock}"
