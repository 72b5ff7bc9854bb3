"""The workflow files of a running hub: one that changes is loaded again, by itself, and the others are left alone."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple, final

import structlog

from hub.clock import Clock
from hub.engine.check_setup import Setup
from hub.engine.declaration_files import DeclarationFiles, declarations_beside
from hub.engine.load import LoadedSet, load_file, together, workflow_files
from hub.engine.load_text import LoadReport
from hub.engine.message_files import NO_MESSAGES, message_files, message_folders, read_messages
from hub.engine.program import Unread, Workflow
from hub.errors import ConfigError, StoreError
from hub.events.declared import Declarations, Undeclared, names_in
from hub.stages import run_until

LOOK_EVERY = timedelta(seconds=1)

log = structlog.get_logger(__name__)


class _Stamp(NamedTuple):
    """What tells that a file is another than before, without reading it."""

    changed: int
    size: int
    inode: int


@final
class LiveFiles:
    """Folders and files of workflows, and what came of each when it was last read.

    `setup` is what is configured: a workflow that needs something else is loaded, with a warning where it does.
    `templates` is the folder of messages, if it is not that beside the workflows.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        setup: Setup | None = None,
        templates: Path | None = None,
        undeclared: Undeclared = Undeclared.ACCEPT,
    ) -> None:
        self._paths = tuple(paths)
        self._setup = setup
        self._templates = templates
        self._messages = NO_MESSAGES
        self._messages_then: dict[Path, _Stamp | None] = {}
        self._stamps: dict[Path, _Stamp | None] = {}
        self._beside: dict[Path, _Stamp | None] = {}
        self._reports: dict[Path, LoadReport] = {}
        self._declaring = DeclarationFiles(undeclared)
        self.loaded = LoadedSet((), (), declarations=self._declaring.declarations)
        self.away: Sequence[Path] = ()
        self.look()

    @classmethod
    def fixed(cls, loaded: LoadedSet) -> "LiveFiles":
        """Return a set that was loaded elsewhere and never changes."""
        files = cls(())
        files.loaded = loaded
        return files

    def declared(self) -> Declarations:
        """Return the custom events that are declared now."""
        return self.loaded.declarations

    def look(self) -> Sequence[LoadReport]:
        """Read what is new or was changed, forget what is gone; return what came of the files that were read.

        While one of the folders itself is not there, or cannot be read (ConfigError), nothing is gone: a disk that is
        away takes no limit with it.
        """
        needed = (*self._paths, *([self._templates] if self._templates is not None else []))
        self.away = tuple(path for path in needed if not path.exists())
        if not self._paths or self.away:
            return ()
        found = {path: _stamp(path) for path in workflow_files(self._paths)}
        beside = {path: _stamp(path) for path in declarations_beside(self._paths, found)}
        again = self._look_at_messages()
        renewed = self._declaring.look({**beside, **found})
        told = self._declared_beside(beside)
        changed = [
            path
            for path, stamp in found.items()
            if self._stamps.get(path) != stamp
            or stamp is None
            or (again and self._names_one(path))
            or (renewed and self._names_any(path, renewed))
        ]
        if not changed and not again and not renewed and found.keys() == self._stamps.keys():
            return told
        read = [self._read(path) for path in changed]
        known = {**self._reports, **dict(zip(changed, read, strict=True))}
        self._reports = {path: self._declaring.report(path) or known[path] for path in found}
        loaded = together(self._reports.values(), self._messages, self._declaring.declarations)
        self.loaded = loaded if self._setup is None else self._setup.told(loaded)
        self._stamps = found  # older than what was read after it: a file that changed meanwhile is read again
        paths = {report.path for report in read}
        return (*told, *(report for report in self.loaded.reports if report.path in paths))

    def _declared_beside(self, found: dict[Path, _Stamp | None]) -> tuple[LoadReport, ...]:
        """Return what came of the declarations that stand beside the workflows, and not among them, where they changed."""
        changed = [path for path, stamp in found.items() if self._beside.get(path) != stamp]
        self._beside = found
        reports = (self._declaring.report(path) for path in changed)
        # What claims no event may be anybody's.
        return tuple(report for report in reports if report is not None and report.named is not None)

    def _look_at_messages(self) -> bool:
        """Read the messages again if any of their files is another; return whether they were read."""
        folders = message_folders(self._paths, self._templates)
        found = {path: _stamp(path) for path in message_files(folders)}
        if found == self._messages_then and None not in found.values():
            return False
        self._messages_then, self._messages = found, read_messages(folders)
        return True

    def _read(self, path: Path) -> LoadReport:
        declared = self._declaring.report(path)
        if declared is not None:
            return declared
        return load_file(path, messages=self._messages, declared=self._declaring.declarations)

    def _names_any(self, path: Path, names: frozenset[str]) -> bool:
        report = self._reports.get(path)
        return report is not None and not names.isdisjoint(names_in(report.text))

    def _names_one(self, path: Path) -> bool:
        report = self._reports.get(path)
        return report is not None and "template" in report.text


