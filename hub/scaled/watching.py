"""Shows a process that serves the API what is sampled of accounts anywhere: it owns no partition, and reads the samples of all."""

import asyncio
from typing import final

from hub.bus.kafka.samples import SampleInbox
from hub.bus.kafka.settings import KafkaSettings
from hub.clock import Clock
from hub.ids import PARTITIONS
from hub.ingest.board import Board
from hub.ingest.samples import Quote, Sample

MOST = 512


@final
class Watching:
    """Samples told before it began are not read: the next ones say what accounts are worth."""

    def __init__(self, kafka: KafkaSettings, board: Board, clock: Clock) -> None:
        self._inbox: SampleInbox[Sample | Quote] = SampleInbox(kafka, clock, Sample, Quote)
        self._board = board

    async def run(self, stopping: asyncio.Event) -> None:
        self._inbox.assign(range(PARTITIONS))
        async with asyncio.TaskGroup() as group:
            reading = group.create_task(self._inbox.run(stopping))
            showing = group.create_task(self._show())
            await stopping.wait()
            showing.cancel()
            await asyncio.wait((reading,))

    async def _show(self) -> None:
        while True:
            told = await self._inbox.take(MOST)
            self._board.hear_samples([each for each in told if isinstance(each, Sample)])
