"""The dispatcher's role: it sends to the endpoints and the servers a process owns, each from one place."""

from collections.abc import AsyncIterator, Callable, Collection, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from random import Random
from typing import final

import structlog
from prometheus_client.core import Metric

from hub.bus.lease import Lease
from hub.bus.log import Teller
from hub.bus.ownership import Ownership
from hub.clock import Clock
from hub.config import Settings
from hub.delivering import make_dispatcher
from hub.dispatch.channels.manager_mt_remote import MtRemoteBackend
from hub.dispatch.channels.mt_remote_client import MtRemoteClient
from hub.dispatch.dispatcher import Dispatcher
from hub.dispatch.effects.worker import ActionWorker
from hub.dispatch.outbox import Endpoints
from hub.dispatch.replaying import Replaying
from hub.dispatch.safe_http import Transport
from hub.dispatch.subscriptions import ENABLED
from hub.ending import GiveUp
from hub.events.declared import Known
from hub.intents.gate import Gate
from hub.metrics import action_moves, deliveries, places, standing
from hub.parts import action_worker
from hub.pulses import ACTIONS_STAND_AFTER, Pulses
from hub.scaled.ears import Ears
from hub.scaled.hand_over import Beside
from hub.scaled.looking import EVERY, Looking
from hub.scaled.owned import Nothing, only_looking
from hub.scaled.process import Process
from hub.scaled.recipients import recipients_in
from hub.stages import Every, Service, Stages
from hub.store.postgres.browse import PostgresBrowser
from hub.store.postgres.database import Database
from hub.store.postgres.health import PostgresHealths
from hub.store.postgres.intents import PostgresIntents
from hub.store.postgres.log import PostgresLog
from hub.store.postgres.notices import ENDPOINTS, INTENTS, REPLAYS, WAITING, read_waiting
from hub.store.postgres.outbox import PostgresDeliveries
from hub.store.postgres.replays import PostgresReplays

NO_SERVER = (
    ""  # stands for intents that concern no account: mail that is addressed to somebody, events to publish
)

log = structlog.get_logger(__name__)


@final
class KnownEndpoints:
    """Which endpoints there are to own; the dispatcher follows when they, or their owner, change."""

    def __init__(self, endpoints: Endpoints, dispatcher: Dispatcher) -> None:
        self._endpoints = endpoints
        self._dispatcher = dispatcher
        self._names: frozenset[str] = frozenset()

    def names(self) -> Collection[str]:
        return self._names

    async def gained(self, _names: Collection[str]) -> None:
        await self._dispatcher.refresh()

    async def load(self) -> None:
        found = await self._endpoints.all()
        self._names = frozenset(endpoint.id for endpoint in found if endpoint.state == ENABLED)

    async def look(self) -> None:
        await self.load()
        await self._dispatcher.refresh()
        self._dispatcher.look_at_everything()  # word of deliveries may have been lost


@dataclass(slots=True)
class ActionRole:
    """Begins shifts on servers: one process holds a server's manager session, and nobody else sends to it."""

    settings: Settings
    database: Database
    clock: Clock
    random: Random
    ears: Ears
    everything: PostgresIntents
    gate: Gate
    teller: Teller
    pulses: Pulses
    give_up: GiveUp
    ownership: Ownership | None = None
    worker: ActionWorker | None = None
    asked_for: frozenset[str] = frozenset()

    def names(self) -> Collection[str]:
        """Return the servers there are: intents for one nobody configured have to be rejected by somebody, too."""
        return (
            frozenset({NO_SERVER, *(manager.server for manager in self.settings.managers)}) | self.asked_for
        )

    def share(self, names: Collection[str]) -> float:
        """Return how much of what a CRM bears in a second belongs to whoever works on these servers.

        Each server is worked on by one process at a time, so that all their shares together are never more than one.
        """
        mine = frozenset(names)  # what was just asked for there may not have been seen by `look` yet
        return len(mine) / len(mine.union(self.names()))

    async def look(self) -> None:
        self.asked_for = frozenset(await self.everything.servers())

    @asynccontextmanager
    async def begin(self, names: frozenset[str]) -> AsyncIterator[Service]:
        assert self.ownership is not None
        managers = [manager for manager in self.settings.managers if manager.server in names]
        sessions = [MtRemoteClient(manager, self.clock) for manager in managers]
        backends = [
            MtRemoteBackend(manager, session) for manager, session in zip(managers, sessions, strict=True)
        ]
        intents = PostgresIntents(self.database, self.ownership.fence, owned=lambda: names)
        worker = action_worker(
            self.settings,
            intents,
            backends,
            self.clock,
            self.random,
            recipients=recipients_in(self.database),
            teller=self.teller,
            owns=self.ownership.holds,
            control=self.gate,
            share=lambda: self.share(names),
        )

        def heard(payload: str) -> None:
            intents.heard(payload)
            worker.wake()

        def gap() -> None:
            intents.look_again()
            worker.wake()

        async with AsyncExitStack() as stack:
            stack.enter_context(self.ears.listening(INTENTS, heard, gap))
            stack.enter_context(self.pulses.watching("actions", worker.mark, after=ACTIONS_STAND_AFTER))
            self.worker = worker
            services = (worker, Every(EVERY, gap, self.clock))
            yield Stages((sessions, services), worker.wake, give_up=self.give_up)

    def metrics(self) -> Iterator[Metric]:
        if self.worker is not None:
            yield from action_moves(self.worker.counts)


