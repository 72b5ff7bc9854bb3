"""A CSV table out of bytes that come in pieces: every row with the line it begins on, a bad one beside the good ones.

The first line names the columns and tells what stands between them: a comma, a semicolon or a tab. A quoted cell may
hold line ends. A quotation mark that is never closed costs the line it stands on and no other: the rows after it are
read again as if it were not there.
"""

import csv
from collections import deque
from collections.abc import Iterator
from typing import Final, NamedTuple, final

from hub.ingest.lines import LONGEST, Line, Lines

MOST_LINES: Final = 16  # of one row
_BOM: Final = b"\xef\xbb\xbf"
_SEPARATORS: Final = (b",", b";", b"\t")


class CsvRow(NamedTuple):
    """`cells` by column; where the row cannot be read, `problem` says why."""

    line: int
    cells: dict[str, str]
    problem: str = ""


class HeaderWrong(ValueError):
    """The columns cannot be told, so no row can be read."""


@final
class CsvTable:
    """`columns` is None until the header has come."""

    def __init__(self) -> None:
        self.columns: list[str] | None = None
        self._lines = Lines()
        self._waiting: deque[Line] = deque()
        self._separator = b","

    @property
    def lines(self) -> int:
        return self._lines.read

    def feed(self, data: bytes) -> Iterator[CsvRow]:
        """Return the rows that are complete now. Raises HeaderWrong."""
        self._waiting.extend(self._lines.feed(data))
        return self._rows(ended=False)

    def end(self) -> Iterator[CsvRow]:
        self._waiting.extend(self._lines.end())
        return self._rows(ended=True)

    def _rows(self, *, ended: bool) -> Iterator[CsvRow]:
        while self._waiting:
            if self.columns is None:
                self._read_header(self._waiting.popleft())
                continue
            first = self._waiting[0]
            if first.text is None:
                yield self._refused(f"the line is longer than {LONGEST // 1024} KiB")
            elif first.text.isspace():
                self._waiting.popleft()
            else:
                lines = self._extent()
                if lines is None and not ended and self._may_grow():
                    return
                yield self._row(lines)

    def _read_header(self, line: Line) -> None:
        text = (line.text or b"").removeprefix(_BOM)
        if not text or text.isspace():
            raise HeaderWrong("the first line names the columns, and this one is empty")
        self._separator = max(_SEPARATORS, key=text.count)
        try:
            names = [name.strip() for name in self._cells(text)]
        except ValueError as error:
            raise HeaderWrong(f"the first line: {error}") from None
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise HeaderWrong(f"the column {twice[0] or 'without a name'} is there twice")
        self.columns = names

    def _extent(self) -> int | None:
        """Return how many lines the next row takes; None where a quotation mark is open at the last there is."""
        is_open = False
        for count, line in enumerate(self._waiting, start=1):
            if line.text is None or count > MOST_LINES:
                return None
            is_open = _still_open(line.text, self._separator, is_open=is_open)
            if not is_open:
                return count
        return None

    def _may_grow(self) -> bool:
        size = sum(len(line.text) for line in self._waiting if line.text is not None)
        return (
            len(self._waiting) < MOST_LINES
            and size <= LONGEST
            and all(line.text is not None for line in self._waiting)
        )

    def _row(self, lines: int | None) -> CsvRow:
        if lines is None:
            return self._refused("a quotation mark is opened and not closed")
        text = b"".join(line.text or b"" for _, line in zip(range(lines), self._waiting, strict=False))
        problem = f"the row is longer than {LONGEST // 1024} KiB" if len(text) > LONGEST else ""
        cells: list[str] = []
        assert self.columns is not None
        try:
            cells = self._cells(text)
        except ValueError as error:
            problem = problem or str(error)
        if not problem and len(cells) != len(self.columns):
            problem = f"there are {len(cells)} cells for {len(self.columns)} columns"
        if problem:
            return self._refused(problem)
        number = self._waiting[0].number
        for _ in range(lines):
            self._waiting.popleft()
        return CsvRow(number, dict(zip(self.columns, cells, strict=True)))

    def _refused(self, problem: str) -> CsvRow:
        """Give one line up: the next may be a row of its own."""
        return CsvRow(self._waiting.popleft().number, {}, problem)

    def _cells(self, text: bytes) -> list[str]:
        try:
            decoded = text.decode()
        except UnicodeDecodeError:
            raise ValueError("not valid UTF-8: save the file as UTF-8") from None
        if "\0" in decoded:
            raise ValueError("a zero byte stands in it")
        try:
            rows = list(csv.reader([decoded], delimiter=self._separator.decode(), strict=True))
        except csv.Error as error:
            raise ValueError(str(error)) from None
        return rows[0] if rows else []


def _still_open(line: bytes, separator: bytes, *, is_open: bool) -> bool:
    """Return whether a quoted cell goes on behind the line. A mark inside a cell that does not begin with one is text."""
    place = 0
    if not is_open and not line.startswith(b'"'):
        place = _next_quoted(line, separator, 0)
    elif not is_open:
        place = 1
    while place >= 0:
        end = line.find(b'"', place)
        if end < 0:
            return True
        is_escaped = line[end + 1 : end + 2] == b'"'
        place = end + 2 if is_escaped else _next_quoted(line, separator, end + 1)
    return False


def _next_quoted(line: bytes, separator: bytes, start: int) -> int:
    """Return where the text of the next quoted cell begins, or -1."""
    found = line.find(separator + b'"', start)
    return found + 2 if found >= 0 else -1
