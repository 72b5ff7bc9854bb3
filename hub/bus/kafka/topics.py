"""The hub's topics: made when they are missing, refused when they would lose what was acknowledged."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import structlog

from hub.bus.kafka.client import TROUBLE, Admin, NotMade, Topic
from hub.bus.kafka.settings import RETENTION, KafkaSettings
from hub.clock import Clock, SystemClock
from hub.errors import ConfigError, StoreUnavailable
from hub.ids import PARTITIONS

log = structlog.get_logger(__name__)

_MOST_MESSAGE: Final = 4 * 1024 * 1024  # a fact of the largest size, and what is around it
_SAMPLES_KEPT: Final = timedelta(minutes=10)
_READY_WITHIN: Final = timedelta(seconds=30)
_BETWEEN_LOOKS: Final = timedelta(milliseconds=200)
_MILLISECOND: Final = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """`keeps` are topics whose records must not be lost: samples are superseded by the next ones."""

    name: str
    kept: timedelta
    keeps: bool


async def ensure(settings: KafkaSettings, clock: Clock | None = None) -> None:
    """Make the topics that are missing and check all of them; may be called again, and by several processes at once.

    Raises ConfigError for a topic the hub must not use, StoreUnavailable when Kafka does not answer.
    """
    wanted = (
        _Wanted(settings.live, settings.retention, keeps=True),
        _Wanted(settings.bulk, settings.retention, keeps=True),
        _Wanted(settings.samples, _SAMPLES_KEPT, keeps=False),
    )
    admin = Admin(settings.connecting())
    try:
        await admin.start()
        known = await admin.topics([topic.name for topic in wanted])
        await _check_all(admin, wanted, known)  # before anything is made beside a topic that must not be used
        missing = [topic for topic in wanted if topic.name not in known]
        for topic in missing:
            await _create(admin, topic, settings)
        if missing or not all(topic.ready for topic in known.values()):
            await _check_all(admin, missing, await _when_ready(admin, wanted, clock or SystemClock()))
    except TROUBLE as error:
        raise StoreUnavailable(
            f"Kafka at {', '.join(settings.servers)} does not answer ({type(error).__name__}): see that it runs, that "
            "bus.kafka.servers names it, and that bus.kafka.security and what it signs in with are what it expects"
        ) from error
    finally:
        with suppress(*TROUBLE):
            await admin.close()


async def _create(admin: Admin, topic: _Wanted, settings: KafkaSettings) -> None:
    replicas = settings.replication
    how = {
        "cleanup.policy": "delete",
        "retention.ms": str(topic.kept // _MILLISECOND),
        "retention.bytes": "-1",
        "max.message.bytes": str(_MOST_MESSAGE),
        "min.insync.replicas": str(max(replicas - 1, 1) if topic.keeps else 1),
    }
    if not topic.keeps:
        how["segment.ms"] = how["retention.ms"]  # only closed segments are ever dropped
    try:
        made = await admin.create(topic.name, PARTITIONS, replicas, how)
    except NotMade as error:
        raise ConfigError(
            f"topic {topic.name} cannot be made ({error}): set bus.kafka.replication to at most the number of brokers "
            f"(it is {replicas}), let the hub's user create topics, or make the topic yourself with {PARTITIONS} partitions"
        ) from error
    if made:
        log.info("kafka.topic_made", topic=topic.name, partitions=PARTITIONS, replicas=replicas)


async def _check_all(admin: Admin, wanted: Sequence[_Wanted], found: Mapping[str, Topic]) -> None:
    there = [topic for topic in wanted if topic.name in found]
    settings = await admin.settings([topic.name for topic in there]) if there else {}
    for topic in there:
        _check(topic, found[topic.name], settings[topic.name])


async def _when_ready(admin: Admin, wanted: Sequence[_Wanted], clock: Clock) -> dict[str, Topic]:
    """Return the topics once every partition has a leader."""
    until = clock.monotonic() + _READY_WITHIN.total_seconds()
    while True:
        found = await admin.topics([topic.name for topic in wanted])
        if len(found) == len(wanted) and all(topic.ready for topic in found.values()):
            return found
        if clock.monotonic() > until:
            missing = [
                topic.name for topic in wanted if not (topic.name in found and found[topic.name].ready)
            ]
            raise StoreUnavailable(
                f"Kafka has partitions without a leader in {', '.join(missing)}: see that enough of its brokers run"
            )
        await clock.sleep(_BETWEEN_LOOKS)


def _check(wanted: _Wanted, topic: Topic, settings: Mapping[str, str]) -> None:
    if topic.partitions != PARTITIONS:
        raise ConfigError(
            f"topic {topic.name} has {topic.partitions} partitions and needs {PARTITIONS}: give the hub a prefix of its own "
            "(bus.kafka.prefix), or remove the topic if nothing in it is needed, and start again"
        )
    if not wanted.keeps:
        return
    if settings.get("cleanup.policy") != "delete":
        _refuse(
            topic, "cleanup.policy", settings, "delete", "records of the hub have no key to be compacted by"
        )
    kept = int(settings.get("retention.ms") or 0)
    if 0 <= kept < RETENTION // _MILLISECOND:
        need = str(RETENTION // _MILLISECOND)
        _refuse(topic, "retention.ms", settings, need, "what waits for the hub has to outlast a long outage")
    if settings.get("retention.bytes") != "-1":
        _refuse(topic, "retention.bytes", settings, "-1", "by size, a burst removes what nobody has read")
    if int(settings.get("max.message.bytes") or 0) < _MOST_MESSAGE:
        _refuse(
            topic, "max.message.bytes", settings, str(_MOST_MESSAGE), "a large fact would be refused for ever"
        )
    in_sync = int(settings.get("min.insync.replicas") or 1)
    if in_sync > topic.replicas:
        _refuse(
            topic, "min.insync.replicas", settings, str(topic.replicas), "it has no more replicas than that"
        )
    if in_sync < min(2, topic.replicas - 1):
        _refuse(
            topic, "min.insync.replicas", settings, "2", "one broker's disk is not enough to acknowledge by"
        )
    if topic.replicas < 2:
        log.warning(
            "kafka.topic_unreplicated", topic=topic.name, advice="one lost disk loses what waits in it"
        )


def _refuse(topic: Topic, name: str, settings: Mapping[str, str], need: str, why: str) -> None:
    raise ConfigError(
        f"topic {topic.name} has {name}={settings.get(name)} and needs {need}, because {why}: "
        f"kafka-configs --alter --entity-type topics --entity-name {topic.name} --add-config {name}={need}"
    )
