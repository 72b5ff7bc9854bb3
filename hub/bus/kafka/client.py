"""The one place that touches aiokafka, which carries no types: what the hub uses of it, with a typed face."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, NamedTuple, Protocol, cast

import aiokafka  # type: ignore[import-untyped]  # aiokafka carries no types
from aiokafka import errors
from aiokafka.admin import AIOKafkaAdminClient, NewTopic  # type: ignore[import-untyped]  # as above
from aiokafka.admin.config_resource import (  # type: ignore[import-untyped]  # as above
    ConfigResource,
    ConfigResourceType,
)

from hub.bus.kafka.settings import Connecting
from hub.ending import insist_on_ending

REQUEST_MS: Final = 10_000
_CLOSE_SECONDS: Final = 1.0
_BATCH_BYTES: Final = 256 * 1024
_REQUEST_BYTES: Final = 4 * 1024 * 1024
_FETCH_BYTES: Final = 8 * 1024 * 1024
_PARTITION_BYTES: Final = 1024 * 1024

# What a client raises when something is wrong with the broker, the way to it, or what it was asked.
TROUBLE: Final = (errors.KafkaError, OSError, TimeoutError, AssertionError)


class Place(NamedTuple):
    topic: str
    partition: int


class Record(Protocol):
    @property
    def offset(self) -> int: ...
    @property
    def value(self) -> bytes | None: ...


class Producer(Protocol):
    async def start(self) -> None: ...
    async def partitions_for(self, topic: str) -> Collection[int]: ...
    async def send(
        self,
        topic: str,
        value: bytes,
        *,
        key: bytes | None,
        partition: int,
        headers: list[tuple[str, bytes]] | None = None,
    ) -> asyncio.Future[object]: ...
    async def stop(self) -> None: ...


class Consumer(Protocol):
    async def start(self) -> None: ...
    async def stop(self) -> None: ...
    def assign(self, partitions: list[Any]) -> None: ...
    def seek(self, partition: Any, offset: int) -> None: ...
    def highwater(self, partition: Any) -> int | None: ...
    def last_poll_timestamp(self, partition: Any) -> int | None: ...
    async def getmany(self, *, timeout_ms: int, max_records: int) -> Mapping[Place, Sequence[Record]]: ...
    async def beginning_offsets(self, partitions: list[Any]) -> Mapping[Place, int]: ...
    async def end_offsets(self, partitions: list[Any]) -> Mapping[Place, int]: ...


def producer(connecting: Connecting, *, safe: bool) -> Producer:
    """Return a producer; `safe` acknowledges what all replicas in sync have, once, and otherwise what one has."""
    return cast(
        "Producer",
        aiokafka.AIOKafkaProducer(
            **connecting,
            acks="all" if safe else 1,
            enable_idempotence=safe,
            request_timeout_ms=REQUEST_MS,
            linger_ms=1,
            max_batch_size=_BATCH_BYTES,
            max_request_size=_REQUEST_BYTES,
        ),
    )


async def abandon(made: Producer) -> None:
    """Close a producer in any state within a bounded time; what it still held fails, or is already with the broker.

    An idempotent producer never gives up a batch by itself, and stopping it would wait for all of them.
    """
    inner = cast("Any", made)
    inner._message_accumulator.fail_all(errors.KafkaConnectionError("the producer was given up"))  # noqa: SLF001 - no public way
    # Stopping asks a broker that may not answer; cut short, it takes its tasks along and leaves the connections.
    await _close(inner.stop, inner.client.close)


async def leave(made: Consumer) -> None:
    """Close a reader in any state within a bounded time."""
    await _close(made.stop, cast("Any", made)._client.close)  # noqa: SLF001 - a stop that fails leaves it open


async def _close(*steps: Callable[[], Awaitable[None]]) -> None:
    """Take every step, however the ones before it end: nothing is worth less than the death of what is thrown away."""
    for step in steps:
        try:
            with suppress(Exception):
                async with asyncio.timeout(_CLOSE_SECONDS):
                    await step()
        except asyncio.CancelledError:
            pass  # it may be a task of the client's that was cancelled, and not the one that closes it
    # Or it was that one, and the client kept it to itself.
    insist_on_ending()


def consumer(connecting: Connecting) -> Consumer:
    """Return a reader without a group, which says so when an offset is not there instead of going elsewhere."""
    return cast(
        "Consumer",
        aiokafka.AIOKafkaConsumer(
            **connecting,
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="none",
            request_timeout_ms=REQUEST_MS,
            fetch_max_wait_ms=500,
            fetch_max_bytes=_FETCH_BYTES,
            max_partition_fetch_bytes=_PARTITION_BYTES,
        ),
    )


def place(topic: str, partition: int) -> Any:
    return aiokafka.TopicPartition(topic, partition)


def out_of_range(error: BaseException) -> Mapping[Place, int]:
    """Return the places whose offset the broker does not have, and that offset."""
    if not isinstance(error, errors.OffsetOutOfRangeError):
        return {}
    return {Place(*where): offset for where, offset in error.args[0].items()}


class Topic(NamedTuple):
    """A topic as the cluster has it; `ready` when every partition has a leader."""

    name: str
    partitions: int
    replicas: int
    ready: bool


class NotMade(Exception):
    """The broker made no topic, and said why."""


class Admin:
    """What it takes to make topics and to check them."""

    def __init__(self, connecting: Connecting) -> None:
        self._client = AIOKafkaAdminClient(**connecting, request_timeout_ms=REQUEST_MS)

    async def start(self) -> None:
        await self._client.start()

    async def close(self) -> None:
        await self._client.close()

    async def topics(self, names: Sequence[str]) -> dict[str, Topic]:
        """Return those of the topics that exist."""
        # Asked for all and not by name: asking for a topic that is not there may create it, with the broker's defaults.
        there = set(await self._client.list_topics()) & set(names)
        found = await self._client.describe_topics(sorted(there)) if there else []
        return {
            topic["topic"]: Topic(
                topic["topic"],
                len(topic["partitions"]),
                min((len(part["replicas"]) for part in topic["partitions"]), default=0),
                all(part["leader"] >= 0 for part in topic["partitions"]),
            )
            for topic in found
            if topic["error_code"] == 0
        }

    async def create(self, name: str, partitions: int, replicas: int, settings: Mapping[str, str]) -> bool:
        """Return whether the topic was made, and not there already; raises NotMade with the broker's reason."""
        wanted = NewTopic(name, partitions, replicas, topic_configs=dict(settings))
        answer = (await self._client.create_topics([wanted])).to_object()
        [error] = answer["topic_errors"]
        kind = errors.for_code(error["error_code"])
        if kind not in {errors.NoError, errors.TopicAlreadyExistsError}:
            raise NotMade(f"{kind.__name__}: {error.get('error_message') or 'no reason given'}")
        return kind is errors.NoError

    async def settings(self, names: Sequence[str]) -> dict[str, dict[str, str]]:
        """Return what is set for each of the topics."""
        asked = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
        settings: dict[str, dict[str, str]] = {}
        for answer in await self._client.describe_configs(asked):
            for resource in answer.to_object()["resources"]:
                if resource["error_code"] != 0:
                    raise errors.for_code(resource["error_code"])(resource["resource_name"])
                settings[resource["resource_name"]] = {
                    entry["config_names"]: entry["config_value"] for entry in resource["config_entries"]
                }
        return settings
