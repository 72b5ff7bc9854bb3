"""What `hub check` says about workflow files: every problem with its place, the line it stands on, and a caret."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from hub.engine.blueprints import Blueprint
from hub.engine.check_crms import Crms, unknown_crms
from hub.engine.load import LoadedSet, load_folder
from hub.engine.load_text import LoadReport
from hub.engine.problems import Problem, Severity
from hub.engine.program import Workflow
from hub.engine.program_steps import Approve, Do, ForEach, If, Parallel, Set, Step, Stop, Wait
from hub.errors import Place

WIDEST: Final = 160
TAB: Final = "\t"


@dataclass(frozen=True, slots=True)
class CheckReport:
    """`files` were looked at, `workflows` are sound; `sources` holds the text of every file with a problem."""

    files: int
    workflows: tuple[Workflow, ...]
    blueprints: tuple[Blueprint, ...]
    problems: tuple[Problem, ...]
    sources: Mapping[str, str]
    templates: Sequence[str] = ()

    @property
    def errors(self) -> int:
        return sum(problem.severity is Severity.ERROR for problem in self.problems)

    @property
    def warnings(self) -> int:
        return len(self.problems) - self.errors

    @property
    def ok(self) -> bool:
        return self.errors == 0

    def text(self) -> str:
        """Return the report for a person."""
        blocks = [self._block(problem) for problem in self.problems]
        return "\n\n".join([*blocks, self._summary()]) + "\n"

    def data(self) -> dict[str, object]:
        """Return the report for a program."""
        return {
            "ok": self.ok,
            "files": self.files,
            "workflows": [workflow.id for workflow in self.workflows],
            "blueprints": [blueprint.name for blueprint in self.blueprints],
            "templates": list(self.templates),
            "errors": self.errors,
            "warnings": self.warnings,
            "problems": [
                {
                    "path": problem.place.path,
                    "line": problem.place.line,
                    "column": problem.place.column,
                    "severity": str(problem.severity),
                    "message": problem.message,
                }
                for problem in self.problems
            ],
        }

    def _block(self, problem: Problem) -> str:
        lines = self.sources.get(problem.place.path, "").split("\n")
        head = str(problem)
        if not 0 < problem.place.line <= len(lines):
            return head
        line, caret = _excerpt(lines[problem.place.line - 1], problem.place.column)
        number = str(problem.place.line)
        gutter = " " * len(number)
        return f"{head}\n  {number} | {line}\n  {gutter} | {caret}"

    def _summary(self) -> str:
        if not self.files:
            return "no workflow files found: a workflow file ends in .yaml"
        if not self.problems:
            return f"{_count(self.files, 'file')}, no problems"
        return f"{_count(self.files, 'file')}: {_count(self.errors, 'error')}, {_count(self.warnings, 'warning')}"


def check(
    paths: Iterable[Path],
    *,
    backends_verbs: frozenset[str] | None = None,
    secrets: frozenset[str] | None = None,
    templates: Path | None = None,
    crms: Crms | None = None,
) -> CheckReport:
    """Check files and folders; `backends_verbs` are the verbs the configured backends offer, None if not known.

    `secrets` are those that are configured, by name; `templates` the folder of messages that is configured; `crms`
    the CRMs, with the kinds of records each keeps.
    """
    paths = list(paths)
    absent = [path for path in paths if not path.exists()]
    loaded = load_folder([path for path in paths if path.exists()], templates)
    problems = [Problem(Place(str(path), 1, 1), "there is no such file or folder") for path in absent]
    problems += loaded.messages.problems
    for report in loaded.reports:
        problems += report.problems
        if backends_verbs is not None and report.workflow is not None:
            problems += _not_offered(report.workflow, backends_verbs)
        if secrets is not None and report.workflow is not None:
            problems += missing_secrets(report.workflow, secrets)
        if crms is not None and report.workflow is not None:
            problems += unknown_crms(steps_of((*report.workflow.steps, *report.workflow.on_error)), crms)
    return CheckReport(
        files=len(loaded.reports),
        workflows=loaded.workflows,
        blueprints=loaded.blueprints,
        problems=tuple(sorted(problems, key=lambda p: (p.place.path, p.place.line, p.place.column))),
        sources={
            **loaded.messages.sources,
            **_sources(loaded.reports, {problem.place.path for problem in problems}),
        },
        templates=loaded.messages.names,
    )


def _sources(reports: Iterable[LoadReport], wanted: set[str]) -> dict[str, str]:
    return {report.path: report.text for report in reports if report.path in wanted}


def _not_offered(workflow: Workflow, offered: frozenset[str]) -> Iterator[Problem]:
    for step in steps_of((*workflow.steps, *workflow.on_error)):
        if step.verb.is_manager and step.verb.name not in offered:
            yield Problem(
                step.place or workflow.place,
                f"no configured backend offers {step.verb.name}: the step would be refused",
                Severity.WARNING,
            )
    grant = workflow.grant
    if grant is None:
        return
    for verb in (grant.verb,) if grant.take_back.mode == "none" else (grant.verb, grant.back):
        if verb.name not in offered:
            yield Problem(
                grant.place or workflow.place,
                f"no configured backend offers {verb.name}: the booking would be refused",
                Severity.WARNING,
            )


def missing_secrets(workflow: Workflow, known: frozenset[str]) -> Iterator[Problem]:
    """Yield the secrets a workflow names and the configuration does not have: the steps would fail."""
    for step in steps_of((*workflow.steps, *workflow.on_error)):
        for name in sorted(step.secrets - known):
            yield Problem(
                step.place or workflow.place,
                f"the secret {name} is not set: add it under `secrets` in hub.yaml, or set HUB_SECRETS__{name.upper()}",
                Severity.WARNING,
            )


def with_missing_secrets(loaded: LoadedSet, known: frozenset[str]) -> LoadedSet:
    """Return the set with a warning wherever a workflow names a secret that is not known."""
    reports = tuple(
        replace(report, problems=(*report.problems, *missing_secrets(report.workflow, known)))
        if report.workflow is not None
        else report
        for report in loaded.reports
    )
    return replace(loaded, reports=reports)


def steps_of(steps: Iterable[Step]) -> Iterator[Do]:
    """Yield every verb step, those under conditions and in branches as well, and what takes them back."""
    for step in steps:
        match step:
            case Do():
                yield step
                if step.undo is not None:
                    yield step.undo
            case If(then=then, otherwise=otherwise):
                yield from steps_of(then)
                yield from steps_of(otherwise)
            case Parallel(branches=branches):
                for branch in branches:
                    yield from steps_of(branch)
            case ForEach(steps=inner):
                yield from steps_of(inner)
            case Set() | Stop() | Wait() | Approve():
                pass


def _excerpt(line: str, column: int) -> tuple[str, str]:
    """Return the line, shortened around the column, and the caret under it."""
    start = max(0, column - WIDEST // 2) if len(line) > WIDEST else 0
    shown = line[start : start + WIDEST]
    before = shown[: max(0, column - 1 - start)]
    # A tab stays a tab, so that the caret stands below its character wherever tabs end.
    return _printable(shown), "".join(c if c == TAB else " " for c in before) + "^"


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() or c == TAB else "?" for c in text)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")
