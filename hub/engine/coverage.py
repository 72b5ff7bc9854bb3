"""What of a workflow its stories have been to: triggers, steps, both sides of every branch, and each reason to say no."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from hub.engine.code import Act, Branch, Instruction, code_of
from hub.engine.decision import Trace, Verdict
from hub.engine.index import Program
from hub.engine.noes import CONDITION, LIMIT, QUIET, RUN_MODE, SCOPE, WHERE, kind_of
from hub.engine.plans import quoted
from hub.engine.program import Becomes, Crosses, OnEvent, Workflow
from hub.engine.why import Standing
from hub.intents.intent import Intent

TRIGGER, STEP, BRANCH, NO = "trigger", "step", "branch", "no"
BACK: Final = ", taken back"
PARTS: Final = (TRIGGER, STEP, BRANCH, NO)
_FIRED: Final = frozenset({Verdict.FIRED, Verdict.DONE})


class Point(NamedTuple):
    """Something a story can reach: `part` is one of PARTS, `name` says which."""

    part: str
    name: str


class Covered(NamedTuple):
    reached: int
    of: int

    @property
    def percent(self) -> int:
        """Return whole percents, and 100 only where nothing is left."""
        return 100 if self.of == 0 else self.reached * 100 // self.of


@dataclass(frozen=True, slots=True)
class Coverage:
    """Which points of one workflow its stories reached; every point it has is there."""

    workflow: str
    points: Mapping[Point, bool]
    stories: int

    def of(self, part: str = "") -> Covered:
        found = [reached for point, reached in self.points.items() if part in {"", point.part}]
        return Covered(sum(found), len(found))

    @property
    def missing(self) -> list[str]:
        return [f"{point.part} {point.name}" for point, reached in self.points.items() if not reached]

    def data(self) -> dict[str, Any]:
        return {
            "workflow": self.workflow,
            "stories": self.stories,
            "percent": self.of().percent,
            **{
                plural: {point.name: reached for point, reached in self.points.items() if point.part == part}
                for part, plural in zip(PARTS, ("triggers", "steps", "branches", "noes"), strict=True)
            },
            "missing": self.missing,
        }


def points_of(workflow: Workflow) -> list[Point]:
    """Return all there is to reach, in the order of the file."""
    found = [Point(TRIGGER, trigger.id) for trigger in workflow.triggers]
    if workflow.grant is not None:
        found += [Point(TRIGGER, workflow.grant.id), Point(TRIGGER, f"{workflow.grant.id}{BACK}")]
    found += [Point(NO, kind) for kind in _noes_of(workflow)]
    for instruction in code_of(workflow).steps:
        name = _path(instruction)
        if name is None:
            continue
        if isinstance(instruction, Branch):
            found += [Point(BRANCH, f"{name} holds"), Point(BRANCH, f"{name} does not")]
        else:
            found.append(Point(STEP, name))
    return list(dict.fromkeys(found))


def _noes_of(workflow: Workflow) -> list[str]:
    found = [SCOPE] if workflow.scope is not None else []
    if any(isinstance(each, OnEvent) and each.where is not None for each in workflow.triggers):
        found.append(WHERE)
    if any(isinstance(each, Becomes | Crosses) for each in workflow.triggers):
        found.append(CONDITION)
    if workflow.limit is not None:
        found.append(LIMIT)
    if workflow.quiet is not None and workflow.quiet.skip:
        found.append(QUIET)
    if workflow.most_open is not None:
        found.append(RUN_MODE)
    return found


def _path(instruction: Instruction) -> str | None:
    if isinstance(instruction, Act):
        return instruction.do.path
    path = getattr(instruction, "path", None)
    # What waits for the end of the quiet hours stands in no file as a step.
    return path if isinstance(path, str) and path != "quiet_hours" else None


class Watch:
    """Sees what the stories of one workflow reach."""

    def __init__(self, workflow: Workflow) -> None:
        self.workflow = workflow
        self.stories = 0
        self._reached: set[Point] = set()
        self._known = points_of(workflow)

    def over(self, program: Program) -> None:
        """Have the steps of a program tell when they are taken; the program decides as before."""
        for part in (program, *program.mailed):
            plan = part.plans.get(self.workflow.id)
            if plan is not None and plan.watcher is None:
                plan.watcher = _Steps(plan.code, self)

    def reached(self, part: str, name: str) -> None:
        self._reached.add(Point(part, name))

    def traced(self, told: Iterable[tuple[str, Trace]]) -> None:
        """Take in the decisions that were kept of one story."""
        for outcome, trace in told:
            if outcome == Verdict.HELD_BACK:
                self.reached(NO, kind_of(trace.reason))
            elif outcome in _FIRED or (outcome == Verdict.FAILED and trace.run is not None):
                self.reached(TRIGGER, trace.trigger)

    def asked(self, intents: Iterable[Intent]) -> None:
        """Take in what a grant booked and took back in one story."""
        grant = self.workflow.grant
        for intent in intents:
            if grant is not None and intent.key.split("/")[2:3] == [quoted(grant.id)]:
                self.reached(TRIGGER, grant.id if intent.verb == grant.verb.name else f"{grant.id}{BACK}")

    def stood(self, standing: Iterable[Standing]) -> None:
        """Take in how the triggers stood after something happened."""
        for each in standing:
            # Of a promise to somebody outside of the scope nobody can tell what is owed.
            no = each.holds is False or kind_of(each.reason) == SCOPE
            if no and not each.reason.startswith("waits for "):  # for another type than this
                kind = kind_of(each.reason)
                self.reached(NO, kind if kind in {SCOPE, WHERE} else CONDITION)

    def coverage(self) -> Coverage:
        points = {point: point in self._reached for point in self._known}
        # Reasons nobody listed beforehand are worth knowing all the same.
        more = {point: True for point in sorted(self._reached) if point.part == NO and point not in points}
        return Coverage(self.workflow.id, points | more, self.stories)


class _Steps:
    """Says by name what a run takes by its place in the code."""

    def __init__(self, code: Sequence[Instruction], watch: Watch) -> None:
        self._watch = watch
        self._paths = [_path(each) for each in code]
        self._branches = [isinstance(each, Branch) for each in code]

    def took(self, position: int) -> None:
        path = self._paths[position]
        if path is not None and not self._branches[position]:
            self._watch.reached(STEP, path)

    def answered(self, position: int, holds: bool, /) -> None:
        self._watch.reached(BRANCH, f"{self._paths[position]} {'holds' if holds else 'does not'}")
