"""Sends a file of clients or account profiles to a running hub, in parts, and counts what became of every line.

Nothing is remembered between runs: sending the same lines again changes nothing, and `first_line` skips those before.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple, final

import aiohttp
import msgspec

from hub.clock import Clock
from hub.errors import SourceRefused, SourceUnavailable
from hub.ingest.bulk import RowResult
from hub.ingest.csv_table import MOST_LINES
from hub.ingest.lines import LONGEST
from hub.ingest.refusals import said_of_problem

BATCH: Final = 1_000  # lines
_TIMEOUT_S = 120.0
_FIRST_WAIT = timedelta(seconds=1)
_LONGEST_WAIT = timedelta(seconds=60)
_TRIES = 30
_KEPT_REFUSALS = 100
_ROOM = 384 * 1024
_AGAIN = frozenset({408, 429, 500, 502, 503, 504})
_decode = msgspec.json.Decoder(RowResult).decode


@dataclass(slots=True)
class Progress:
    """How far a file is; `line` is the last one answered for. `refusals` holds the first hundred."""

    line: int = 0
    bytes_done: int = 0
    accepted: int = 0
    duplicates: int = 0
    rejected: int = 0
    refusals: list[RowResult] = field(default_factory=list)


class _Part(NamedTuple):
    """Whole rows: `first_line` is the one in the file that the first line behind the header is."""

    body: bytes
    first_line: int
    last_line: int
    position: int


@final
class DirectoryFile:
    """`path` is the route, such as /v1/clients/bulk?mode=merge."""

    def __init__(
        self,
        url: str,
        path: str,
        key: str,
        clock: Clock,
        *,
        is_csv: bool,
        batch: int = BATCH,
        tries: int = _TRIES,
    ) -> None:
        self._url = url.rstrip("/") + path
        media = "text/csv" if is_csv else "application/x-ndjson"
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": media}
        self._clock = clock
        self._is_csv = is_csv
        self._batch = batch
        self._tries = tries

    async def send(
        self,
        file: Path,
        *,
        first_line: int = 1,
        on_progress: Callable[[Progress], None] = lambda progress: None,
    ) -> Progress:
        """Send every line from `first_line` on; raises SourceRefused or SourceUnavailable, naming where to resume."""
        timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
        progress = Progress()
        with file.open("rb") as source:
            header = source.readline(LONGEST + 1) if self._is_csv else b""
            if self._is_csv and header and not header.endswith(b"\n"):
                header += b"\n"
            async with aiohttp.ClientSession(
                headers=self._headers, timeout=timeout, trust_env=False
            ) as session:
                for part in _parts(source, self._is_csv, first_line, self._batch):
                    answer = await self._post(session, header + part.body, part)
                    _count(progress, answer, part.first_line - (2 if self._is_csv else 1))
                    progress.line, progress.bytes_done = part.last_line, part.position
                    on_progress(progress)
        return progress

    async def _post(self, session: aiohttp.ClientSession, body: bytes, part: _Part) -> list[RowResult]:
        wait, trouble = _FIRST_WAIT, ""
        for _ in range(self._tries):
            asked = ""
            try:
                async with session.post(self._url, data=body, allow_redirects=False) as response:
                    text = await response.read()
                    if response.status == 200:
                        return _results(text, self._url)
                    if response.status not in _AGAIN:
                        first, last = part.first_line, part.last_line
                        lines = f"line {first}" if first == last else f"lines {first} to {last}"
                        raise SourceRefused(
                            f"the hub refused {lines} with {response.status}: {said_of_problem(text)}"
                        )
                    trouble, asked = f"answered {response.status}", response.headers.get("Retry-After", "")
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                trouble = f"cannot be reached ({type(error).__name__})"
            told = timedelta(seconds=int(asked)) if asked.isdigit() and len(asked) < 4 else timedelta()
            await self._clock.sleep(max(wait, told))
            wait = min(wait * 2, _LONGEST_WAIT)
        raise SourceUnavailable(
            f"the hub {trouble}, {self._tries} times: resume with --from {part.first_line} when it is back"
        )


def _results(text: bytes, url: str) -> list[RowResult]:
    lines = text.splitlines()
    try:
        summary = msgspec.json.decode(lines[-1], type=dict[str, object])
        if summary.get("done") is not True:
            raise SourceRefused(f"{url} took only a part of what was sent: {summary.get('reason')}")
        return [_decode(line) for line in lines[:-1]]
    except (msgspec.DecodeError, IndexError) as error:
        raise SourceRefused(f"{url} does not answer like a hub") from error


def _count(progress: Progress, results: list[RowResult], before: int) -> None:
    for result in results:
        match result.status:
            case "accepted":
                progress.accepted += 1
            case "duplicate":
                progress.duplicates += 1
            case "rejected":
                progress.rejected += 1
                if len(progress.refusals) < _KEPT_REFUSALS:
                    progress.refusals.append(msgspec.structs.replace(result, line=result.line + before))


def _parts(source: BinaryIO, is_csv: bool, first_line: int, batch: int) -> Iterator[_Part]:
    """Yield bodies of whole lines. Where a CSV file is cut, no quotation mark is open as far as counting them tells."""
    lines: list[bytes] = []
    size = quotes = 0
    number = 1 if is_csv else 0
    while line := source.readline(_ROOM + 1):
        number += 1
        if len(line) > _ROOM:
            raise SourceRefused(
                f"line {number} is longer than {_ROOM} bytes: is this a table, one row a line?"
            )
        if number < first_line:
            continue
        lines.append(line if line.endswith(b"\n") else line + b"\n")
        size += len(line)
        quotes += line.count(b'"') if is_csv else 0
        full = len(lines) >= batch or size > _ROOM
        if full and (quotes % 2 == 0 or len(lines) >= batch + MOST_LINES or size > 2 * _ROOM):
            yield _Part(b"".join(lines), number - len(lines) + 1, number, source.tell())
            lines, size, quotes = [], 0, 0
    if lines:
        yield _Part(b"".join(lines), number - len(lines) + 1, number, source.tell())
