"""Builds one process of a hub past one machine: its roles, what they own, and the API or what monitors need of it."""

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import hub.web
from hub import garbage, metrics
from hub.api.app import MONITORING, ROUTES, make_api
from hub.api.ports import ApiDeps
from hub.api.server import Serving
from hub.approval_desk import ApprovalDesk
from hub.backtest_desk import BacktestDesk, bounds_of
from hub.bus.kafka.producer import KafkaLog
from hub.bus.kafka.samples import KafkaSamples
from hub.clock import Clock
from hub.config import Settings
from hub.control.control import Control
from hub.deals import Deals
from hub.delivering import challenger, http_transport, kafka_destination, sealed_endpoints
from hub.dispatch.replay_desk import ReplayDesk
from hub.dispatch.resolver import PooledResolver
from hub.ending import GiveUp, only_tell
from hub.engine.live_files import LiveFiles
from hub.engine.programs import Programs
from hub.feeding import make_feeds, services
from hub.ingest.board import Board
from hub.ingest.directory import Directory
from hub.ingest.profiles import Profiles
from hub.ingest.receive import Receiver
from hub.ingest.samples import Quote, Sample
from hub.ingest.symbols import SymbolClasses
from hub.metrics import HubCollector
from hub.parts import (
    base_currency,
    compile_stored,
    known_hosts,
    listen,
    live_files,
    load_keys,
)
from hub.position_past import PositionPast
from hub.rate_teller import RateTeller
from hub.rounds import Rounds
from hub.run_desk import RunDesk
from hub.scaled import dispatch, engine, ingest, refused
from hub.scaled.looking import EVERY, Looking
from hub.scaled.owned import Nothing, only_looking
from hub.scaled.process import Process
from hub.scaled.recipients import recipients_in
from hub.scaled.telling import FarLog, FarWatcher
from hub.scaled.wanted import PositionsWanted
from hub.scaled.watching import Watching
from hub.sending import aftermath, bounces, public_links, sms_reports
from hub.stages import Every, Stages
from hub.start_desk import StartDesk
from hub.store.postgres.approvals import PostgresApprovals
from hub.store.postgres.browse import PostgresBrowser
from hub.store.postgres.clients import PostgresClients
from hub.store.postgres.database import open_database
from hub.store.postgres.endpoints import PostgresEndpoints
from hub.store.postgres.engine import PostgresEngineStore
from hub.store.postgres.feed import PostgresFeed
from hub.store.postgres.health import PostgresHealths
from hub.store.postgres.history import PostgresHistory
from hub.store.postgres.keys import PostgresKeys
from hub.store.postgres.lease import PostgresLeases
from hub.store.postgres.listen import Listener
from hub.store.postgres.log import PostgresLog
from hub.store.postgres.marks import PostgresMarks, SourceFence
from hub.store.postgres.notices import KEYS
from hub.store.postgres.profiles import PostgresProfiles
from hub.store.postgres.replays import PostgresReplays
from hub.store.postgres.switches import PostgresSwitches
from hub.store.postgres.tokens import PostgresTickets, PostgresTokens
from hub.views import AccountView, Readiness, WorkflowView

FULL = 16 * 1024 * 1024  # bytes Kafka has not acknowledged at which posting has to pause


class Role(StrEnum):
    INGEST = "ingest"
    ENGINE = "engine"
    DISPATCH = "dispatch"
    API = "api"


@dataclass(slots=True)
class ScaledHub:
    """One process that is built and not yet running."""

    settings: Settings
    roles: frozenset[Role]
    member: str
    files: LiveFiles
    serving: Serving
    first_key: str | None
    _stages: Stages

    @property
    def url(self) -> str:
        return f"http://{self.settings.listen.host}:{self.serving.port}"

    async def run(self, stopping: asyncio.Event) -> None:
        await self._stages.run(stopping)


