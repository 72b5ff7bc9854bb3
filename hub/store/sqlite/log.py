"""The `input` log on SQLite."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from typing import NamedTuple, final

import apsw
from typing_extensions import override

from hub.bus.log import Appended, Input, Lane, Log, Mark, NewInput
from hub.clock import Clock
from hub.errors import StoreRefused
from hub.events.facts import Fact
from hub.store.sqlite.append import Content, Written, find_row, read_rows, scan_rows, start_of, write
from hub.store.sqlite.numbering import Numbering
from hub.store.sqlite.reader import Reader
from hub.store.sqlite.wide import among, insert
from hub.store.sqlite.writer import Writer

Listener = Callable[[Sequence[Input]], None]
_BULK_CHUNK = 256
_LIVE_ENOUGH = 1_000
CROWD = 8  # who append in one commit
_BULK_PAUSE = timedelta(milliseconds=20)


class _Append(NamedTuple):
    facts: Sequence[Fact]
    inputs: Sequence[NewInput]
    marks: Sequence[Mark]
    future: "asyncio.Future[list[Appended]]"


@final
class SqliteLog(Log):
    """Appends that arrive while a transaction is on its way to disk share the next one, and its statements."""

    def __init__(self, writer: Writer, reader: Reader, numbering: Numbering, clock: Clock) -> None:
        self._writer = writer
        self._reader = reader
        self._numbering = numbering
        self._clock = clock
        self._pending: deque[_Append] = deque()
        self._together = 0  # appends that shared the last transaction
        self._heads = numbering.heads()
        self._listeners: list[Listener] = []
        self._live_backlog: Callable[[], int] = lambda: 0
        self._waiting: Callable[[], int] = lambda: 0

    def listen(self, listener: Listener) -> None:
        """Have committed rows told to `listener`, on the event loop, in order."""
        self._listeners.append(listener)

    def is_crowded(self) -> bool:
        """Return whether many append at once, so that waiting a little brings company."""
        return self._together >= CROWD or self._waiting() >= CROWD

    def count_waiting(self, waiting: Callable[[], int]) -> None:
        """Have those counted into a crowd who append together; the writer's thread asks how many wait."""
        self._waiting = waiting

    def let_bulk_wait_for(self, backlog: Callable[[], int]) -> None:
        self._live_backlog = backlog

    @override
    def append(
        self,
        facts: Sequence[Fact],
        *,
        inputs: Sequence[NewInput] = (),
        marks: Sequence[Mark] = (),
        lane: Lane = Lane.LIVE,
    ) -> Awaitable[list[Appended]]:
        if lane is Lane.BULK:
            return self._append_bulk(facts, inputs, marks)
        return self._append(facts, inputs, marks)

    @override
    async def read(self, partition: int, after: int, limit: int) -> list[Input]:
        return await self._reader.read(lambda connection: read_rows(connection, partition, after, limit))

    @override
    async def start(self, positions: Sequence[int]) -> int:
        return await self._reader.read(lambda connection: start_of(connection, positions))

    @override
    async def scan(self, after: int, limit: int) -> list[Input]:
        return await self._reader.read(lambda connection: scan_rows(connection, after, limit))

    @override
    async def find(self, key: bytes) -> Input | None:
        return await self._reader.read(lambda connection: find_row(connection, key))

    @override
    def heads(self) -> Sequence[int]:
        return self._heads

    @override
    async def marks(self, source: str) -> Mapping[str, bytes]:
        def work(connection: apsw.Connection) -> dict[str, bytes]:
            rows = connection.execute("SELECT name, value FROM mark WHERE source = ?", (source,))
            return {str(name): value for name, value in rows}

        return await self._reader.read(work)

    def published(self, written: Written) -> None:
        """Tell listeners what a transaction (ours, or one that wrote through `write`) put into the log."""
        self._heads = written.heads
        if written.rows:
            for listener in self._listeners:
                listener(written.rows)

    def write(self, connection: apsw.Connection, appends: Sequence[Content]) -> Written:
        """Add to the log inside somebody else's transaction; give the result to `published` after it committed."""
        return write(connection, self._numbering, self._numbering.at(self._clock.now_us()), appends)

    def _append(
        self, facts: Sequence[Fact], inputs: Sequence[NewInput], marks: Sequence[Mark]
    ) -> "asyncio.Future[list[Appended]]":
        future: asyncio.Future[list[Appended]] = asyncio.get_running_loop().create_future()
        self._pending.append(_Append(facts, inputs, marks, future))
        if len(self._pending) == 1:
            self._submit()
        return future

    async def _append_bulk(
        self, facts: Sequence[Fact], inputs: Sequence[NewInput], marks: Sequence[Mark]
    ) -> list[Appended]:
        answers: list[Appended] = []
        for start in range(0, max(len(facts), 1), _BULK_CHUNK):
            while self._live_backlog() >= _LIVE_ENOUGH:
                await self._clock.sleep(_BULK_PAUSE)
            last = start + _BULK_CHUNK >= len(facts)
            answers += await self._append(
                facts[start : start + _BULK_CHUNK], inputs if last else (), marks if last else ()
            )
        return answers

    def _submit(self, alone: _Append | None = None) -> None:
        batch: list[_Append] = [] if alone is None else [alone]

        def work(connection: apsw.Connection) -> Written:
            if not batch:  # run again after a rollback, the job keeps what it took
                self._take_pending(batch)
            return self._write_batch(connection, batch)

        def committed(written: Written) -> None:
            for append, answer in zip(batch, written.answers, strict=True):
                if not append.future.done():
                    append.future.set_result(answer)
            self.published(
                written
            )  # before those who wait wake, and after their answers are safe from a listener

        def failed(done: "asyncio.Future[Written]") -> None:
            error = done.exception()
            if error is None:
                return
            if not batch:  # the transaction could not even begin
                self._take_pending(batch)
            if isinstance(error, StoreRefused) and len(batch) > 1:
                # One append spoiled it for those it shared the transaction with: give each its own.
                for append in batch:
                    self._submit(append)
                return
            for append in batch:
                if not append.future.done():
                    append.future.set_exception(error)

        self._writer.submit(work, committed).add_done_callback(failed)

    def _take_pending(self, batch: list[_Append]) -> None:
        # The writer's thread and the event loop may both be taking: each append goes to one of them.
        with contextlib.suppress(IndexError):
            while True:
                batch.append(self._pending.popleft())

    def _write_batch(self, connection: apsw.Connection, batch: Sequence[_Append]) -> Written:
        self._together = len(batch)
        written = self.write(connection, [(append.facts, append.inputs) for append in batch])
        marks = {(mark.source, mark.name): mark.value for append in batch for mark in append.marks}
        gone = [which for which, value in marks.items() if value is None]
        kept = [(*which, value) for which, value in marks.items() if value is not None]
        among(connection, "DELETE FROM mark WHERE (source, name)", gone)
        insert(connection, "INSERT OR REPLACE INTO mark", kept)
        return written
