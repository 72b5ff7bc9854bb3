"""Telling facts to their owners: what a process without partitions of its own appends to.

The owner of a partition dedupes, numbers and stores. So whoever was left without an answer here may tell the same
again, and an answer is given only for what the brokers have acknowledged.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple, Protocol, final

import structlog

from hub.bus import told
from hub.bus.kafka.client import TROUBLE, Producer, abandon, producer
from hub.bus.kafka.settings import KafkaSettings
from hub.bus.log import Appended, Lane, Mark, NewInput
from hub.errors import ConfigError, RecordMalformed, StoreRefused, StoreUnavailable
from hub.events.facts import Fact
from hub.turns import a_turn

log = structlog.get_logger(__name__)

ANSWER_SECONDS: Final = 10.0
_MOST_WAITING: Final = 64 * 1024 * 1024  # bytes told and not acknowledged yet
_REMEMBERED: Final = 100_000
_SLICE: Final = 200  # facts handled before the loop gets a turn


class Marks(Protocol):
    """Where sources keep what they remember about themselves: the database, for Kafka is no place to look things up."""

    async def write(self, marks: Sequence[Mark]) -> None: ...
    async def marks(self, source: str) -> Mapping[str, bytes]: ...


class _Telling(NamedTuple):
    partition: int
    data: bytes
    key: bytes | None = None
    headers: list[tuple[str, bytes]] | None = None


Telling = tuple[int, bytes] | tuple[int, bytes, bytes] | tuple[int, bytes, bytes, list[tuple[str, bytes]]]


@final
class Line:
    """A producer that is made when it is first needed, and made anew after any failure.

    After one an idempotent producer is of no more use: the broker refuses what follows a batch it never got.
    """

    def __init__(
        self, settings: KafkaSettings, *, safe: bool, answer_seconds: float = ANSWER_SECONDS
    ) -> None:
        self._settings = settings
        self._safe = safe
        self._answer_seconds = answer_seconds
        self._producer: Producer | None = None
        self._making = asyncio.Lock()
        self._closed = False
        self._failing = False
        self.waiting = 0  # bytes
        self.failures = 0

    async def partitions(self, topic: str) -> int:
        """Return how many partitions a topic has. Raises StoreUnavailable."""
        try:
            async with asyncio.timeout(self._answer_seconds):
                return len(await (await self._ready()).partitions_for(topic))
        except (*TROUBLE, ConfigError) as error:
            self._failed(topic, error)
            raise StoreUnavailable(f"Kafka does not say what {topic} is ({_reason(error)})") from error

    async def tell(self, topic: str, tellings: Iterable[Telling]) -> None:
        """Return once all of it is acknowledged, in order for each partition; raises StoreUnavailable otherwise.

        A telling is its partition, what is told, and perhaps a key and headers for whoever reads it.
        """
        items = [_Telling(*telling) for telling in tellings]
        size = sum(len(item.data) for item in items)
        if self.waiting and self.waiting + size > _MOST_WAITING:
            raise StoreUnavailable(
                f"Kafka has not acknowledged {self.waiting} bytes yet, and no more than {_MOST_WAITING} may wait: try again later"
            )
        self.waiting += size
        used: Producer | None = None
        try:
            async with asyncio.timeout(self._answer_seconds):
                used = await self._ready()
                await _tell_all(used, topic, items)
        except (*TROUBLE, ConfigError) as error:
            self._failed(topic, error)
            if used is not None:
                await self._give_up(used)
            raise StoreUnavailable(
                f"Kafka has not acknowledged {topic} ({_reason(error)}): nothing is lost if it is told again"
            ) from error
        finally:
            self.waiting -= size
        if self._failing:
            self._failing = False
            log.info("kafka.acknowledges_again", topic=topic)

    async def close(self) -> None:
        self._closed = True
        async with self._making:
            if self._producer is not None:
                await abandon(self._producer)
                self._producer = None

    async def _ready(self) -> Producer:
        if self._producer is not None:
            return self._producer
        async with self._making:
            if self._closed:
                raise StoreUnavailable(
                    "this process is stopping and tells Kafka nothing more: tell it again later"
                )
            if self._producer is None:
                made = producer(self._settings.connecting(), safe=self._safe)
                try:
                    # One that began while the brokers did may never hear of them: the next begins in time for an answer.
                    async with asyncio.timeout(self._answer_seconds / 2):
                        await made.start()
                except BaseException:
                    await abandon(made)
                    raise
                self._producer = made
            return self._producer

    def _failed(self, topic: str, error: Exception) -> None:
        self.failures += 1
        if not self._failing:  # one line for an outage, and not one for everybody who meets it
            self._failing = True
            log.warning("kafka.not_acknowledged", topic=topic, reason=_reason(error))

    async def _give_up(self, used: Producer) -> None:
        if self._producer is used:  # the first who noticed; the others find another one
            self._producer = None
            await abandon(used)


async def _tell_all(line: Producer, topic: str, items: Sequence[_Telling]) -> None:
    answers: list[asyncio.Future[object]] = []
    try:
        for number, item in enumerate(items, 1):
            # One after the other: what is sent at once may be overtaken while it waits for room in its batch.
            if number % _SLICE == 0:
                await a_turn()
            answers.append(
                await line.send(
                    topic, item.data, key=item.key, partition=item.partition, headers=item.headers
                )
            )
        for answer in answers:
            await answer
    except BaseException:
        for answer in answers:
            answer.add_done_callback(_hear)
        raise


def _hear(answer: asyncio.Future[object]) -> None:
    """Take note of a failure after the one that was raised: asyncio complains of failures nobody looked at."""
    if not answer.cancelled():
        answer.exception()


def _reason(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"[:300]


@final
class KafkaLog:
    """`append` and `marks` of a log; an answer says nothing of what other processes were told before.

    A repeated telling is answered as a duplicate only when this process got the first one acknowledged, not long ago.
    The event of an entity gets its id from the owner: here its id is empty.
    """

    def __init__(
        self, settings: KafkaSettings, marks: Marks, *, answer_seconds: float = ANSWER_SECONDS
    ) -> None:
        self._topics = {Lane.LIVE: settings.live, Lane.BULK: settings.bulk}
        self._line = Line(settings, safe=True, answer_seconds=answer_seconds)
        self._marks = marks
        self._known: OrderedDict[bytes, int] = OrderedDict()
        self.acknowledged = 0

    @property
    def waiting(self) -> int:
        """Bytes that are not acknowledged yet."""
        return self._line.waiting

    @property
    def failures(self) -> int:
        return self._line.failures

    async def append(
        self,
        facts: Sequence[Fact],
        *,
        inputs: Sequence[NewInput] = (),
        marks: Sequence[Mark] = (),
        lane: Lane = Lane.LIVE,
    ) -> list[Appended]:
        """Tell the facts to their owners; return once all are acknowledged and, after them, the marks are written.

        Raises StoreUnavailable when some may not have arrived, StoreRefused when one never can (then none was sent).
        """
        if inputs:
            raise TypeError("inputs are written by the owner of their partition: send an arrival instead")
        answers, tellings, new = await self._sorted(facts)
        if tellings:
            await self._line.tell(self._topics[lane], tellings)
            self.acknowledged += len(tellings)
            self._remember(new)
        if marks:
            await self._marks.write(marks)
        return answers

    async def marks(self, source: str) -> Mapping[str, bytes]:
        return await self._marks.marks(source)

    async def close(self) -> None:
        await self._line.close()

    async def _sorted(
        self, facts: Sequence[Fact]
    ) -> tuple[list[Appended], list[tuple[int, bytes]], dict[bytes, int]]:
        """Return the answers to be given, what has to be told, and the contents of its keys."""
        answers: list[Appended] = []
        tellings: list[tuple[int, bytes]] = []
        new: dict[bytes, int] = {}
        for number, fact in enumerate(facts, 1):
            if number % _SLICE == 0:
                await a_turn()
            content = hash(fact.content)
            before = new.get(fact.key, self._known.get(fact.key)) if fact.key else None
            answers.append(
                Appended(
                    fact.envelope.id,
                    duplicate=before is not None,
                    mismatch=before is not None and before != content,
                )
            )
            if before is not None:
                continue
            try:
                tellings.append((fact.partition, told.encode(fact)))
            except RecordMalformed as error:
                raise StoreRefused(str(error)) from error
            if fact.key:
                new[fact.key] = content
        return answers, tellings, new

    def _remember(self, new: Mapping[bytes, int]) -> None:
        known = self._known
        known.update(new)
        while len(known) > _REMEMBERED:
            known.popitem(last=False)
