"""Builds the hub and connects its rooms: read this first, then follow the names.

connectors, HTTP  ──►  log  ──►  engine  ──►  intents  ──►  actions (manager, mail)
                        │                                        │
                        └──►  fan-out  ──►  deliveries           └──►  outcomes, back into the log
"""

import asyncio
import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Protocol

import structlog

import hub.web
from hub import garbage
from hub.api.app import make_api
from hub.api.ports import LOCAL_HOSTS, ApiDeps
from hub.api.server import Serving, serve
from hub.bus.follower import Follower
from hub.bus.lease import Lease
from hub.bus.log import Input, InputKind
from hub.clock import Clock, from_us
from hub.config import Settings
from hub.control.keys import Keys, Scope
from hub.dispatch.announce import Announcement
from hub.dispatch.channels.email import EmailChannel
from hub.dispatch.channels.manager_mt_remote import MtRemoteBackend
from hub.dispatch.channels.mt_remote_client import MtRemoteClient
from hub.dispatch.dispatcher import Dispatcher
from hub.dispatch.effects.backend import ManagerBackend
from hub.dispatch.effects.machine import Timing
from hub.dispatch.effects.worker import ActionWorker
from hub.dispatch.fanout import FanOut
from hub.dispatch.safe_http import AiohttpTransport
from hub.engine.load import LoadedSet, load_folder, load_text
from hub.engine.loop import EngineLoop
from hub.engine.program import Workflow
from hub.engine.rows import Batch
from hub.errors import ConfigError, HubError, LeaseLost
from hub.events.catalogue import BY_NAME
from hub.events.facts import make_fact
from hub.events.operations import DeliveryMoved
from hub.ingest.directory import Directory
from hub.ingest.mt5rest import Mt5RestConnector
from hub.ingest.mt_remote import MtRemoteConnector
from hub.ingest.receive import Receiver
from hub.ingest.settings import MtRemoteSettings
from hub.ingest.source import Connector
from hub.ingest.symbols import SymbolClasses
from hub.ingest.watcher import Watcher
from hub.metrics import HubCollector, metrics_text
from hub.store.retention import Retention
from hub.store.sqlite.store import SqliteStore, open_sqlite
from hub.views import AccountView, Readiness, WorkflowView

log = structlog.get_logger(__name__)

LEASE = "hub"
LEASE_FOR = timedelta(seconds=15)
GRACE = timedelta(seconds=20)
# The type stands near the front of every stored event.
_MONEY = re.compile(rb'"type":"(?:balance|credit|bonus)\.')
# Between the beginnings of two commits while many append at once; one that comes alone waits for nothing.
COMMIT_PACE = 0.006
FULL = 5_000  # jobs waiting for the store at which posting has to pause
_TIDY_EVERY = timedelta(hours=1)


class Service(Protocol):
    async def run(self, stopping: asyncio.Event) -> None:
        """Run until `stopping` is set and the work in hand is finished."""


@dataclass(slots=True)
class Hub:
    """A hub that is built and not yet running. `url` is where it listens, `first_key` the admin key of a first start."""

    settings: Settings
    clock: Clock
    store: SqliteStore
    engine: EngineLoop
    watcher: Watcher
    dispatcher: Dispatcher
    actions: ActionWorker
    directory: Directory
    keys: Keys
    workflows: LoadedSet
    serving: Serving
    first_key: str | None
    committed: list[Callable[[Batch], None]]
    _inboxes: Sequence[Follower]
    connectors: Sequence[Connector]
    _stages: Sequence[Sequence[Service]]  # started in this order, stopped in the other

    @property
    def url(self) -> str:
        return f"http://{self.settings.listen.host}:{self.serving.port}"

    def backlog(self) -> int:
        """Return how many inputs nobody has decided yet."""
        return self._inboxes[0].backlog() + self.engine.waiting

    async def run(self, stopping: asyncio.Event) -> None:
        """Run until told to stop: sources end first, then whoever works on what they brought, then what those need."""
        async with asyncio.TaskGroup() as group:
            stages = []
            for services in self._stages:
                stop = asyncio.Event()
                stages.append((stop, [group.create_task(service.run(stop)) for service in services]))
            garbage.settle()
            await stopping.wait()
            for stop, tasks in reversed(stages):
                await self._stop(tasks, stop)

    async def _stop(self, tasks: Sequence["asyncio.Task[None]"], stop: asyncio.Event) -> None:
        stop.set()
        for inbox in self._inboxes:
            inbox.wake()
        self.actions.wake()
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=GRACE.total_seconds())
            for task in late:
                task.cancel()


