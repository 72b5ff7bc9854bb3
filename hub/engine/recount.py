"""Aggregates that are new with a set of workflows, counted over a partition's log from its beginning.

Counting asks no trigger. It has states of its own, so that what an event's account was at the time is folded anew, and
what it finds is stored under the new aggregates' names, which nobody reads before the set is live. An aggregate by
another key than the account counts the mail its key was sent; what was never sent it cannot know.
"""

from collections.abc import Sequence
from typing import final

from hub.bus.log import Input, InputKind
from hub.engine.decide import recount
from hub.engine.decision import Decision, apply
from hub.engine.index import Program
from hub.engine.state import KeyState
from hub.engine.values import Kind, Slot
from hub.errors import HubError

COUNTED = frozenset({int(InputKind.EVENT), int(InputKind.MAIL)})


@final
class Recount:
    """`reached` is the last row that was counted; `asked` says whether the log was told that the count is near its end.

    `positions`: the set looks at open positions, and the one before it did not follow them.
    """

    def __init__(
        self, partition: int, name: str, program: Program, fresh: frozenset[str], *, positions: bool = False
    ) -> None:
        self.partition = partition
        self.name = name
        self.reached = 0
        self.asked = False
        self._program = program
        self._slots = frozenset((Kind.TOTAL.value, name) for name in fresh)
        self._fresh = fresh
        self._positions = positions
        self._states: dict[str, KeyState] = {}

    def take(self, rows: Sequence[Input]) -> list[Decision]:
        """Count rows in order; return what to store of them."""
        found: list[Decision] = []
        for row in rows:
            self.reached = row.n
            if row.key and row.kind in COUNTED:
                kept = self._count(row)
                if kept is not None:
                    found.append(kept)
        return found

    def _count(self, row: Input) -> Decision | None:
        state = self._states.get(row.key)
        if state is None:
            state = self._states[row.key] = KeyState(self.partition, row.key)
        try:
            decision = recount(self._program, state, row)
        except (HubError, ArithmeticError, ValueError):  # it could not be decided when it came either
            return None
        apply(state, decision)
        kept = Decision(self.partition, row.key, row.n, row.at)
        kept.puts = {slot: value for slot, value in decision.puts.items() if self._keeps(slot)}
        kept.changes = {name: change for name, change in decision.changes.items() if name in self._fresh}
        return kept if kept.puts or kept.changes else None

    def _keeps(self, slot: Slot) -> bool:
        return slot in self._slots or (self._positions and slot[0] == Kind.POSITION)
