"""Who came near and was not touched: how the triggers stand for the keys of a rehearsal when it is over."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from heapq import nlargest

from hub.engine.noes import SCOPE, kind_of
from hub.engine.program import Workflow
from hub.engine.rehearsal import Rehearsal
from hub.engine.why import standing

MOST_KEYS = 5_000  # asked: a fifth of a second
MOST_NEAR = 10


@dataclass(frozen=True, slots=True)
class Miss:
    key: str
    trigger: str
    text: str
    share: Decimal

    def data(self) -> dict[str, object]:
        return {
            "who": self.key,
            "trigger": self.trigger,
            "remains": self.text,
            "share": round(float(self.share), 4),
        }


@dataclass(frozen=True, slots=True)
class Misses:
    """`out_of_scope` of so many `asked`; `nearest` first."""

    asked: int
    out_of_scope: Counter[str]
    nearest: Sequence[Miss]


def misses(rehearsal: Rehearsal, workflow: Workflow) -> Misses:
    """Ask the keys, as many as may be, how far each is; those who were touched are no misses."""
    out: Counter[str] = Counter()
    found: list[Miss] = []
    asked = 0
    for state in rehearsal.states(workflow.key, MOST_KEYS):
        asked += 1
        for each in standing(rehearsal.program, workflow.id, state, rehearsal.at):
            if kind_of(each.reason) == SCOPE:
                out[each.reason.removeprefix("scope: ").partition(" is ")[0]] += 1
                break
            if each.holds is False and each.remains:
                # Of several things that have to come together the one that is farthest decides.
                last = min(each.remains, key=lambda one: one.share)
                found.append(Miss(state.key, each.trigger, last.text, last.share))
    return Misses(asked, out, nlargest(MOST_NEAR, found, key=lambda miss: (miss.share, miss.key)))
