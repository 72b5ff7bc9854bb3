"""What delivers webhooks in a hub of either shape, made as `delivering` in the settings says."""

import resource
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from random import Random

import structlog

from hub.bus.log import Teller
from hub.clock import Clock, from_us
from hub.config import Settings
from hub.dispatch.announce import Announcement
from hub.dispatch.challenge import Challenger, OptionsChallenger
from hub.dispatch.channels.http_way_out import WayOut
from hub.dispatch.dispatcher import Dispatcher
from hub.dispatch.health import Healths
from hub.dispatch.outbox import Deliveries, Endpoints
from hub.dispatch.places import Places, places_within
from hub.dispatch.safe_http import AiohttpTransport, Transport
from hub.dispatch.sealed import SealedEndpoints
from hub.errors import ConfigError
from hub.events.catalogue import BY_NAME
from hub.events.facts import make_fact
from hub.events.operations import DeliveryMoved
from hub.sealing import SealBroken

log = structlog.get_logger(__name__)


def http_transport(settings: Settings, clock: Clock) -> AiohttpTransport:
    """Return what posts; to be entered, and closed when nothing is delivered any more."""
    delivering = settings.delivering
    return AiohttpTransport(
        clock,
        deadline=delivering.timeout,
        allow_loopback=delivering.allow_loopback_endpoints,
        networks=delivering.allow_networks,
    )


def make_dispatcher(
    settings: Settings,
    clock: Clock,
    random: Random,
    *,
    endpoints: Endpoints,
    deliveries: Deliveries,
    healths: Healths,
    transport: Transport,
    topics: Transport | None,
    teller: Teller,
    owns: Callable[[str], bool] = lambda _endpoint: True,
) -> Dispatcher:
    """Return the dispatcher of the endpoints that this process `owns`."""
    delivering = settings.delivering
    return Dispatcher(
        endpoints,
        deliveries,
        transport,
        clock,
        announcer(teller, clock),
        random=random,
        concurrency=delivering.concurrency,
        schedule=delivering.schedule,
        allow_loopback=delivering.allow_loopback_endpoints,
        networks=delivering.allow_networks,
        owns=owns,
        kafka=topics,
        healths=healths,
        disable_after=delivering.disable_after,
        longest_pause=delivering.longest_pause,
        places=Places(delivering.at_once or places_within(resource.getrlimit(resource.RLIMIT_NOFILE)[0])),
    )


def kafka_destination(settings: Settings, clock: Clock, stack: AsyncExitStack) -> Transport | None:
    """Return what delivers to topics, None where none is open. Raises ConfigError where its library is not installed."""
    if settings.delivering.kafka is None:
        return None
    try:
        from hub.dispatch.channels.kafka_endpoints import KafkaDestination  # noqa: PLC0415 (its library is an extra)
    except ImportError as error:
        raise ConfigError(
            f"{error.name} is not installed: delivering.kafka needs the extra, pip install 'hub[scaled]'"
        ) from error
    made = KafkaDestination(settings.delivering.kafka.kafka, clock)
    stack.push_async_callback(made.close)
    return made


async def sealed_endpoints(stored: Endpoints, settings: Settings) -> SealedEndpoints:
    """Return the endpoints with their secrets sealed in the store, those that were not until now among them.

    Raises ConfigError where that takes a key nobody gave.
    """
    endpoints = SealedEndpoints(stored, settings.sealing.ring())
    try:
        changed = await endpoints.seal_everything()
    except SealBroken as problem:
        raise ConfigError(
            f"the secrets of endpoints do not open ({problem}): see sealing.key_file"
        ) from problem
    if changed:
        log.info("endpoints.sealed", endpoints=changed)
    return endpoints


def challenger(settings: Settings) -> Challenger:
    """Return what asks receivers whether they want to be called."""
    delivering = settings.delivering
    way_out = WayOut(allow_loopback=delivering.allow_loopback_endpoints, networks=delivering.allow_networks)
    return OptionsChallenger(way_out, origin=settings.delivering.origin)


def announcer(teller: Teller, clock: Clock) -> Callable[[Announcement], Awaitable[None]]:
    """Return what makes an event of something dispatch says about itself."""

    async def announce(said: Announcement) -> None:
        now = clock.now_us()
        fact = make_fact(
            BY_NAME[said.type],
            said.type,
            DeliveryMoved(
                endpoint=said.endpoint,
                delivery=said.delivery,
                reason=said.reason[:2048],
                since=None if said.since is None else from_us(said.since),
            ),
            timestamp=from_us(now),
            received_us=now,
            source="hub",
            dedupe_key=said.dedupe_key,
        )
        await teller.append([fact])

    return announce