@asynccontextmanager
async def build_scaled(
    settings: Settings, roles: Collection[Role], clock: Clock, *, give_up: GiveUp = only_tell
) -> AsyncIterator[ScaledHub]:
    """Open what the roles need, build them, listen. Raises ConfigError with what to do when that cannot work."""
    assert settings.store.postgres is not None
    assert settings.bus.kafka is not None
    dsn, kafka = settings.store.address(), settings.bus.kafka
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(open_database(dsn, connections=settings.store.connections))
        # Connections of their own: a renewal that waits for one behind other work costs leases.
        renewing = await stack.enter_async_context(open_database(dsn, connections=2))
        process = Process(settings, database, PostgresLeases(renewing), kafka, clock, give_up)
        files = live_files(settings)
        keys, first_key = await load_keys(PostgresKeys(database), clock, make_first=Role.API in roles)
        looking = PostgresLog(database, clock, Nothing())
        told: list[KafkaLog] = []

        def tell(fence: SourceFence) -> FarLog:
            told.append(KafkaLog(kafka, PostgresMarks(database, fence)))
            stack.push_async_callback(told[-1].close)
            return FarLog(told[-1], looking)

        samples: KafkaSamples[Sample | Quote] = KafkaSamples(kafka)
        stack.push_async_callback(samples.close)
        board = Board(clock)
        far_log, far_watcher = tell(only_looking), FarWatcher(samples, board)
        control = Control(PostgresSwitches(database), clock, far_log)
        engine_store = PostgresEngineStore(database, looking, Nothing(), clock)
        programs = Programs(engine_store, compile_stored)
        rounds = Rounds(control, clock, programs, files)
        process.working.append(rounds)
        process.metrics.append(rounds.metrics)
        symbols = SymbolClasses(settings.symbols)
        base, keeping_rates = base_currency(settings, clock)

        # An engine looks at types and filters alone: it is given no key.
        secretive = {Role.DISPATCH, Role.API} & frozenset(roles)
        stored = PostgresEndpoints(database)
        endpoints = await sealed_endpoints(stored, settings) if secretive else stored

        if Role.ENGINE in roles:
            process.working.append(
                RateTeller(base.currency, base.rates, settings.rates_max_age, looking, clock)
            )
        recipients = recipients_in(database)
        beside = None
        if Role.DISPATCH in roles:
            transport = await stack.enter_async_context(http_transport(settings, clock))
            topics = kafka_destination(settings, clock, stack)
            beside = await dispatch.add(
                process, transport, far_log, control, endpoints, topics, files.declared
            )
        if Role.ENGINE in roles:
            engine.add(process, files, beside, control)
            refused.add(process)
        if Role.INGEST in roles:
            wanted = PositionsWanted(programs)
            process.working.append(Looking("what is watched", wanted.look, clock))
            ingest.add(process, tell, far_watcher, symbols, base, wanted)

        browser = PostgresBrowser(database)
        approvals = ApprovalDesk(PostgresApprovals(database), looking, clock)
        backtests = BacktestDesk(bounds_of(settings), clock)
        if Role.API in roles:
            process.metrics.append(approvals.metrics)
            process.working += (approvals, backtests)
        accounts = AccountView(engine_store, browser)
        directory = Directory(PostgresClients(database), clock)
        history, feed = PostgresHistory(database), PostgresFeed(database)
        feeds = make_feeds(
            settings,
            clock,
            keys=keys,
            directory=directory,
            log=feed,
            past=PositionPast(engine_store, programs, history, feed.end, clock),
            board=board,
            tokens=PostgresTokens(database),
            tickets=PostgresTickets(database),
            polls=True,
        )
        if Role.API in roles:
            process.working += [Watching(kafka, board, clock), *services(feeds)]
            process.metrics.append(feeds.metrics)
        collector = HubCollector(process.metrics)
        names = PooledResolver()
        stack.push_async_callback(names.close)
        deps = ApiDeps(
            clock=clock,
            log=far_log,
            keys=keys,
            receiver=Receiver(
                far_log, clock, symbols=symbols, convert=base.converted, declared=files.declared
            ),
            watcher=far_watcher,
            directory=directory,
            suppressions=recipients.suppressions,
            messages=recipients.messages,
            devices=recipients.devices,
            links=public_links(settings),
            aftermath=aftermath(recipients, far_log, clock),
            sms_reports=sms_reports(settings, recipients, far_log, clock),
            bounces=bounces(settings, recipients, far_log, clock),
            profiles=Profiles(PostgresProfiles(database), clock, accounts.folded),
            endpoints=endpoints,
            healths=PostgresHealths(database, only_looking),
            disable_after=settings.delivering.disable_after,
            events=browser,
            deliveries=browser,
            actions=browser,
            workflows=WorkflowView(
                engine_store,
                browser,
                far_log,
                programs,
                far_watcher,
                files,
                clock,
                history,
            ),
            accounts=accounts,
            deals=Deals(history, far_log, clock),
            approvals=approvals,
            starts=StartDesk(programs, engine_store, looking),
            control=control,
            backtests=backtests,
            runs=RunDesk(engine_store, browser, programs, looking, clock),
            replays=ReplayDesk(
                PostgresReplays(database, only_looking),
                browser,
                looking.find,
                endpoints,
                clock,
                attempts_kept=settings.keep.attempts,
                declared=files.declared,
            ),
            readiness=Readiness(database.problem, process.problem, process.pulses.problems),
            feeds=feeds,
            metrics=lambda: metrics.metrics_text(collector),
            docs=Path(hub.web.__path__[0]) / "docs",
            pressure=lambda: 1.0 if told[0].waiting > FULL else 0.0,
            allow_loopback_endpoints=settings.delivering.allow_loopback_endpoints,
            challenger=challenger(settings),
            topics=settings.delivering.topics,
            networks=settings.delivering.allow_networks,
            names=names,
            hosts=known_hosts(settings),
            declared=files.declared,
            written_together=1,
        )
        serving = await listen(stack, make_api(deps, ROUTES if Role.API in roles else MONITORING), settings)

        listener = Listener(dsn, clock, on_notice=process.ears.notice, on_gap=process.ears.gap)
        known_keys = Looking("keys", keys.load, clock)
        process.ears.listen(KEYS, lambda _key: known_keys.now(), known_keys.now)
        process.ears.listen(KEYS, lambda _token: feeds.tokens.forget(), feeds.tokens.forget)
        if Role.ENGINE not in roles:  # which looks at the files itself, to make live what they say
            process.working.append(Every(EVERY, files.look, clock))
        yield ScaledHub(
            settings=settings,
            roles=frozenset(roles),
            member=process.member,
            files=files,
            serving=serving,
            first_key=first_key,
            _stages=Stages(
                (
                    (
                        process.pulses,
                        listener,
                        keys,
                        known_keys,
                        *keeping_rates,
                        Every(EVERY, programs.forget, clock),
                    ),
                    process.working,
                    process.owning,
                ),
                lambda: None,
                begun=garbage.settle,
                give_up=give_up,
            ),
        )
