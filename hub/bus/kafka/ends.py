"""How far topics reach: what stored positions are compared with, to know that everything told so far is stored."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

from hub.bus.kafka.client import TROUBLE, Place, consumer, leave, place
from hub.bus.kafka.settings import KafkaSettings
from hub.errors import ConfigError, StoreUnavailable
from hub.ids import PARTITIONS

_ANSWER_SECONDS: Final = 15.0


async def topic_ends(settings: KafkaSettings, topics: Sequence[str]) -> Mapping[tuple[str, int], int]:
    """Return the offset behind the last record of every (topic, partition) that holds one. Raises StoreUnavailable."""
    try:
        reader = consumer(settings.connecting())
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                await reader.start()
                places = [place(topic, p) for topic in topics for p in range(PARTITIONS)]
                reader.assign(places)
                ends = await reader.end_offsets(places)
                # What retention removed is never stored: where nothing is left, nothing is waited for.
                firsts = await reader.beginning_offsets(places)
        finally:
            await leave(reader)
    except (*TROUBLE, ConfigError) as error:
        raise StoreUnavailable(
            f"Kafka at {', '.join(settings.servers)} does not say where its topics end ({type(error).__name__})"
        ) from error
    return {
        (where.topic, where.partition): end for where, end in map(_named, ends.items()) if end > firsts[where]
    }


def _named(item: tuple[Place, int]) -> tuple[Place, int]:
    return Place(*item[0]), item[1]
