"""The files that declare events, among workflows and beside them: what is in force, and what became of each file."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, final

from hub.engine.declaring import event_at_top
from hub.engine.files_on_disk import folder_unreadable, here_and_above, identity, text_of
from hub.engine.load_text import LoadReport, load_declaration
from hub.engine.problems import Problem, Problems, quoted
from hub.engine.yaml import read
from hub.errors import Place
from hub.events.declared import MOST_TYPES, Declarations, Declared, Undeclared

FOLDER: Final = "events"
MOST_BESIDE: Final = 1_000
_SUFFIXES: Final = (".yaml", ".yml")


def declarations_beside(paths: Iterable[Path], among: Collection[Path] = ()) -> list[Path]:
    """Return the files that may declare what workflows in these folders and files name, beside those `among` them.

    They stand beside a single file, and in the folder `events` beside it or one above. Raises ConfigError for a folder
    that cannot be read.
    """
    found: set[Path] = set()
    for path in paths:
        here, above = here_and_above(path)
        if not path.is_dir():
            found.update(_in(here))
        for folder in (here / FOLDER, above / FOLDER):
            found.update(_in(folder))
    others = found.difference(among)
    if not others:
        return []
    # Two paths may lead to one file, and that declares its event once, under the same path every time.
    seen = {None, *(identity(path) for path in among)}
    once = {same: path for path in sorted(others) if (same := identity(path)) not in seen}
    return sorted(once.values())


def _in(folder: Path) -> list[Path]:
    try:
        names = [each.name for each in folder.iterdir()] if folder.is_dir() else []
    except OSError as problem:
        folder_unreadable(problem)
    found = sorted(name for name in names if name.endswith(_SUFFIXES) and not name.startswith("."))
    return [folder / name for name in found[:MOST_BESIDE]]


@final
class DeclarationFiles:
    """What was declared when it was last looked. A declaration that cannot be used any more leaves the last one in force."""

    def __init__(self, undeclared: Undeclared) -> None:
        self._stamps: Mapping[Path, object] = {}
        self._reports: dict[Path, LoadReport] = {}
        self._wrong: dict[Path, Problem] = {}
        self.declarations = Declarations(undeclared=undeclared)

    def look(self, stamps: Mapping[Path, object]) -> frozenset[str]:
        """Read what is new or was changed; return the types of which something else is declared than before.

        `stamps` tell that a file is another than before; None: it is read again.
        """
        if stamps == self._stamps and None not in stamps.values():
            return frozenset()
        before, self._reports = self._reports, {}
        for path, stamp in stamps.items():
            known = stamp is not None and self._stamps.get(path) == stamp
            report = before.get(path) if known else _read(path, before.get(path))
            if report is not None:
                self._reports[path] = report
        self._stamps = dict(stamps)
        return self._renewed()

    def report(self, path: Path) -> LoadReport | None:
        """Return what became of a file that declares something, None of any other."""
        found, wrong = self._reports.get(path), self._wrong.get(path)
        if found is None or wrong is None:
            return found
        return replace(found, declared=None, problems=(*found.problems, wrong))

    def _renewed(self) -> frozenset[str]:
        old, self._wrong = self.declarations, {}
        by_name: defaultdict[str, list[tuple[Path, Declared]]] = defaultdict(list)
        broken: dict[str, str] = {}
        for path, report in self._reports.items():
            if report.declared is not None:
                by_name[report.declared.name].append((path, report.declared))
            elif report.named is not None:
                broken[report.named] = str(path)
        types: dict[str, Declared] = {}
        for name, found in by_name.items():
            if (declared := self._one_of(name, found, old.get(name), len(types))) is not None:
                types[name] = declared
            else:
                broken[name] = str(found[0][0])
        for name in broken.keys() - types.keys():
            if (kept := old.get(name)) is not None:
                types[name] = kept
        broken = {name: where for name, where in broken.items() if name not in types}
        self.declarations = Declarations(types, old.undeclared, broken)
        names = types.keys() | old.types.keys()
        renewed = {name for name in names if types.get(name) is not old.get(name)}
        return frozenset(renewed | (broken.keys() ^ old.broken.keys()))

    def _one_of(
        self, name: str, found: Sequence[tuple[Path, Declared]], before: Declared | None, known: int
    ) -> Declared | None:
        """Return what is in force of a type, and note why anything is not."""
        if len(found) > 1:
            for path, _ in found:
                others = ", ".join(str(other) for other, _ in found if other != path)
                self._refuse(
                    path, ("event",), f"{quoted(name)} is also declared in {others}: keep one of them"
                )
            return None
        path, declared = found[0]
        if known >= MOST_TYPES:
            self._refuse(path, ("event",), f"at most {MOST_TYPES} events are declared")
            return None
        if before is None or before is declared or before.version != declared.version:
            return declared
        misread = before.broken_by(declared)
        if misread is not None:
            self._refuse(
                path,
                ("fields", misread[0]),
                f"{misread[1]}: who listens goes by the version, so raise it to {declared.version + 1}; until then the "
                "declaration that was there stays in force",
            )
            return None
        return declared

    def _refuse(self, path: Path, location: tuple[str, ...], message: str) -> None:
        place = self._reports[path].places.get(location[-1], Place(str(path), 1, 1))
        self._wrong[path] = Problem(place, message)


def _read(path: Path, before: LoadReport | None) -> LoadReport | None:
    """Return what a file declares, None where it is no declaration: whoever reads it as a workflow says what is wrong.

    One that can be read as nothing at all still stands for the event it names, or declared `before`.
    """
    shown, known = str(path), before.named if before is not None else None
    text = text_of(path, shown)
    if isinstance(text, Problem):
        return _cannot_be_read(shown, "", (text,), known)
    named = event_at_top(text)
    if named is None and before is None:
        return None
    problems = Problems()
    document = read(text, shown, problems)
    if document is None:
        return _cannot_be_read(shown, text, tuple(problems), known or named)
    return load_declaration(document, problems) if "event" in document.data() else None


def _cannot_be_read(
    path: str, text: str, problems: tuple[Problem, ...], named: str | None
) -> LoadReport | None:
    return LoadReport(path, None, problems, text, named, declares=True) if named else None
