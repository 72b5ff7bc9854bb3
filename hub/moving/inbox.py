"""The topics a moved hub begins with: made, and empty."""

from hub.bus.kafka.client import TROUBLE, consumer, leave, place
from hub.bus.kafka.settings import KafkaSettings
from hub.bus.kafka.topics import ensure
from hub.clock import Clock
from hub.errors import ConfigError, StoreUnavailable
from hub.ids import PARTITIONS


async def prepare(settings: KafkaSettings, clock: Clock) -> list[str]:
    """Make the hub's topics and return their names; raises ConfigError when facts wait in them.

    A moved hub reads them from their beginning: what another one, or a rehearsal, left there would become its own.
    """
    await ensure(settings, clock)
    reader = consumer(settings.connecting())
    try:
        await reader.start()
        places = [
            place(topic, partition)
            for topic in (settings.live, settings.bulk)
            for partition in range(PARTITIONS)
        ]
        reader.assign(places)
        first, end = await reader.beginning_offsets(places), await reader.end_offsets(places)
    except TROUBLE as error:
        raise StoreUnavailable(
            f"Kafka at {', '.join(settings.servers)} does not say what is in its topics ({type(error).__name__}): see that "
            "all of its brokers run, and run the same command again"
        ) from error
    finally:
        await leave(reader)
    held = sorted({where.topic for where, offset in end.items() if offset > first[where]})
    if held:
        raise ConfigError(
            f"there are records in {', '.join(held)}, which the moved hub would take for its own: name another "
            "bus.kafka.prefix, or delete these topics if nothing in them is needed"
        )
    return [settings.live, settings.bulk, settings.samples]
