"""Samples between processes: superseded by the next ones, so told without ceremony and read from now on.

What a sample is belongs to ingest: here it is something msgspec packs that knows the partition of whoever watches it.
"""

import asyncio
from collections.abc import Callable, Collection, Sequence
from functools import reduce
from operator import or_
from typing import Final, Generic, NamedTuple, Protocol, TypeVar, final

import msgspec

from hub.bus.kafka.producer import ANSWER_SECONDS, Line
from hub.bus.kafka.reader import END, TopicReader
from hub.bus.kafka.settings import KafkaSettings
from hub.clock import Clock

_MOST_BYTES: Final = 64 * 1024


class Sampled(Protocol):
    @property
    def partition(self) -> int: ...
    @property
    def degraded(self) -> bool: ...


S = TypeVar("S", bound=Sampled)


class SamplesTold(NamedTuple):
    """What a process without levels can say of samples: `judged` were handed on to those who have them."""

    judged: int
    degraded: int = 0
    late: int = 0
    told: int = 0
    waiting: int = 0


@final
class KafkaSamples(Generic[S]):
    """The sink of a process that owns no partitions."""

    def __init__(self, settings: KafkaSettings, *, answer_seconds: float = ANSWER_SECONDS) -> None:
        self._topic = settings.samples
        self._line = Line(settings, safe=False, answer_seconds=answer_seconds)
        self._encode = msgspec.msgpack.Encoder().encode

    async def samples(self, batch: Sequence[S]) -> SamplesTold:
        """Hand samples to the owners of their partitions; return once a broker has them, or raise StoreUnavailable."""
        # Also those that are degraded: their owner counts them, and may judge a later one by them.
        tellings = [(item.partition, self._encode(item)) for item in batch]
        if tellings:
            await self._line.tell(self._topic, tellings)
        degraded = sum(item.degraded for item in batch)
        return SamplesTold(len(batch) - degraded, degraded)

    async def close(self) -> None:
        await self._line.close()


@final
class SampleInbox(Generic[S]):
    """The samples of owned partitions from the moment they are assigned, in the order they were told."""

    def __init__(self, settings: KafkaSettings, clock: Clock, *kinds: type[S]) -> None:
        self._heard = asyncio.Event()
        self._woken = False
        self._reader = TopicReader(settings, settings.samples, clock, self._heard)
        self._decode: Callable[[bytes], S] = msgspec.msgpack.Decoder(reduce(or_, kinds)).decode
        self.malformed = 0

    async def run(self, stopping: asyncio.Event) -> None:
        await self._reader.run(stopping)

    def assign(self, partitions: Collection[int]) -> None:
        """Read these partitions and no others, from now on; samples told between two owners are not read."""
        self._reader.assign(dict.fromkeys(partitions, END))

    def wake(self) -> None:
        """Make a waiting `take`, or the next one, return at once, perhaps with nothing."""
        self._woken = True
        self._heard.set()

    async def take(self, limit: int) -> list[S]:
        """Return up to `limit` samples, waiting for the first; empty only after `wake`."""
        while True:
            self._heard.clear()
            samples = self._at_hand(limit)
            if samples or self._woken:
                self._woken = False
                return samples
            if not self._reader.waiting:
                await self._heard.wait()

    def lag(self) -> int:
        return self._reader.lag()

    def problem(self) -> str | None:
        return self._reader.problem()

    def _at_hand(self, limit: int) -> list[S]:
        samples: list[S] = []
        for read in self._reader.take(limit):
            value = read.value or b""
            try:
                if len(value) > _MOST_BYTES:
                    raise msgspec.ValidationError("too large")
                sample = self._decode(value)
            except (ValueError, RecursionError, OverflowError):
                self.malformed += 1  # the next one tells as much
                continue
            if sample.partition == read.partition:
                samples.append(sample)
            else:
                self.malformed += 1
        return samples
