"""Human text with values in it: compiled once while loading, rendered within bounds.

A rendering happens where a step is decided, which must come out the same whenever it is decided again. So it is never
timed and never handed to somebody who could be killed: it is bounded by what it may look at and write. The largest
work these bounds allow stays below a tenth of a second.
"""

from collections.abc import Mapping
from typing import Final, final

from jinja2.environment import Template as Compiled
from jinja2.exceptions import TemplateError, UndefinedError
from typing_extensions import override

from hub.errors import HubError, Place
from hub.text import work
from hub.text.sandbox import MAX_SOURCE, Form, Paths, Refused, compiled

MAX_OUTPUT: Final = 256 * 1024

Found = tuple[Compiled | None, Paths]
_NOTHING: Final[Found] = (None, ())


class TextError(HubError):
    """Text that does not compile or cannot be filled in; `line` counts from 1 within the text itself."""

    def __init__(self, message: str, *, place: Place, line: int = 1) -> None:
        super().__init__(f"{place}: {message}")
        self.message = message
        self.place = place
        self.line = line


def _has_marks(source: str) -> bool:
    # Text without any is the most common, and Jinja2 would take half a millisecond over it.
    return len(source) > MAX_SOURCE or "{" in source


@final
class Template:
    """Immutable; equal sources share one compiled form. In `html` every value is escaped, the text itself is not.

    In `json` text stays within the quotes it is written in; a value with `|json` brings its own.
    """

    __slots__ = ("_compiled", "_paths", "_roots", "place", "source")

    def __init__(self, source: str, *, place: Place, html: bool = False, json: bool = False) -> None:
        self.source: Final = source
        self.place: Final = place
        form: Form = "json" if json else "html" if html else "plain"
        found: Found
        try:
            found = compiled(source, form) if _has_marks(source) else _NOTHING
        except Refused as refused:
            raise TextError(refused.message, place=place, line=refused.line) from refused
        self._compiled: Final = found[0]
        self._paths: Final = found[1]
        self._roots: Final = self.variables()

    @override
    def __repr__(self) -> str:
        return f"Template({self.source!r})"

    def variables(self) -> frozenset[str]:
        """Return the roots the text reads: `client` for `{{ client.first_name }}`."""
        return frozenset(names[0] for names, _ in self._paths)

    def paths(self) -> tuple[tuple[str, int], ...]:
        """Return every dotted path the text reads, with the line it stands on."""
        return tuple((".".join(names), line) for names, line in self._paths)

    def render(self, vars: Mapping[str, object]) -> str:  # noqa: A002 (the word workflow files use)
        """Return the text filled in; a missing value, a refused access or too much text is a ``TextError``."""
        if self._compiled is None:
            return self.source
        pieces: list[str] = []
        room = MAX_OUTPUT
        work.begin()
        try:
            for name in self._roots:
                work.count(vars.get(name))
            for piece in self._compiled.generate(dict(vars)):
                room -= len(piece.encode("utf-8", "surrogatepass"))
                if room < 0:
                    raise TextError(f"the text grows beyond {MAX_OUTPUT // 1024} KiB", place=self.place)
                pieces.append(piece)
        except TextError:
            raise
        except UndefinedError as error:
            raise TextError(
                f"{self._spelled_out(error.message or '')} is missing: write `|default(...)` where it may be",
                place=self.place,
            ) from error
        except TemplateError as error:
            raise TextError(error.message or "the text cannot be filled in", place=self.place) from error
        except (TypeError, ValueError, ArithmeticError, RecursionError) as error:
            # Arithmetic on what turned out not to be numbers, and the like: the text is at fault, not the hub.
            raise TextError(f"the text cannot be filled in: {error}", place=self.place) from error
        return "".join(pieces)

    def _spelled_out(self, name: str) -> str:
        # The sandbox knows the last name of the path; the text knows the way to it.
        found = {path for path, _ in self.paths() if path == name or path.endswith("." + name)}
        return found.pop() if len(found) == 1 else name
