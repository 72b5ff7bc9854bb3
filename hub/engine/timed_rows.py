"""What a trigger keeps of a key while time passes: a row named like the trigger, and the one timer the row may have.

Holds, absences, periods and schedules all live like this: they last over restarts, and outlive the file they began
with. What each of them waits for, and what it does when the time has come, is its own.
"""

from dataclasses import dataclass
from typing import Generic, NamedTuple, Protocol, TypeVar

from hub.clock import SECOND_US
from hub.engine.ledger import PeriodEnds
from hub.engine.plans import Candidate
from hub.engine.program import Trigger
from hub.engine.rows import TimerKey, TimerRow
from hub.engine.run_rows import Cause
from hub.engine.scene import Scene
from hub.engine.so_far import so_far
from hub.engine.timers import TriggerTimer, timer_id
from hub.engine.trigger_rows import Absence, Hold, Scheduled
from hub.engine.values import Kind, Slot

Row = TypeVar("Row", Hold, Absence, PeriodEnds, Scheduled)
Asked = TypeVar("Asked", bound=Trigger)


class HasTimer(Protocol):
    @property
    def due(self) -> int: ...

    @property
    def timer(self) -> str:
        """Empty: it has none."""


class InTime(NamedTuple):
    """A trigger to fire because time has passed; `number` tells its firings apart."""

    candidate: Candidate
    cause: Cause
    number: str
    reason: str


@dataclass(frozen=True, slots=True)
class TimedRows(Generic[Row, Asked]):
    """One kind of such rows: of which triggers, and what their timers are called."""

    kind: Kind
    row: type[Row]
    triggers: tuple[type[Asked], ...]
    word: str

    def of(self, scene: Scene, part: str) -> Row | None:
        return so_far(scene, self._slot(part), self.row)

    def all(self, scene: Scene) -> list[tuple[str, Row]]:
        """Return every row, by name."""
        found = ((part, self.of(scene, part)) for part, _ in scene.state.of_kind(self.kind))
        return sorted(((part, row) for part, row in found if row is not None), key=lambda each: each[0])

    def over(self, scene: Scene) -> list[tuple[str, Row]]:
        """Return the rows whose time has come, by name."""
        now = scene.item.at
        return [(part, row) for part, row in self.all(scene) if row.timer and row.due <= now]

    def trigger(self, scene: Scene, part: str) -> tuple[Candidate, Asked] | None:
        """Return whom a row belongs to; None where no live workflow has such a trigger any more."""
        workflow, _, name = part.rpartition("/")
        plan = scene.program.plans.get(workflow)
        candidate = plan.triggers.get(name) if plan is not None else None
        if candidate is None or not isinstance(candidate.trigger, self.triggers):
            return None
        return candidate, candidate.trigger

    def put(self, scene: Scene, part: str, row: Row | None) -> None:
        scene.decision.puts[self._slot(part)] = row

    def set_timer(self, scene: Scene, part: str, which: str, due: int) -> str:
        """Have the key woken at `due`; return the timer's name. `which` tells one waiting of a trigger from its next."""
        return set_timer(scene, part, part + which, due, self.word)

    def _slot(self, part: str) -> Slot:
        return self.kind.value, part


def set_timer(scene: Scene, owner: str, what: str, due: int, word: str) -> str:
    """Have the key woken at `due`; return the timer's name."""
    key, partition = scene.state.key, scene.state.partition
    name = timer_id(key, what, due)
    body = TriggerTimer(owner, due, word).encoded()
    scene.decision.writing().timers.append(TimerRow(partition, due, name, key, word, body))
    return name


def cancel_timer(scene: Scene, row: HasTimer) -> None:
    """Take a row's timer away, if it has one; one that has fired already is gone."""
    if row.timer:
        scene.decision.writing().cancelled.append(TimerKey(scene.state.partition, row.due, row.timer))


def late_by(late: int) -> str:
    """Say how many whole seconds (from µs) a timer came late, where it did."""
    return f"; late_by {late // SECOND_US}s" if late >= SECOND_US else ""
