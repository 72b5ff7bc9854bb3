"""What `hub check` says about workflow files: every problem with its place, the line it stands on, and a caret."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hub.engine.blueprints import Blueprint
from hub.engine.check_setup import Setup
from hub.engine.load import load_folder
from hub.engine.load_text import LoadReport
from hub.engine.problems import Problem, Severity
from hub.engine.program import Workflow
from hub.engine.program_steps import steps_of
from hub.errors import Place
from hub.events.declared import Declared, Undeclared

WIDEST: Final = 160
TAB: Final = "\t"
UNKNOWN: Final = Setup()


@dataclass(frozen=True, slots=True)
class CheckReport:
    """`files` were looked at, `workflows` are sound; `sources` holds the text of every file with a problem."""

    files: int
    workflows: tuple[Workflow, ...]
    blueprints: tuple[Blueprint, ...]
    problems: tuple[Problem, ...]
    sources: Mapping[str, str]
    declared: tuple[Declared, ...] = ()
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
            "events": [declared.name for declared in self.declared],
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
    templates: Path | None = None,
    setup: Setup = UNKNOWN,
    undeclared: Undeclared = Undeclared.ACCEPT,
) -> CheckReport:
    """Check files and folders; `backends_verbs` are the verbs the configured backends offer, None if not known.

    `templates` is the folder of messages that is configured, `setup` what else is. `undeclared` is what the hub does
    about custom events nobody declared.
    """
    paths = list(paths)
    absent = [path for path in paths if not path.exists()]
    loaded = load_folder([path for path in paths if path.exists()], templates, undeclared)
    problems = [Problem(Place(str(path), 1, 1), "there is no such file or folder") for path in absent]
    problems += loaded.messages.problems
    for report in loaded.reports:
        problems += report.problems
        if backends_verbs is not None and report.workflow is not None:
            problems += _not_offered(report.workflow, backends_verbs)
        if report.workflow is not None:
            problems += setup.problems(report.workflow)
    return CheckReport(
        files=len(loaded.reports),
        workflows=loaded.workflows,
        blueprints=loaded.blueprints,
        problems=tuple(sorted(problems, key=lambda p: (p.place.path, p.place.line, p.place.column))),
        sources={
            **loaded.messages.sources,
            **_sources(loaded.reports, {problem.place.path for problem in problems}),
        },
        declared=loaded.declared,
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
