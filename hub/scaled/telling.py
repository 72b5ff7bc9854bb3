"""What a process without partitions has in the place of the log and the watcher: the ways to those that own them."""

from collections.abc import Awaitable, Mapping, Sequence
from typing import final

from typing_extensions import override

from hub.api.ports import Watching
from hub.bus.kafka.producer import KafkaLog
from hub.bus.kafka.samples import KafkaSamples
from hub.bus.log import Appended, Input, Lane, Mark, Teller
from hub.events.facts import Fact
from hub.ingest.board import Board
from hub.ingest.reading import Reading
from hub.ingest.samples import Quote, Sample, in_parts
from hub.ingest.watcher import SampleReceipt
from hub.store.postgres.log import PostgresLog


@final
class FarLog(Teller):
    """Tells through Kafka, finds in the database: a fact is found there once its owner has stored it."""

    def __init__(self, kafka: KafkaLog, log: PostgresLog) -> None:
        self._kafka = kafka
        self._log = log

    @override
    def append(
        self, facts: Sequence[Fact], *, marks: Sequence[Mark] = (), lane: Lane = Lane.LIVE
    ) -> Awaitable[list[Appended]]:
        return self._kafka.append(facts, marks=marks, lane=lane)

    @override
    async def find(self, key: bytes) -> Input | None:
        return await self._log.find(key)

    @override
    async def marks(self, source: str) -> Mapping[str, bytes]:
        return await self._kafka.marks(source)


@final
class FarWatcher(Watching):
    """Hands samples and quotes to those who watch them; the board, if there is one here, hears what everybody hands on."""

    def __init__(self, kafka: KafkaSamples[Sample | Quote], board: Board | None = None) -> None:
        self._kafka = kafka
        self._board = board

    @override
    async def samples(self, batch: Sequence[Sample]) -> SampleReceipt:
        return SampleReceipt(*await self._kafka.samples(tuple(in_parts(batch))))

    @override
    async def quotes(self, batch: Sequence[Quote]) -> SampleReceipt:
        return SampleReceipt(*await self._kafka.samples(tuple(batch)))

    @override
    def last_seen(self, key: str) -> Reading | None:
        return self._board.last_seen(key) if self._board is not None else None
