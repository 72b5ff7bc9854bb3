"""Where topics end: what is waited for is what is there, and no more."""

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from kafka_kit import a_log, at
from processes.harness import free_port
from processes.services import Kafka

from hub.bus.kafka.ends import topic_ends
from hub.bus.kafka.topics import ensure
from hub.bus.log import Lane
from hub.errors import StoreUnavailable
from hub.testing import a_trade_closed, an_account


async def test_the_ends_of_topics_are_those_of_what_was_told_and_removed_records_do_not_count(
    kafka_server: Kafka,
) -> None:
    settings = at(kafka_server.bootstrap)
    await ensure(settings)
    both = (settings.live, settings.bulk)
    assert await topic_ends(settings, both) == {}

    live, bulk = ([a_trade_closed(an_account()) for _ in range(3)] for _ in range(2))
    async with a_log(settings) as log:
        await log.append(live)
        await log.append(bulk, lane=Lane.BULK)
    where = live[0].partition
    assert await topic_ends(settings, both) == {
        (settings.live, where): 3,
        (settings.bulk, bulk[0].partition): 3,
    }

    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_server.bootstrap)
    await admin.start()
    try:
        await admin.delete_records({TopicPartition(settings.live, where): RecordsToDelete(before_offset=3)})
    finally:
        await admin.close()
    assert await topic_ends(settings, both) == {(settings.bulk, bulk[0].partition): 3}


async def test_a_kafka_that_is_away_is_told_by_its_name() -> None:
    address = f"127.0.0.1:{free_port()}"
    with pytest.raises(StoreUnavailable, match=address):
        await topic_ends(at(address), ("hub.live",))
