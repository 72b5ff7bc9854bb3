"""Lines out of bytes that come in pieces, each with its number and none longer than it may be."""

from typing import Final, NamedTuple, final

LONGEST: Final = 64 * 1024


class Line(NamedTuple):
    """`number` counts from 1; `text` has its line end, and is None where the line was too long to be kept."""

    number: int
    text: bytes | None


@final
class Lines:
    def __init__(self, longest: int = LONGEST) -> None:
        self._longest = longest
        self._rest = b""
        self._skipping = False
        self._number = 0

    @property
    def read(self) -> int:
        """Return how many lines there were."""
        return self._number

    def feed(self, data: bytes) -> list[Line]:
        """Return the lines that are complete now."""
        *complete, rest = (self._rest + data).split(b"\n")
        found = [self._line(text + b"\n") for text in complete]
        if len(rest) > self._longest:  # what cannot become a line is not gathered any further
            self._skipping, rest = True, b""
        self._rest = rest
        return found

    def end(self) -> list[Line]:
        """Return the last line, if it has no line end."""
        rest, self._rest = self._rest, b""
        return [self._line(rest)] if rest or self._skipping else []

    def _line(self, text: bytes) -> Line:
        self._number += 1
        too_long, self._skipping = self._skipping or len(text) > self._longest + 1, False
        return Line(self._number, None if too_long else text)
