"""What is wrong with a workflow file, and where."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from typing import Final, final

from typing_extensions import override

from hub.errors import Place

MAX_PROBLEMS: Final = 100


class Severity(StrEnum):
    """An error keeps the file from loading; a warning does not."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Problem:
    place: Place
    message: str
    severity: Severity = Severity.ERROR

    @override
    def __str__(self) -> str:
        return f"{self.place}: {self.severity}: {self.message}"


@final
class Problems:
    """The problems of one file, in the order of its lines; a hostile file cannot make the list long."""

    def __init__(self) -> None:
        self._found: dict[Problem, None] = {}

    def __iter__(self) -> Iterator[Problem]:
        return iter(sorted(self._found, key=lambda p: (p.place.line, p.place.column)))

    @property
    def fatal(self) -> bool:
        return any(problem.severity is Severity.ERROR for problem in self._found)

    def error(self, place: Place, message: str) -> None:
        self._add(Problem(place, message))

    def warn(self, place: Place, message: str) -> None:
        self._add(Problem(place, message, Severity.WARNING))

    def _add(self, problem: Problem) -> None:
        if len(self._found) < MAX_PROBLEMS:
            self._found[problem] = None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ``; did you mean X?`` or nothing."""
    # Cut, because finding near spellings is quadratic in the length.
    found = get_close_matches(name[:64], list(known), n=1, cutoff=0.6)
    return f"; did you mean {found[0]}?" if found else ""


def quoted(text: str, limit: int = 60) -> str:
    """Return foreign text fit to stand in a message: short, printable, in backticks."""
    clipped = text if len(text) <= limit else text[: limit - 1] + "…"
    return "`" + "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in clipped) + "`"