def _stamp(path: Path) -> _Stamp | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return _Stamp(found.st_mtime_ns, found.st_size, found.st_ino)


@final
class Reloading:
    """Makes live what the files say, whenever they say something else."""

    def __init__(
        self,
        files: LiveFiles,
        activate: Callable[[Sequence[Workflow], Sequence[Unread]], Awaitable[bool]],
        clock: Clock,
        *,
        every: timedelta = LOOK_EVERY,
    ) -> None:
        self._files = files
        self._activate = activate
        self._clock = clock
        self._every = every
        self._away: Sequence[Path] = ()  # as it was told last

    async def run(self, stopping: asyncio.Event) -> None:
        await run_until(stopping, self._keep_looking)

    async def _keep_looking(self) -> None:
        told, unread = self._files.loaded, ""
        while True:
            await self._clock.sleep(self._every)
            try:
                reports = await asyncio.to_thread(self._files.look)  # many files take a while
            except (ConfigError, OSError) as problem:  # what is live stays so
                if unread != str(problem):
                    log.warning("workflows.not_read", reason=str(problem))
                unread = str(problem)
                continue
            unread = ""
            for report in reports:
                _say(report)
            loaded = self._files.loaded
            if self._files.away != self._away:
                self._away = self._files.away
                _say_away(self._away)
            if loaded is told:
                continue
            try:
                if await self._activate(loaded.workflows, loaded.unread):
                    log.info("workflows.activated", workflows=len(loaded.workflows))
                told = loaded
            except StoreError as problem:  # what was live stays so, and is asked for again
                log.warning("workflows.not_activated", reason=str(problem))


def _say_away(away: Sequence[Path]) -> None:
    if away:
        log.warning("workflows.away", paths=[str(path) for path in away], kept="what was live stays so")
    else:
        log.info("workflows.back")


def warn_of(report: LoadReport) -> None:
    """Say in the log what a workflow that is loaded does not find, or should not do."""
    if report.workflow is not None:
        for problem in report.problems:
            log.warning("workflow.warned", workflow=report.workflow.id, reason=str(problem))


def _say(report: LoadReport) -> None:
    if report.workflow is not None:
        log.info("workflow.read", file=report.path, workflow=report.workflow.id)
        warn_of(report)
    elif report.blueprint is not None:
        log.info("blueprint.read", file=report.path, blueprint=report.blueprint.name)
    elif report.declared is not None:
        log.info(
            "event.declared", file=report.path, declared=report.declared.name, version=report.declared.version
        )
    elif report.declares:
        log.warning(
            "event.not_declared", file=report.path, first=str(report.problems[0]), kept="what was declared"
        )
    else:
        first = report.problems[0] if report.problems else None
        log.warning("workflow.not_read", file=report.path, problems=len(report.problems), first=str(first))
