"""The hub's topics are made as it needs them, and such as would lose something are refused with what to do."""

import asyncio
import ssl
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from kafka_kit import at, shared_topics
from processes.services import Kafka
from pydantic import ValidationError

from hub.bus.kafka.client import Admin, abandon, consumer, leave, producer
from hub.bus.kafka.settings import KafkaSettings
from hub.bus.kafka.topics import ensure
from hub.errors import ConfigError, StoreUnavailable
from hub.ids import PARTITIONS


async def made(settings: KafkaSettings, topic: str, partitions: int = PARTITIONS, **how: str) -> None:
    """Make a topic as an operator would."""
    good = {
        "retention.ms": "604800000",
        "max.message.bytes": "4194304",
        "min.insync.replicas": "1",
    } | {name.replace("_", "."): value for name, value in how.items()}
    admin = Admin(settings.connecting())
    await admin.start()
    try:
        assert await admin.create(topic, partitions, 1, good)
        while topic not in await admin.topics([topic]):
            await asyncio.sleep(0.01)
    finally:
        await admin.close()


async def test_missing_topics_are_made_as_the_hub_needs_them(kafka_server: Kafka) -> None:
    settings = shared_topics(kafka_server.bootstrap)
    names = [settings.live, settings.bulk, settings.samples]

    admin = Admin(settings.connecting())
    await admin.start()
    topics, how = await admin.topics(names), await admin.settings(names)
    await admin.close()

    assert {name: topic.partitions for name, topic in topics.items()} == dict.fromkeys(names, PARTITIONS)
    assert how[settings.live]["retention.ms"] == how[settings.bulk]["retention.ms"] == "604800000"
    assert how[settings.live]["max.message.bytes"] == "4194304"
    assert how[settings.samples]["retention.ms"] == "600000"


async def test_making_topics_again_changes_nothing_also_from_two_processes_at_once(
    kafka_server: Kafka,
) -> None:
    settings = shared_topics(kafka_server.bootstrap)

    async with asyncio.TaskGroup() as group:
        for _ in range(2):
            group.create_task(ensure(settings))


async def test_a_topic_with_the_wrong_number_of_partitions_is_refused(kafka_server: Kafka) -> None:
    settings = at(kafka_server.bootstrap)
    await made(settings, settings.live, partitions=3)

    with pytest.raises(ConfigError) as refused:
        await ensure(settings)

    assert f"{settings.live} has 3 partitions and needs {PARTITIONS}" in str(refused.value)
    assert "bus.kafka.prefix" in str(refused.value)


@pytest.mark.parametrize(
    ("how", "what"),
    [
        ({"retention_ms": "3600000"}, "retention.ms=3600000 and needs 604800000"),
        ({"retention_bytes": "1000000"}, "retention.bytes=1000000 and needs -1"),
        ({"cleanup_policy": "compact"}, "cleanup.policy=compact and needs delete"),
        ({"max_message_bytes": "1048588"}, "max.message.bytes=1048588 and needs 4194304"),
        ({"min_insync_replicas": "2"}, "min.insync.replicas=2 and needs 1"),
    ],
)
async def test_a_topic_that_would_lose_or_refuse_facts_is_refused(
    kafka_server: Kafka, how: dict[str, str], what: str
) -> None:
    settings = at(kafka_server.bootstrap)
    await made(settings, settings.bulk, **how)

    with pytest.raises(ConfigError) as refused:
        await ensure(settings)

    assert settings.bulk in str(refused.value)
    assert what in str(refused.value)
    assert "kafka-configs --alter" in str(refused.value)


async def test_more_replicas_than_brokers_is_an_error_that_says_so(kafka_server: Kafka) -> None:
    settings = at(kafka_server.bootstrap).model_copy(update={"replication": 9})

    with pytest.raises(
        ConfigError, match=r"set bus\.kafka\.replication to at most the number of brokers \(it is 9\)"
    ):
        await ensure(settings)


async def test_a_kafka_that_is_not_there_is_named() -> None:
    settings = KafkaSettings(servers="127.0.0.1:1")

    with pytest.raises(StoreUnavailable, match=r"127\.0\.0\.1:1 does not answer"):
        await ensure(settings)


