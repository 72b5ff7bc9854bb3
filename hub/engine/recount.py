"""Aggregates that are new with a set of workflows, counted over a partition's log from its beginning.

Counting asks no trigger. It has states of its own, so that what an event's account was at the time is folded anew, and
what it finds is stored under the new aggregates' names, which nobody reads before the set is live. Aggregates by
another key than the account count what all partitions' logs told (`retelling`) and, from where that ends, the mail
their key was sent.
"""

from collections.abc import Mapping, Sequence
from typing import final

from hub.bus.log import Input, InputKind
from hub.engine.again import recount
from hub.engine.decision import Decision, apply
from hub.engine.held import Followed
from hub.engine.index import Program
from hub.engine.mail import whence
from hub.engine.state import KeyState
from hub.engine.values import Kind, Slot
from hub.errors import HubError

# A key is brought in line with a set that goes live where it has a row: contributions to a sliding window are none.
KNOWN = (Kind.FOLLOWED.value, "")
COUNTED = frozenset({int(InputKind.EVENT), int(InputKind.MAIL)})


@final
class Recount:
    """`reached` is the last row that was counted; `asked` says whether the log was told that the count is near its end.

    `positions`: the set looks at open positions, and the one before it did not follow them. `since` is the row that
    activated it. `cuts`, where something is counted by mail: up to which row of each log others have told it.
    """

    def __init__(
        self,
        partition: int,
        name: str,
        program: Program,
        fresh: frozenset[str],
        *,
        positions: bool = False,
        since: int = 0,
        mailed: bool = False,
    ) -> None:
        self.partition = partition
        self.name = name
        self.program = program
        self.fresh = fresh
        self.since = since
        self.mailed = mailed
        self.reached = 0
        self.asked = False
        self.cuts: Mapping[int, int] | None = None
        self._slots = frozenset((Kind.TOTAL.value, name) for name in fresh)
        self._positions = positions
        self._states: dict[str, KeyState] = {}

    @property
    def waits_for_others(self) -> bool:
        """Return whether the other partitions' logs are to be counted first."""
        return self.mailed and self.cuts is None

    @property
    def held(self) -> int:
        """Return how many keys are held in memory."""
        return len(self._states)

    def begin_again(self) -> None:
        self._states.clear()

    def take(self, rows: Sequence[Input]) -> list[Decision]:
        """Count rows in order; return what to store of them."""
        found: list[Decision] = []
        for row in rows:
            self.reached = row.n
            if row.key and row.kind in COUNTED and (row.kind != InputKind.MAIL or self._is_new(row)):
                kept = self.hear(row)
                if kept is not None:
                    found.append(kept)
        return found

    def _is_new(self, row: Input) -> bool:
        """Return whether a mail is about an event that no partition's log has told already."""
        if self.cuts is None:
            return True
        at = whence(row.body)
        return at is not None and at[1] > self.cuts.get(at[0], 0)

    def hear(self, row: Input) -> Decision | None:
        """Count one row; return what to store of it."""
        state = self._states.get(row.key)
        if state is None:
            state = self._states[row.key] = KeyState(self.partition, row.key)
        try:
            decision = recount(self.program, state, row)
        except (HubError, ArithmeticError, ValueError):  # it could not be decided when it came either
            return None
        apply(state, decision)
        kept = Decision(self.partition, row.key, row.n, row.at)
        kept.puts = {slot: value for slot, value in decision.puts.items() if self._keeps(slot)}
        kept.changes = {name: change for name, change in decision.changes.items() if name in self.fresh}
        if kept.changes and state.by_mail:
            kept.puts[KNOWN] = Followed("")
        return kept if kept.puts or kept.changes else None

    def _keeps(self, slot: Slot) -> bool:
        return slot in self._slots or (self._positions and slot[0] == Kind.POSITION)
