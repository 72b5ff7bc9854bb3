"""From files to workflows: everything wrong with a file is reported at once, and a bad file never blocks another."""

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Final

from hub.engine.blueprints import Blueprint
from hub.engine.declaration_files import DeclarationFiles, declarations_beside
from hub.engine.files_on_disk import folder_unreadable, identity, text_of
from hub.engine.load_text import LoadReport, load_text
from hub.engine.message_files import FOLDER as TEMPLATES
from hub.engine.message_files import NO_MESSAGES, Messages, message_folders, read_messages
from hub.engine.problems import Problem
from hub.engine.program import Unread, Workflow
from hub.engine.uses import with_blueprints
from hub.events.declared import NONE_DECLARED, Declarations, Declared, Undeclared

SUFFIXES: Final = (".yaml", ".yml")
STORIES: Final = (".test.yaml", ".test.yml")
MAX_FILES: Final = 10_000


@dataclass(frozen=True, slots=True)
class LoadedSet:
    workflows: tuple[Workflow, ...]
    reports: tuple[LoadReport, ...]
    messages: Messages = NO_MESSAGES
    declarations: Declarations = NONE_DECLARED

    @property
    def unread(self) -> tuple[Unread, ...]:
        """Return the files nothing could be loaded of."""
        return tuple(
            Unread(PurePath(report.path).name, report.named)
            for report in self.reports
            if report.workflow is None and report.blueprint is None and not report.declares
        )

    @property
    def blueprints(self) -> tuple[Blueprint, ...]:
        return tuple(report.blueprint for report in self.reports if report.blueprint is not None)

    @property
    def declared(self) -> tuple[Declared, ...]:
        """Return the events these files declare."""
        return tuple(report.declared for report in self.reports if report.declared is not None)

    @property
    def problems(self) -> tuple[Problem, ...]:
        found = [problem for report in self.reports for problem in report.problems]
        return (*found, *self.messages.problems)


def load_file(
    path: Path,
    name: str | None = None,
    messages: Messages | None = None,
    declared: Declarations | None = None,
) -> LoadReport:
    """Load one file; `name` is how problems call it, `messages` and `declared` what it may name: those beside it if left out."""
    shown = name if name is not None else str(path)
    text = text_of(path, shown)
    if isinstance(text, Problem):
        return LoadReport(shown, None, (text,))
    if messages is None:
        messages = messages_beside([path])
    return load_text(text, shown, messages, declared if declared is not None else _declared_beside(path))


def _declared_beside(path: Path) -> Declarations:
    files = DeclarationFiles(Undeclared.UNASKED)
    files.look(dict.fromkeys(declarations_beside([path])))
    return files.declarations


def load_folder(
    paths: Iterable[Path], templates: Path | None = None, undeclared: Undeclared = Undeclared.ACCEPT
) -> LoadedSet:
    """Load every workflow in the folders and files given; two files with one id are both refused.

    `templates` is the folder of messages, if it is not that beside them.
    """
    paths = list(paths)
    messages = messages_beside(paths, templates)
    files, declaring = list(workflow_files(paths)), DeclarationFiles(undeclared)
    declaring.look(dict.fromkeys((*files, *declarations_beside(paths, files))))
    declared = declaring.declarations
    reports = [
        declaring.report(path) or load_file(path, messages=messages, declared=declared) for path in files
    ]
    return together(reports, messages, declared)


def messages_beside(paths: Iterable[Path], templates: Path | None = None) -> Messages:
    """Return what workflows in the folders and files given may name."""
    return read_messages(message_folders(paths, templates))


def together(
    reports: Iterable[LoadReport],
    messages: Messages = NO_MESSAGES,
    declarations: Declarations = NONE_DECLARED,
) -> LoadedSet:
    """Make workflows of what uses blueprints, and refuse those that share an id."""
    reports = list(reports)
    loaded = distinct(with_blueprints(reports, [each.blueprint for each in reports if each.blueprint]))
    return replace(loaded, messages=messages, declarations=declarations)


def workflow_files(paths: Iterable[Path]) -> Iterator[Path]:
    """Yield the workflow files in a fixed order, each once; stories and hidden files are none.

    Raises ConfigError for a folder that cannot be read: nobody may take its files for gone.
    """
    seen: set[object] = set()
    for path in paths:
        for found in _under(path) if path.is_dir() else (path,):
            same = identity(found)
            if same is not None and same not in seen and len(seen) < MAX_FILES:
                seen.add(same)
                yield found


def _under(folder: Path) -> list[Path]:
    found: list[Path] = []
    for where, folders, names in os.walk(folder, onerror=folder_unreadable):
        # What os.walk goes on with.
        folders[:] = [name for name in folders if not name.startswith(".") and name != TEMPLATES]
        found += [
            Path(where, name)
            for name in names
            if name.endswith(SUFFIXES) and not name.endswith(STORIES) and not name.startswith(".")
        ]
    return sorted(found)


def distinct(reports: Iterable[LoadReport]) -> LoadedSet:
    """Refuse workflows that share an id: which of them should run, nobody can tell."""
    reports = list(reports)
    by_id: defaultdict[str, list[LoadReport]] = defaultdict(list)
    for report in reports:
        if report.workflow is not None:
            by_id[report.workflow.id].append(report)
    checked = [_alone(report, by_id) for report in reports]
    return LoadedSet(tuple(r.workflow for r in checked if r.workflow is not None), tuple(checked))


def _alone(report: LoadReport, by_id: dict[str, list[LoadReport]]) -> LoadReport:
    workflow = report.workflow
    if workflow is None or len(by_id[workflow.id]) == 1:
        return report
    others = ", ".join(other.path for other in by_id[workflow.id] if other is not report)
    message = f"the id `{workflow.id}` is also that of {others}: give each its own"
    problems = (*report.problems, Problem(workflow.place, message))
    return LoadReport(report.path, None, problems, report.text, workflow.id)
