"""One topic's assigned partitions, read ahead into bounded memory by one task; whoever takes from it never waits for a broker."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Final, NamedTuple, final

import structlog

from hub.bus.kafka.client import TROUBLE, Consumer, Place, consumer, leave, out_of_range, place
from hub.bus.kafka.settings import KafkaSettings
from hub.clock import Clock
from hub.ending import insist_on_ending
from hub.errors import ConfigError

log = structlog.get_logger(__name__)

END: Final = -1  # in place of an offset: begin with what is told from now on
_READ_AHEAD: Final = 2_000  # records; what the client itself fetches ahead is bounded in bytes
_AT_ONCE: Final = 500
_LOOK_MS: Final = 100
_ASK_SECONDS: Final = 1.0
_TRY_AGAIN: Final = timedelta(seconds=1)
_SILENT_SECONDS: Final = 30.0
_START_SECONDS: Final = 15.0


class Read(NamedTuple):
    """One record; `value` None where somebody wrote nothing."""

    partition: int
    offset: int
    value: bytes | None


class _Silent(Exception):
    pass


@final
class TopicReader:
    """Records reach the taker once and in order for each partition, from the offsets that were assigned."""

    def __init__(self, settings: KafkaSettings, topic: str, clock: Clock, heard: asyncio.Event) -> None:
        self._settings = settings
        self.topic = topic
        self._clock = clock
        self._heard = heard  # set when there is something to take
        self._generation = 0
        self._next: dict[int, int] = {}  # the offset to be read next
        self._taken: dict[int, int] = {}  # the offset to be taken next
        self._ends: dict[int, int] = {}
        self._ready: deque[Read] = deque()
        self._room = asyncio.Event()
        self._assigned = asyncio.Event()
        self._problem: str | None = None
        self.lost = 0  # records the topic's retention removed before they were read

    def assign(self, offsets: Mapping[int, int]) -> None:
        """Read these partitions from these offsets, and no others; what was read ahead is forgotten."""
        self._generation += 1
        self._next = dict(offsets)
        self._taken = {partition: offset for partition, offset in offsets.items() if offset != END}
        self._ends = {}
        self._ready.clear()
        self._room.set()
        self._assigned.set()

    @property
    def waiting(self) -> int:
        """Records that are read and not taken."""
        return len(self._ready)

    def take(self, limit: int) -> list[Read]:
        """Return up to `limit` records that are at hand, perhaps none."""
        ready = self._ready
        reads = [ready.popleft() for _ in range(min(limit, len(ready)))]
        for read in reads:
            self._taken[read.partition] = read.offset + 1
        if len(ready) < _READ_AHEAD:
            self._room.set()
        return reads

    def lag(self) -> int:
        """Return how many records of the assigned partitions wait to be taken, as far as the brokers said."""
        return sum(max(end - self._taken.get(partition, end), 0) for partition, end in self._ends.items())

    def problem(self) -> str | None:
        return self._problem

    async def run(self, stopping: asyncio.Event) -> None:
        """Read until `stopping` is set; trouble with the brokers is waited out."""
        while not stopping.is_set():
            self._assigned.clear()
            if not self._next:
                await self._wait(self._assigned)
                continue
            try:
                async with self._opened() as opened:
                    await self._read(opened, stopping)
            except (*TROUBLE, ConfigError, _Silent) as error:
                insist_on_ending()  # a client that was cut off says so by an error of its own
                problem = f"topic {self.topic} cannot be read ({type(error).__name__}: {error})"[:400]
                if problem != self._problem:
                    self._problem = problem
                    log.warning("kafka.reading_failed", topic=self.topic, reason=problem)
                await self._clock.sleep(_TRY_AGAIN)

    @asynccontextmanager
    async def _opened(self) -> AsyncIterator[Consumer]:
        made = consumer(self._settings.connecting())
        try:
            async with asyncio.timeout(_START_SECONDS):
                await made.start()
            yield made
        finally:
            await leave(made)

    async def _read(self, opened: Consumer, stopping: asyncio.Event) -> None:
        """Read what is assigned now, until something else is."""
        generation = self._generation
        places = {partition: place(self.topic, partition) for partition in self._next}
        opened.assign(list(places.values()))
        if END in self._next.values():
            ends = await opened.end_offsets([places[p] for p, offset in self._next.items() if offset == END])
            if generation != self._generation:
                return
            found = {where.partition: offset for where, offset in ends.items()}
            self._next.update(found)
            self._taken.update(found)
        for partition, offset in self._next.items():
            opened.seek(places[partition], offset)
        pulse = _Pulse(self._clock)
        asked = 0.0
        while generation == self._generation and not stopping.is_set():
            if len(self._ready) >= _READ_AHEAD:
                self._room.clear()
                await self._wait(self._room)
                pulse.skip()
                continue
            try:
                fetched = await opened.getmany(timeout_ms=_LOOK_MS, max_records=_AT_ONCE)
            except TROUBLE as error:
                if not await self._repaired(opened, error, generation):
                    raise
                continue
            if generation != self._generation:
                return  # read for an assignment that is over: whoever has the partition now reads it again
            for where, records in fetched.items():
                self._ready.extend(Read(where.partition, record.offset, record.value) for record in records)
                self._next[where.partition] = records[-1].offset + 1
            self._note_ends(opened, fetched)
            if fetched:
                self._heard.set()
            now = self._clock.monotonic()
            if asked and now < asked + _ASK_SECONDS:
                continue  # asking about every partition costs more than all else a look does
            asked = now
            self._note_ends(opened, places.values())
            stamp = max(opened.last_poll_timestamp(where) or 0 for where in places.values())
            if not pulse.beats(stamp):
                raise _Silent(f"no broker has answered for {_SILENT_SECONDS:.0f} s")
            if stamp:
                self._problem = None

    def _note_ends(self, opened: Consumer, places: Iterable[Place]) -> None:
        for where in places:
            end = opened.highwater(where)
            if end is not None:
                self._ends[where.partition] = end

    async def _repaired(self, opened: Consumer, error: BaseException, generation: int) -> bool:
        """Go on from the first record there is where the offset is not; return whether that was what is wrong."""
        missing = out_of_range(error)
        for where, offset in missing.items():
            at = place(*where)
            first = (await opened.beginning_offsets([at]))[at]
            if generation != self._generation:
                return True
            lost = max(first - offset, 0)
            self.lost += lost
            log.error(
                "kafka.records_lost" if lost else "kafka.offset_beyond_end",
                topic=where.topic, partition=where.partition, lost=lost, wanted=offset, first=first,
                advice="retention removed them before they were read: ask their sources again for that time" if lost
                else "the topic was made anew or cut short: it is read again from its beginning, and duplicates are dropped",
            )  # fmt: skip
            opened.seek(at, first)
            self._next[where.partition] = first
            self._taken[where.partition] = first
        return bool(missing)

    async def _wait(self, event: asyncio.Event) -> None:
        """Wait for an event, but look again soon: stopping is an event of its own."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_LOOK_MS / 1000):
                await event.wait()


class _Pulse:
    """Whether brokers still answer: the client itself keeps trying the addresses it once learned, for ever."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._stamp = 0
        self._since = clock.monotonic()

    def beats(self, stamp: int) -> bool:
        now = self._clock.monotonic()
        if stamp != self._stamp:
            self._stamp, self._since = stamp, now
        return now - self._since < _SILENT_SECONDS

    def skip(self) -> None:
        """Nothing was asked of the brokers meanwhile."""
        self._since = self._clock.monotonic()
