"""Builds the hub and connects its rooms: read this first, then follow the names.

connectors, HTTP  ──►  log  ──►  engine  ──►  intents  ──►  actions (manager, mail)
                        │                                        │
                        └──►  fan-out  ──►  deliveries           └──►  outcomes, back into the log
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

import hub.web
from hub import garbage, metrics
from hub.api.app import make_api
from hub.api.ports import ApiDeps
from hub.api.server import Serving
from hub.approval_desk import ApprovalDesk
from hub.backtest_desk import BacktestDesk, bounds_of
from hub.bus.follower import Follower
from hub.clock import Clock
from hub.config import Settings
from hub.control.control import Control
from hub.control.keys import Keys
from hub.deals import Deals
from hub.delivering import challenger, http_transport, kafka_destination, make_dispatcher, sealed_endpoints
from hub.dispatch.channels.manager_mt_remote import MtRemoteBackend
from hub.dispatch.channels.mt_remote_client import MtRemoteClient
from hub.dispatch.dispatcher import Dispatcher
from hub.dispatch.effects.backend import ManagerBackend
from hub.dispatch.effects.worker import ActionWorker
from hub.dispatch.fanout import FanOut
from hub.dispatch.replay_desk import ReplayDesk
from hub.dispatch.replaying import Replaying
from hub.dispatch.resolver import PooledResolver
from hub.ending import GiveUp, only_tell
from hub.engine.live_files import LiveFiles, Reloading
from hub.engine.load import LoadedSet
from hub.engine.loop import EngineLoop
from hub.engine.rows import Batch, Peak
from hub.feeding import make_feeds, services, tell_of_clients
from hub.held_lease import HeldLease
from hub.ingest.board import Board
from hub.ingest.directory import Directory
from hub.ingest.profiles import Profiles
from hub.ingest.receive import Receiver
from hub.ingest.source import Connector
from hub.ingest.symbols import SymbolClasses
from hub.ingest.watcher import Watcher
from hub.metrics import HubCollector
from hub.parts import (
    Tidy,
    action_worker,
    base_currency,
    compile_stored,
    connector,
    event_stream,
    known_hosts,
    listen,
    live_files,
    load_keys,
    retention,
    tell_of_money,
)
from hub.position_past import PositionPast
from hub.pulses import ACTIONS_STAND_AFTER, Pulses
from hub.rate_teller import RateTeller
from hub.remembered_accounts import RememberedAccounts
from hub.rounds import Rounds
from hub.run_desk import RunDesk
from hub.sending import Recipients, aftermath, bounces, public_links, sms_reports
from hub.stages import Service, Stages
from hub.start_desk import StartDesk
from hub.store.sqlite.history import SqliteHistory
from hub.store.sqlite.store import SqliteStore, open_sqlite
from hub.views import AccountView, Readiness, WorkflowView

# Between the beginnings of two commits while many append at once; one that comes alone waits for nothing.
COMMIT_PACE = 0.006
FULL = 5_000  # jobs waiting for the store at which posting has to pause


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
    files: LiveFiles
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

    async def run(self, stopping: asyncio.Event, *, give_up: GiveUp = only_tell) -> None:
        """Run until told to stop: sources end first, then whoever works on what they brought, then what those need."""
        await Stages(self._stages, self._wake, begun=garbage.settle, give_up=give_up).run(stopping)

    def _wake(self) -> None:
        for inbox in self._inboxes:
            inbox.wake()
        self.actions.wake()


@asynccontextmanager
async def build(settings: Settings, clock: Clock, workflows: LoadedSet | None = None) -> AsyncIterator[Hub]:
    """Open the store, build every room, listen. Raises ConfigError with what to do when that cannot work."""
    random = Random(os.urandom(16))  # noqa: S311 (jitter)
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(
            open_sqlite(settings.data, clock, retention(settings), pace_seconds=COMMIT_PACE)
        )
        lease = HeldLease(store, clock)
        await lease.take()
        keys, first_key = await load_keys(store.keys, clock)
        files = live_files(settings) if workflows is None else LiveFiles.fixed(workflows)
        control = Control(store.switches, clock, store.log)
        await control.look()
        symbols = SymbolClasses(settings.symbols)
        base, keeping_rates = base_currency(settings, clock)

        transport = await stack.enter_async_context(http_transport(settings, clock))
        endpoints = await sealed_endpoints(store.endpoints, settings)
        dispatcher = make_dispatcher(
            settings,
            clock,
            random,
            endpoints=endpoints,
            deliveries=store.deliveries,
            healths=store.healths,
            transport=transport,
            topics=kafka_destination(settings, clock, stack),
            teller=store.log,
        )
        dispatcher.subscriptions.declared = files.declared
        await dispatcher.refresh()  # before the fan-out reads its first events
        webhooks = store.follow(await store.deliveries.fanned_out())
        replaying = Replaying(
            store.replays,
            store.browser,
            store.log.find,
            endpoints,
            clock,
            dispatcher.left_behind,
            declared=files.declared,
        )
        store.replays.changed = replaying.wake
        fan_out = FanOut(webhooks, dispatcher.subscriptions, dispatcher, clock)

        sessions = [MtRemoteClient(manager, clock) for manager in settings.managers]
        backends: list[ManagerBackend] = [
            MtRemoteBackend(manager, session)
            for manager, session in zip(settings.managers, sessions, strict=True)
        ]
        recipients = Recipients(store.contacts, store.contacts, store.messages, store.devices, store.pushed)
        actions = action_worker(
            settings,
            store.intents,
            backends,
            clock,
            random,
            recipients=recipients,
            teller=store.log,
            control=control,
        )

        board = Board(clock)
        watcher = Watcher(
            store.log,
            clock,
            seen=board.hear,
            class_of=symbols.of,
            save_peaks=lambda peaks: store.engine.save_peaks(
                [Peak(*each) for each in peaks], lease.fence(())
            ),
        )
        inbox = store.follow(await store.engine.positions("engine"))
        store.log.let_bulk_wait_for(inbox.backlog)
        committed: list[Callable[[Batch], None]] = [
            lambda batch: actions.wake() if batch.intents else None,
            lambda batch: control.published(batch.intents),
        ]
        engine = EngineLoop(
            store.engine,
            store.log,
            inbox,
            clock,
            lease.fence,
            compile_stored,
            on_levels=watcher.changed,
            on_committed=lambda batch: _tell(committed, batch),
        )
        # Before the engine hears of it: it may move a limit that follows the balance.
        store.log.listen(lambda rows: tell_of_money(watcher, rows))
        rounds = Rounds(control, clock, engine.programs, files, engine.activate)
        await rounds.make_live(files.loaded.workflows, files.loaded.unread)
        await rounds.look()
        watcher.load(await store.engine.levels())
        await watcher.tell()  # that nobody watched meanwhile, before the engine decides anything

        def positions_wanted() -> bool:
            return watcher.follows_positions() or board.positions.is_wanted()

        connectors = [
            connector(source, store.log, clock, watcher, symbols, base, positions_wanted)
            for source in settings.sources
        ]

        inboxes, streams = [inbox, webhooks], list[Service]()
        if settings.stream is not None:
            inboxes.append(store.follow(await store.places.reached("stream")))
            streams.append(event_stream(settings.stream, inboxes[-1], store.places, clock))

        backtests = BacktestDesk(bounds_of(settings), clock)
        approvals = ApprovalDesk(store.approvals, store.log, clock)
        names = PooledResolver()
        stack.push_async_callback(names.close)
        directory = Directory(store.clients, clock)
        accounts = AccountView(store.engine, store.browser)
        pages = RememberedAccounts(accounts)
        store.log.listen(pages.hear)
        committed.append(pages.decided)
        history = SqliteHistory(store.reader, clock)

        async def heads() -> Sequence[int]:
            return store.log.heads()

        feeds = make_feeds(
            settings,
            clock,
            keys=keys,
            directory=directory,
            log=store.feed,
            past=PositionPast(store.engine, engine.programs, history, heads, clock),
            board=board,
            tokens=store.tokens,
            tickets=store.tickets,
        )
        store.log.listen(feeds.tail.offer)
        store.log.listen(lambda rows: tell_of_clients(feeds, rows))
        pulses = Pulses(clock)
        pulses.watch("engine", engine.mark)
        pulses.watch("timers", engine.timers_mark)
        pulses.watch("fan-out", fan_out.mark)
        pulses.watch("deliveries", dispatcher.mark)
        pulses.watch("actions", actions.mark, after=ACTIONS_STAND_AFTER)
        collector = HubCollector(
            (
                pulses.metrics,
                lambda: metrics.embedded_log(store),
                lambda: metrics.decisions(engine.counters, inbox.backlog(), clock.now_us()),
                lambda: metrics.deliveries(dispatcher.counters()),
                lambda: metrics.skipped(dispatcher.subscriptions.skipped),
                lambda: metrics.standing(dispatcher.standing(), clock.now_us()),
                lambda: metrics.places(dispatcher.places),
                lambda: metrics.action_moves(actions.counts),
                approvals.metrics,
                rounds.metrics,
                replaying.metrics,
                feeds.metrics,
            )
        )
        deps = ApiDeps(
            clock=clock,
            log=store.log,
            keys=keys,
            receiver=Receiver(
                store.log, clock, symbols=symbols, convert=base.converted, declared=files.declared
            ),
            watcher=watcher,
            directory=directory,
            suppressions=store.contacts,
            messages=store.messages,
            devices=store.devices,
            links=public_links(settings),
            aftermath=aftermath(recipients, store.log, clock),
            sms_reports=sms_reports(settings, recipients, store.log, clock),
            bounces=bounces(settings, recipients, store.log, clock),
            profiles=Profiles(store.profiles, clock, accounts.folded),
            endpoints=endpoints,
            healths=store.healths,
            disable_after=settings.delivering.disable_after,
            events=store.browser,
            deliveries=store.browser,
            actions=store.browser,
            workflows=WorkflowView(
                store.engine,
                store.browser,
                store.log,
                engine.programs,
                watcher,
                files,
                clock,
                history,
            ),
            accounts=pages,
            accounts_at_hand=pages.at_hand,
            deals=Deals(history, store.log, clock),
            approvals=approvals,
            starts=StartDesk(engine.programs, store.engine, store.log),
            control=control,
            backtests=backtests,
            runs=RunDesk(store.engine, store.browser, engine.programs, store.log, clock),
            replays=ReplayDesk(
                store.replays,
                store.browser,
                store.log.find,
                endpoints,
                clock,
                attempts_kept=settings.keep.attempts,
                declared=files.declared,
            ),
            readiness=Readiness(store.problem, lease.problem, pulses.problems),
            feeds=feeds,
            metrics=lambda: metrics.metrics_text(collector),
            docs=Path(hub.web.__path__[0]) / "docs",
            pressure=lambda: 1.0 if store.writer.waiting > FULL else 0.0,
            endpoints_changed=dispatcher.refresh,
            allow_loopback_endpoints=settings.delivering.allow_loopback_endpoints,
            challenger=challenger(settings),
            topics=settings.delivering.topics,
            networks=settings.delivering.allow_networks,
            names=names,
            hosts=known_hosts(settings),
            declared=files.declared,
        )
        serving = await listen(stack, make_api(deps), settings)
        store.log.count_waiting(lambda: serving.waiting)
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
            files=files,
            serving=serving,
            first_key=first_key,
            committed=committed,
            _inboxes=inboxes,
            _stages=(
                (lease, pulses, keys, *keeping_rates, *sessions, *services(feeds)),
                (
                    store.journal,
                    engine,
                    dispatcher,
                    fan_out,
                    replaying,
                    actions,
                    *streams,
                    Tidy(store.pruner, clock),
                    approvals,
                    backtests,
                    rounds,
                ),
                (
                    *connectors,
                    watcher,
                    RateTeller(base.currency, base.rates, settings.rates_max_age, store.log, clock),
                    Reloading(files, rounds.make_live, clock),
                ),
            ),
            connectors=connectors,
        )


def _tell(listeners: Sequence[Callable[[Batch], None]], batch: Batch) -> None:
    for listener in listeners:
        listener(batch)
