"""The owner's reader: what was told to its partitions, the live lane first, with the positions to be stored beside it."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple, final

import structlog

from hub.bus import told
from hub.bus.kafka.reader import Read, TopicReader
from hub.bus.kafka.settings import KafkaSettings
from hub.bus.log import Lane
from hub.clock import Clock
from hub.errors import RecordMalformed
from hub.events.facts import Fact

log = structlog.get_logger(__name__)

MOST_LIVE_WAITING: Final = 1_000  # live inputs nobody has decided yet, above which bulk waits
_LOOK_AGAIN_SECONDS: Final = 0.05
_MOST_LINES: Final = 10


class Taken(NamedTuple):
    """Facts, the first `live` of them from the live lane; and (topic, partition) to the offset to be read next.

    Positions may have moved without a fact: a record that says nothing readable is passed over.
    """

    facts: list[Fact]
    live: int
    positions: dict[tuple[str, int], int]


@final
class KafkaInbox:
    """Run it, assign what is owned, and take. Everything here happens on the event loop."""

    def __init__(self, settings: KafkaSettings, clock: Clock) -> None:
        self._wake = asyncio.Event()
        self._woken = False
        self._live = TopicReader(settings, settings.live, clock, self._wake)
        self._bulk = TopicReader(settings, settings.bulk, clock, self._wake)
        self.malformed = 0

    async def run(self, stopping: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._live.run(stopping))
            group.create_task(self._bulk.run(stopping))

    def assign(self, partitions: Mapping[int, Mapping[str, int]]) -> None:
        """Read these partitions and no others, each topic from its stored position; without one, from the beginning.

        What was taken and not stored is taken again: give the positions that are stored.
        """
        for reader in (self._live, self._bulk):
            reader.assign({number: offsets.get(reader.topic, 0) for number, offsets in partitions.items()})

    def wake(self) -> None:
        """Make a waiting `take`, or the next one, return at once, perhaps with nothing."""
        self._woken = True
        self._wake.set()

    async def take(self, limit: int, *, live_backlog: int) -> Taken:
        """Return up to `limit` facts, waiting for the first.

        Empty after `wake`, and while bulk is held back for the backlog: look at the backlog and take again.
        """
        while True:
            self._wake.clear()
            taken = self._at_hand(limit, live_backlog)
            if taken.positions or self._woken:
                self._woken = False
                return taken
            try:
                async with asyncio.timeout(_LOOK_AGAIN_SECONDS if self._bulk.waiting else None):
                    await self._wake.wait()
            except TimeoutError:
                return taken

    @property
    def live_waiting(self) -> int:
        """Records of the live lane that are read and not taken."""
        return self._live.waiting

    def lag(self) -> Mapping[Lane, int]:
        """Return how many records wait in each lane of the assigned partitions."""
        return {Lane.LIVE: self._live.lag(), Lane.BULK: self._bulk.lag()}

    def lost(self) -> Mapping[Lane, int]:
        """Return how many records retention removed before they were read, since start."""
        return {Lane.LIVE: self._live.lost, Lane.BULK: self._bulk.lost}

    def problem(self) -> str | None:
        return self._live.problem() or self._bulk.problem()

    def _at_hand(self, limit: int, live_backlog: int) -> Taken:
        bulk_limit = limit if live_backlog < MOST_LIVE_WAITING else 0
        # A place for bulk even if live never ends, and all that live leaves over.
        kept = min(max(limit // 4, 1), bulk_limit, self._bulk.waiting) if limit > 1 else 0
        live = self._live.take(limit - kept)
        bulk = self._bulk.take(min(limit - len(live), bulk_limit))
        facts = self._facts(self._live.topic, live)
        live_facts = len(facts)
        facts += self._facts(self._bulk.topic, bulk)
        positions = {(self._live.topic, read.partition): read.offset + 1 for read in live}
        positions |= {(self._bulk.topic, read.partition): read.offset + 1 for read in bulk}
        return Taken(facts, live_facts, positions)

    def _facts(self, topic: str, reads: Sequence[Read]) -> list[Fact]:
        facts: list[Fact] = []
        refused: list[tuple[Read, RecordMalformed]] = []
        for read in reads:
            try:
                facts.append(told.decode(read.value or b"", read.partition))
            except RecordMalformed as error:
                refused.append((read, error))
        self.malformed += len(refused)
        for read, reason in refused[:_MOST_LINES]:
            log.error(
                "kafka.record_passed_over", topic=topic, partition=read.partition, offset=read.offset, reason=str(reason)
            )  # fmt: skip
        if len(refused) > _MOST_LINES:
            last = refused[-1][0]
            log.error(
                "kafka.records_passed_over", topic=topic, more=len(refused) - _MOST_LINES, last=last.offset
            )
        return facts