# --- settings


def test_servers_may_be_written_on_one_line() -> None:
    assert KafkaSettings(servers="a:9092, b.example:9093").servers == ("a:9092", "b.example:9093")


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        ({"servers": "kafka"}, "write host:port"),
        ({"servers": "kafka:99999"}, "write host:port"),
        ({"servers": []}, "at least 1"),
        ({"prefix": "a b"}, "pattern"),
        ({"ca_file": "ca.pem"}, "certificates are for security ssl"),
        ({"security": "ssl", "cert_file": "c.pem"}, "give both cert_file and key_file"),
        ({"security": "sasl_ssl"}, "give username, and either password or password_file"),
        (
            {"security": "sasl_ssl", "username": "u", "password": "p", "password_file": "f"},
            "either password or",
        ),
        ({"username": "u", "password": "p"}, "are for security sasl_ssl"),
        ({"security": "sasl_ssl", "username": "u", "password": "p", "mechanism": "GSSAPI"}, "SCRAM-SHA-256"),
        ({"retention": "6d"}, "keep it 7d or longer"),
        ({"group": "hub"}, "Extra inputs"),
    ],
)
def test_settings_that_cannot_work_are_refused(fields: dict[str, Any], what: str) -> None:
    with pytest.raises(ValidationError) as refused:
        KafkaSettings(**{"servers": "a:9092", **fields})

    assert what in str(refused.value)


def test_retention_is_at_least_the_seven_days_the_hub_counts_on() -> None:
    assert KafkaSettings(servers="a:9092").retention == timedelta(days=7)
    assert KafkaSettings(servers="a:9092", retention="30d").retention == timedelta(days=30)


def test_a_password_is_never_shown() -> None:
    settings = KafkaSettings(servers="a:9092", security="sasl_ssl", username="hub", password="correct horse")

    assert "correct horse" not in repr(settings) + str(settings.model_dump())


async def test_what_signs_in_reaches_every_kind_of_client(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("correct horse\n")
    settings = KafkaSettings(
        servers="a:9092",
        security="sasl_ssl",
        mechanism="SCRAM-SHA-256",
        username="hub",
        password_file=tmp_path / "password",
    )

    writer: Any = producer(settings.connecting(), safe=True)
    reader: Any = consumer(settings.connecting())
    admin: Any = Admin(settings.connecting())

    for client in (writer.client, reader._client, admin._client._client):
        assert client._security_protocol == "SASL_SSL"
        assert client._sasl_mechanism == "SCRAM-SHA-256"
        assert (client._sasl_plain_username, client._sasl_plain_password) == ("hub", "correct horse")
        assert client._ssl_context.verify_mode == ssl.CERT_REQUIRED
        assert client._ssl_context.check_hostname
    await abandon(writer)
    await leave(reader)
    await admin.close()


async def test_an_acknowledgement_means_all_replicas_and_is_given_once() -> None:
    settings = KafkaSettings(servers="a:9092")

    safe: Any = producer(settings.connecting(), safe=True)
    quick: Any = producer(settings.connecting(), safe=False)

    assert (safe._sender._acks, safe._txn_manager is not None) == (-1, True)
    assert (quick._sender._acks, quick._txn_manager) == (1, None)
    await abandon(safe)
    await abandon(quick)


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        ({"security": "ssl", "ca_file": "missing.pem"}, "bus.kafka.ca_file missing.pem cannot be used"),
        ({"security": "ssl", "ca_file": __file__}, "bus.kafka.ca_file"),
        ({"security": "ssl", "cert_file": "c.pem", "key_file": "k.pem"}, "bus.kafka.cert_file c.pem"),
        (
            {"security": "sasl_plaintext", "username": "u", "password_file": "missing"},
            "bus.kafka.password_file missing cannot be read",
        ),
        (
            {"security": "sasl_plaintext", "username": "u", "password_file": "/dev/null"},
            "holds no password",
        ),
    ],
)
def test_files_that_cannot_be_used_are_named(fields: dict[str, Any], what: str) -> None:
    settings = KafkaSettings(servers="a:9092", **fields)

    with pytest.raises(ConfigError) as refused:
        settings.connecting()

    assert what in str(refused.value)