async def add(
    process: Process,
    transport: Transport,
    teller: Teller,
    gate: Gate,
    endpoints: Endpoints,
    topics: Transport | None,
    declared: Known,
) -> Beside:
    """Let the process own endpoints and servers; return what an engine beside it has to know."""
    database, settings = process.database, process.settings

    def owned(names: Collection[str]) -> Sequence[Lease]:
        return ownership.fence(names)

    def owns(endpoint: str) -> bool:
        return ownership.holds(endpoint)

    dispatcher = make_dispatcher(
        settings,
        process.clock,
        process.random,
        endpoints=endpoints,
        deliveries=PostgresDeliveries(database, only_looking, owned),
        healths=PostgresHealths(database, owned),
        transport=transport,
        topics=topics,
        teller=teller,
        owns=owns,
    )
    known = KnownEndpoints(endpoints, dispatcher)
    await known.load()
    ownership = process.own("endpoint", known.names, known.gained, dispatcher.let_go)
    looking = Looking("endpoints", known.look, process.clock)

    def heard(payload: str) -> None:
        news = read_waiting(payload)
        if not news:
            dispatcher.look_at_everything()
        for endpoint, first in news.items():
            dispatcher.left_behind(endpoint, first)

    process.ears.listen(WAITING, heard, dispatcher.look_at_everything)
    process.ears.listen(ENDPOINTS, lambda _endpoint: looking.now(), looking.now)
    process.working += [dispatcher, looking]
    process.pulses.watch("deliveries", dispatcher.mark)
    _add_replays(process, endpoints, dispatcher, owned, owns, declared)
    process.metrics.append(lambda: deliveries(dispatcher.counters()))
    process.metrics.append(lambda: standing(dispatcher.standing(), process.clock.now_us()))
    process.metrics.append(lambda: places(dispatcher.places))

    actions = ActionRole(
        settings,
        database,
        process.clock,
        process.random,
        process.ears,
        PostgresIntents(database, only_looking),
        gate,
        teller,
        process.pulses,
        process.give_up,
    )
    asked = Looking("intents", actions.look, process.clock)
    process.ears.listen(INTENTS, lambda _servers: asked.now(), asked.now)
    process.working.append(asked)
    actions.ownership = process.work_in_shifts("server", actions.names, actions.begin)
    process.metrics.append(actions.metrics)
    return Beside(dispatcher, owns)


def _add_replays(
    process: Process,
    endpoints: Endpoints,
    dispatcher: Dispatcher,
    fence: Callable[[Collection[str]], Sequence[Lease]],
    owns: Callable[[str], bool],
    declared: Known,
) -> None:
    """Let the process work on the replays of the endpoints it owns."""
    database = process.database
    replaying = Replaying(
        PostgresReplays(database, fence),
        PostgresBrowser(database),
        PostgresLog(database, process.clock, Nothing()).find,
        endpoints,
        process.clock,
        dispatcher.left_behind,
        owns=owns,
        declared=declared,
    )
    process.ears.listen(REPLAYS, lambda _replay: replaying.wake(), replaying.wake)
    process.working.append(replaying)
    process.metrics.append(replaying.metrics)
