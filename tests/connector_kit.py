"""What connector tests share: a log that can fail, and what was told, by name."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import msgspec
from typing_extensions import override

from hub.bus.log import Appended, Input, Lane, Log, Mark, NewInput
from hub.clock import SystemClock
from hub.engine.memory import MemoryLog
from hub.errors import StoreUnavailable
from hub.events.facts import Fact
from hub.events.records import Envelope, decode_envelope
from hub.ingest.samples import Quote, Sample, Sink
from hub.ingest.source import Connector


class RecordingLog(Log):
    """The log in memory, which can be out of order for a while, and what it holds, easy to ask for."""

    def __init__(self) -> None:
        self.inner = MemoryLog(SystemClock())
        self.broken = False

    @override
    async def append(
        self,
        facts: Sequence[Fact],
        *,
        inputs: Sequence[NewInput] = (),
        marks: Sequence[Mark] = (),
        lane: Lane = Lane.LIVE,
    ) -> list[Appended]:
        await asyncio.sleep(0)
        if self.broken:
            raise StoreUnavailable("the disk is full")
        return await self.inner.append(facts, inputs=inputs, marks=marks, lane=lane)

    @override
    async def find(self, key: bytes) -> Input | None:
        return await self.inner.find(key)

    @override
    async def marks(self, source: str) -> Mapping[str, bytes]:
        return await self.inner.marks(source)

    @property
    def told(self) -> list[Envelope]:
        return [decode_envelope(row.body) for row in self.inner.ranked(0, 1_000_000)]

    def of(self, login: int | None = None, kind: str = "") -> list[Envelope]:
        return [
            event
            for event in self.told
            if (login is None or (event.account is not None and event.account.login == login))
            and event.type.startswith(kind)
        ]

    def types(self, login: int | None = None) -> Counter[str]:
        return Counter(event.type for event in self.of(login))

    def data(self, login: int | None, kind: str) -> list[dict[str, Any]]:
        return [data_of(event) for event in self.of(login, kind)]


def data_of(event: Envelope) -> dict[str, Any]:
    return msgspec.json.decode(event.data)


@dataclass
class Samples(Sink):
    taken: list[Sample] = field(default_factory=list)
    quoted: list[Quote] = field(default_factory=list)

    @override
    async def samples(self, batch: Sequence[Sample]) -> object:
        self.taken += batch
        return None

    @override
    async def quotes(self, batch: Sequence[Quote]) -> object:
        self.quoted += batch
        return None


async def until(condition: Callable[[], bool], what: str, seconds: float = 10) -> None:
    clock = SystemClock()
    end = clock.monotonic() + seconds
    while not condition():
        if clock.monotonic() > end:
            raise AssertionError(f"waited {seconds} s in vain for: {what}")
        await clock.sleep(timedelta(milliseconds=10))


@contextlib.asynccontextmanager
async def running(*connectors: Connector) -> AsyncIterator[None]:
    stopping = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for connector in connectors:
            group.create_task(connector.run(stopping))
        try:
            yield
        finally:
            stopping.set()
