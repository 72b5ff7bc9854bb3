"""Posts a file of events to a running hub, in batches that let live events pass.

Nothing is remembered between runs: posting the same lines again is harmless, because the hub knows what it has, and
`first_line` skips what is known to be there.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import BinaryIO, NamedTuple, final

import aiohttp
import msgspec

from hub.clock import Clock
from hub.errors import SourceRefused, SourceUnavailable
from hub.ingest.receive import ItemResult, Receipt
from hub.ingest.refusals import said_of_problem
from hub.ingest.strict import MAX_BYTES, MAX_ITEMS

BATCH = 250
_TIMEOUT_S = 60.0
_FIRST_WAIT = timedelta(seconds=1)
_LONGEST_WAIT = timedelta(seconds=60)
_TRIES = 30
_KEPT_REFUSALS = 100
_ROOM = MAX_BYTES - 4096
_decode = msgspec.json.Decoder(Receipt).decode


class RefusedLine(NamedTuple):
    """A line, counted from 1, that the hub will not take."""

    line: int
    result: ItemResult


@dataclass(slots=True)
class Progress:
    """How far a file is; `line` is the last one answered for. `refusals` holds the first hundred."""

    line: int = 0
    bytes_done: int = 0
    bytes_total: int = 0
    accepted: int = 0
    duplicates: int = 0
    rejected: int = 0
    waits: int = 0
    refusals: list[RefusedLine] = field(default_factory=list)


class _Batch(NamedTuple):
    lines: list[int]
    body: bytes
    last_line: int
    position: int


@final
class FileClient:
    def __init__(self, url: str, key: str, clock: Clock, *, batch: int = BATCH, tries: int = _TRIES) -> None:
        self._url = url.rstrip("/") + "/v1/events?lane=bulk"
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/x-ndjson"}
        self._clock = clock
        self._batch = min(batch, MAX_ITEMS)
        self._tries = tries

    async def post(
        self,
        path: Path,
        *,
        first_line: int = 1,
        on_progress: Callable[[Progress], None] = lambda progress: None,
    ) -> Progress:
        """Post every line from `first_line` on; raises SourceRefused or SourceUnavailable, naming where to resume."""
        timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
        with path.open("rb") as file:
            progress = Progress(bytes_total=os.fstat(file.fileno()).st_size)
            async with aiohttp.ClientSession(
                headers=self._headers, timeout=timeout, trust_env=False
            ) as session:
                for batch in _batches(file, first_line, self._batch):
                    if batch.lines:
                        receipt = await self._send(session, batch, progress)
                        _count(progress, batch, receipt)
                    progress.line = batch.last_line
                    progress.bytes_done = batch.position
                    on_progress(progress)
        return progress

    async def _send(self, session: aiohttp.ClientSession, batch: _Batch, progress: Progress) -> Receipt:
        wait = _FIRST_WAIT
        trouble = ""
        for _ in range(self._tries):
            try:
                async with session.post(self._url, data=batch.body, allow_redirects=False) as response:
                    text = await response.read()
                    if response.status == 202 or (response.status == 422 and b'"results"' in text):
                        return _decode(text)
                    if response.status not in {408, 429, 500, 502, 503, 504}:
                        raise SourceRefused(
                            f"the hub refused lines {batch.lines[0]} to {batch.last_line} "
                            f"with {response.status}: {said_of_problem(text)}"
                        )
                    trouble = f"answered {response.status}"
                    asked = response.headers.get("Retry-After", "")
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                trouble, asked = f"cannot be reached ({type(error).__name__})", ""
            except msgspec.DecodeError as error:
                raise SourceRefused(f"{self._url} does not answer like a hub") from error
            progress.waits += 1
            told = timedelta(seconds=int(asked)) if asked.isdigit() and len(asked) < 6 else timedelta()
            await self._clock.sleep(min(max(wait, told), max(_LONGEST_WAIT, told)))
            wait = min(wait * 2, _LONGEST_WAIT)
        raise SourceUnavailable(
            f"the hub {trouble}, {self._tries} times: resume with --from {batch.lines[0]} when it is back"
        )


def _count(progress: Progress, batch: _Batch, receipt: Receipt) -> None:
    progress.accepted += receipt.accepted
    progress.duplicates += receipt.duplicates
    progress.rejected += receipt.rejected
    for result in receipt.results:
        if result.status == "rejected" and len(progress.refusals) < _KEPT_REFUSALS:
            progress.refusals.append(RefusedLine(batch.lines[result.index], result))


def _batches(file: BinaryIO, first_line: int, most: int) -> Iterator[_Batch]:
    """Yield bodies of whole lines, each within the hub's limits; blank lines and those before `first_line` are passed."""
    lines: list[int] = []
    parts: list[bytes] = []
    size = number = 0
    while line := file.readline(MAX_BYTES + 1):
        number += 1
        if len(line) > _ROOM:
            raise SourceRefused(
                f"line {number} is longer than {_ROOM} bytes: is this NDJSON, one event a line?"
            )
        if number < first_line or line.isspace():
            continue
        if lines and (len(lines) == most or size + len(line) + 1 > _ROOM):
            yield _Batch(lines, b"".join(parts), lines[-1], file.tell() - len(line))
            lines, parts, size = [], [], 0
        lines.append(number)
        parts.append(line if line.endswith(b"\n") else line + b"\n")
        size += len(parts[-1])
    yield _Batch(lines, b"".join(parts), number, file.tell())