@asynccontextmanager
async def build(settings: Settings, clock: Clock, workflows: LoadedSet | None = None) -> AsyncIterator[Hub]:
    """Open the store, build every room, listen. Raises ConfigError with what to do when that cannot work."""
    random = Random(os.urandom(16))  # noqa: S311 (jitter)
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(
            open_sqlite(settings.data, clock, _retention(settings), pace_seconds=COMMIT_PACE)
        )
        lease = HeldLease(store, clock)
        await lease.take()
        keys, first_key = await _keys(store, clock)
        loaded = workflows if workflows is not None else load_folder(_existing(settings.workflows))
        symbols = SymbolClasses(settings.symbols)

        transport = await stack.enter_async_context(
            AiohttpTransport(
                clock,
                deadline=settings.delivering.timeout,
                allow_loopback=settings.delivering.allow_loopback_endpoints,
            )
        )
        dispatcher = Dispatcher(
            store.endpoints,
            store.deliveries,
            transport,
            clock,
            _announce(store, clock),
            random=random,
            concurrency=settings.delivering.concurrency,
            schedule=settings.delivering.schedule,
            allow_loopback=settings.delivering.allow_loopback_endpoints,
        )
        await dispatcher.refresh()  # before the fan-out reads its first events
        webhooks = store.follow(await store.deliveries.fanned_out())
        fan_out = FanOut(webhooks, dispatcher.subscriptions, dispatcher, clock)

        sessions = [MtRemoteClient(manager, clock) for manager in settings.managers]
        backends: list[ManagerBackend] = [
            MtRemoteBackend(manager, session)
            for manager, session in zip(settings.managers, sessions, strict=True)
        ]
        actions = ActionWorker(
            store.intents,
            clock,
            backends=backends,
            notifiers=[EmailChannel(settings.mail, clock)] if settings.mail else [],
            armed=settings.arm,
            random=random,
            timing=Timing(
                money_quiesce=settings.actions.money_quiesce,
                state_quiesce=settings.actions.state_quiesce,
                between_looks=settings.actions.between_looks,
            ),
        )

        watcher = Watcher(store.log, clock)
        inbox = store.follow(await store.engine.positions("engine"))
        store.log.let_bulk_wait_for(inbox.backlog)
        committed: list[Callable[[Batch], None]] = [lambda batch: actions.wake() if batch.intents else None]
        engine = EngineLoop(
            store.engine,
            inbox,
            clock,
            lease.fence,
            _compile,
            on_levels=watcher.changed,
            on_committed=lambda batch: _tell(committed, batch),
        )
        # Before the engine hears of it: it may move a limit that follows the balance.
        store.log.listen(lambda rows: _tell_of_money(watcher, rows))
        await engine.activate(loaded.workflows)
        watcher.load(await store.engine.levels())

        connectors: list[Connector] = []
        for source in settings.sources:
            if isinstance(source, MtRemoteSettings):
                connectors.append(
                    MtRemoteConnector(source, store.log, clock, sink=watcher, classify=symbols.of)
                )
            else:
                connectors.append(
                    Mt5RestConnector(source, store.log, clock, sink=watcher, classify=symbols.of)
                )

        collector = HubCollector(store, engine, inbox, dispatcher, actions)
        directory = Directory(store.clients, clock)
        deps = ApiDeps(
            clock=clock,
            log=store.log,
            keys=keys,
            receiver=Receiver(store.log, clock, symbols=symbols),
            watcher=watcher,
            directory=directory,
            endpoints=store.endpoints,
            events=store.browser,
            deliveries=store.browser,
            actions=store.browser,
            workflows=WorkflowView(store, engine, watcher, loaded, clock),
            accounts=AccountView(store),
            readiness=Readiness(store, lease.problem),
            metrics=lambda: metrics_text(collector),
            docs=Path(hub.web.__path__[0]) / "docs",
            pressure=lambda: 1.0 if store.writer.waiting > FULL else 0.0,
            endpoints_changed=dispatcher.refresh,
            allow_loopback_endpoints=settings.delivering.allow_loopback_endpoints,
            hosts=None if settings.listen.allow_remote else LOCAL_HOSTS,
        )
        serving = await _listen(stack, deps, settings)
        yield Hub(
            settings=settings,
            clock=clock,
            store=store,
            engine=engine,
            watcher=watcher,
            dispatcher=dispatcher,
            actions=actions,
            directory=directory,
            keys=keys,
            workflows=loaded,
            serving=serving,
            first_key=first_key,
            committed=committed,
            _inboxes=(inbox, webhooks),
            _stages=(
                (lease, keys, *sessions),
                (store.journal, engine, dispatcher, fan_out, actions, Tidy(store, clock)),
                (*connectors, watcher),
            ),
            connectors=connectors,
        )


