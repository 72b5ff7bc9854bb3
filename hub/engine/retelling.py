"""The logs of all partitions read once more, for keys here that are no accounts and have new aggregates.

What concerned such a key before anybody kept something by it was never mailed to it. So accounts are folded anew, one
partition's after another's, and what would have been mailed is counted. It ends in each log where the set of workflows
was activated: from there on whatever concerns the new aggregates is mailed, though their set is not live yet.
"""

import copy
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, final

from hub.bus.log import Input, InputKind, Log, NewInput
from hub.engine.again import retell
from hub.engine.decision import Decision, apply
from hub.engine.index import Program
from hub.engine.keys import KeyKind
from hub.engine.recount import Recount
from hub.engine.state import KeyState
from hub.errors import HubError
from hub.ids import PARTITIONS

ROWS_AT_ONCE: Final = 256
MOST_STATES: Final = 200_000  # keys counted at once; of more, some partitions wait for the next time around


def telling(program: Program, coming: Program) -> Program:
    """Return the program with others beside it to mail for, which decide nothing."""
    if not coming.mailed:
        return program
    both = copy.copy(program)
    both.mailed = (*program.mailed, *coming.mailed)
    both.courses = {}  # some say that nobody else has to hear of an event
    return both


def counted_by_mail(program: Program, names: frozenset[str]) -> Program:
    """Return the workflows by other keys than the account that have any of these aggregates, and no others."""
    return Program(
        plan.workflow
        for each in program.mailed
        for plan in each.plans.values()
        if any(feed.name in names and feed.aggregate.over is None for _, feed in plan.feeds)
    )


@final
class Retelling:
    """One time around, for partitions that had the set activated by the same `word`.

    `cuts` says, once it is over, up to which number each partition's log was counted.
    """

    def __init__(self, log: Log, name: str, word: bytes, counts: Iterable[Recount]) -> None:
        self.cuts: dict[int, int] = {}
        self.counts: Mapping[int, Recount] = {each.partition: each for each in counts}
        self.word = word
        self._log = log
        self._name = name
        self._program = counted_by_mail(*_all_of(self.counts.values()))
        self._reached = 0
        self._states: dict[str, KeyState] = {}

    @property
    def over(self) -> bool:
        return len(self.cuts) == PARTITIONS

    def left(self, heads: Sequence[int]) -> int:
        """Return how many rows are still to be read."""
        partition = len(self.cuts)
        return max(sum(heads[partition:]) - self._reached, 0) if not self.over else 0

    def leave_out(self, partition: int) -> None:
        """Count no more for a partition."""
        self.counts = {each: count for each, count in self.counts.items() if each != partition}

    async def go_on(self) -> list[Decision] | None:
        """Read a little more; return what to store of it, or None where the log does not say yet where to end."""
        partition = len(self.cuts)
        rows = await self._log.read(partition, self._reached, ROWS_AT_ONCE)
        if not rows:
            return None
        found: list[Decision] = []
        for row in rows:
            self._reached = row.n
            if row.kind == InputKind.ACTIVATED:
                if row.ref == self._name and row.body == self.word:
                    self.cuts[partition] = row.n
                    self._reached = 0
                    self._states.clear()
                    break
            elif row.kind == InputKind.EVENT:
                for told in self._tell(row):
                    count = self.counts.get(told.partition)
                    kept = count.hear(_as_input(told, row)) if count is not None else None
                    if kept is not None:
                        found.append(kept)
        self._hold_back_some()
        return found

    def _tell(self, row: Input) -> Sequence[NewInput]:
        state = self._states.get(row.key)
        if state is None:
            state = KeyState(row.partition, row.key)
            if row.key:
                self._states[row.key] = state
        try:
            decision = retell(self._program, state, row)
        except (HubError, ArithmeticError, ValueError):  # it could not be decided when it came either
            return ()
        apply(state, decision)
        return decision.mail

    def _hold_back_some(self) -> None:
        """Have partitions wait for another time around while too many keys are counted at once."""
        kept = dict(self.counts)
        while len(kept) > 1 and sum(each.held for each in kept.values()) > MOST_STATES:
            kept.popitem()[1].begin_again()
        self.counts = kept


def _all_of(counts: Iterable[Recount]) -> tuple[Program, frozenset[str]]:
    names = frozenset[str]()
    program = Program(())
    for count in counts:
        program, names = count.program, names | count.fresh
    return program, names


def _as_input(told: NewInput, row: Input) -> Input:
    return Input(told.partition, row.n, row.at, InputKind.MAIL, told.key, told.ref, None, told.body)


def is_mailed(program: Program, names: frozenset[str]) -> bool:
    """Return whether any of these aggregates is by another key than the account."""
    return any(
        name in names for each in program.mailed for name in each.feeds if each.kind is not KeyKind.ACCOUNT
    )