class HeldLease:
    """The embedded shape's one lease: it owns every partition, endpoint, server and connector."""

    def __init__(self, store: SqliteStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._owner = f"{os.getpid()}-{os.urandom(4).hex()}"
        self._held: Lease | None = None

    async def take(self) -> None:
        self._held = await self._store.leases.seize(LEASE, self._owner, LEASE_FOR)

    def fence(self, _partitions: Collection[int]) -> Sequence[Lease]:
        if self._held is None:
            raise LeaseLost("this process does not own the store")
        return [self._held]

    def problem(self) -> str | None:
        if self._held is None or self._held.until < self._clock.now_us():
            return "the lease on the store ran out"
        return None

    async def run(self, stopping: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as group:
            keeping = group.create_task(self._keep())
            await stopping.wait()
            keeping.cancel()

    async def _keep(self) -> None:
        while True:
            await self._clock.sleep(LEASE_FOR / 3)
            try:
                lease = await self._store.leases.take(LEASE, self._owner, LEASE_FOR)
            except (
                HubError
            ) as error:  # a full disk must not end the process: reads, and what is in memory, go on
                log.warning("lease.not_prolonged", reason=str(error))
                continue
            if lease is None:
                raise LeaseLost("another process took the store over: this one stops")
            self._held = lease


class Tidy:
    """Deletes what outlived its retention, once an hour."""

    def __init__(self, store: SqliteStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def run(self, stopping: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as group:
            tidying = group.create_task(self._tidy())
            await stopping.wait()
            tidying.cancel()

    async def _tidy(self) -> None:
        while True:
            try:
                deleted = await self._store.pruner.prune()
                log.debug("store.pruned", rows=deleted)
            except HubError as error:
                log.warning("store.not_pruned", reason=str(error))
            await self._clock.sleep(_TIDY_EVERY)


async def _listen(stack: AsyncExitStack, deps: ApiDeps, settings: Settings) -> Serving:
    listen = settings.listen
    try:
        return await stack.enter_async_context(serve(make_api(deps), host=listen.host, port=listen.port))
    except OSError as error:
        raise ConfigError(
            f"cannot listen on {listen.host}:{listen.port} ({error.strerror or error}): stop what listens there, or choose "
            "another port with --port"
        ) from error


async def _keys(store: SqliteStore, clock: Clock) -> tuple[Keys, str | None]:
    keys = Keys(store.keys, clock)
    await keys.load()
    if keys.all():
        return keys, None
    first, _ = await keys.create("admin", [Scope.ADMIN])
    return keys, first


def _existing(paths: Sequence[Path]) -> list[Path]:
    missing = [str(path) for path in paths if not path.exists()]
    if missing:
        raise ConfigError(
            f"no workflows at {', '.join(missing)}: name existing files or folders with --workflows"
        )
    return list(paths)


def _compile(text: str, workflow_id: str) -> Workflow:
    report = load_text(text, f"{workflow_id} (stored)")
    if report.workflow is None:
        raise ConfigError("; ".join(str(problem) for problem in report.problems))
    return report.workflow


def _announce(store: SqliteStore, clock: Clock) -> Callable[[Announcement], Awaitable[None]]:
    async def announce(said: Announcement) -> None:
        now = clock.now_us()
        fact = make_fact(
            BY_NAME[said.type],
            said.type,
            DeliveryMoved(endpoint=said.endpoint, delivery=said.delivery, reason=said.reason),
            timestamp=from_us(now),
            received_us=now,
            source="hub",
            dedupe_key=said.dedupe_key,
        )
        await store.log.append([fact])

    return announce


def _retention(settings: Settings) -> Retention:
    keep = settings.keep
    return Retention(keep.input, keep.hashed_keys, keep.attempts, keep.traces)


def _tell_of_money(watcher: Watcher, rows: Sequence[Input]) -> None:
    for row in rows:
        if row.kind == InputKind.EVENT and row.key and _MONEY.search(row.body, 0, 80):
            watcher.money_moved(row.key)


def _tell(listeners: Sequence[Callable[[Batch], None]], batch: Batch) -> None:
    for listener in listeners:
        listener(batch)
