"""What a hub of either shape is built of: small pieces that name settings, files and rooms at once."""

import asyncio
import re
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Protocol

import structlog
from aiohttp import web

from hub.api.ports import LOCAL_HOSTS
from hub.api.server import Serving, serve
from hub.bus.follower import Follower
from hub.bus.log import Input, InputKind, Places, Teller
from hub.clock import Clock
from hub.config import Settings, secrets_of
from hub.control.keys import Keys, KeyStore, NameTaken, Scope
from hub.dispatch.channels.crm.line import whole
from hub.dispatch.channels.http_requests import HttpRequests
from hub.dispatch.channels.kafka_stream_settings import KafkaStreamSettings
from hub.dispatch.contacts import ContactGate
from hub.dispatch.effects.backend import ManagerBackend
from hub.dispatch.effects.machine import Timing
from hub.dispatch.effects.worker import ActionWorker
from hub.dispatch.outbox import Intents
from hub.engine.live_files import LiveFiles
from hub.engine.load_text import load_text
from hub.engine.program import Workflow
from hub.errors import ConfigError, HubError
from hub.events.declared import Undeclared
from hub.ingest.base_currency import BaseCurrency
from hub.ingest.contracts import Contracts
from hub.ingest.gaps import HeardTeller, VouchedSamples
from hub.ingest.mt5rest import Mt5RestConnector
from hub.ingest.mt_remote import MtRemoteConnector
from hub.ingest.rates import Rates, RatesFile
from hub.ingest.samples import Sink, Wanted
from hub.ingest.settings import Mt5RestSettings, MtRemoteSettings
from hub.ingest.source import Connector, Settled, at_once
from hub.ingest.symbols import SymbolClasses
from hub.ingest.watcher import Watcher
from hub.intents.gate import Gate
from hub.sending import Recipients, aftermath, notifiers
from hub.setup import setup_of
from hub.stages import Service, run_until
from hub.store.retention import Retention

log = structlog.get_logger(__name__)

# The type stands near the front of every stored event.
_MONEY = re.compile(rb'"type":"(?:balance|credit|bonus)\.')
_TIDY_EVERY = timedelta(hours=1)


class Pruner(Protocol):
    async def prune(self) -> int:
        """Delete what is older than its retention; return how many rows went."""


class Tidy:
    """Deletes what outlived its retention, once an hour."""

    def __init__(self, pruner: Pruner, clock: Clock) -> None:
        self._pruner = pruner
        self._clock = clock

    async def run(self, stopping: asyncio.Event) -> None:
        await run_until(stopping, self._tidy)

    async def _tidy(self) -> None:
        while True:
            try:
                deleted = await self._pruner.prune()
                log.debug("store.pruned", rows=deleted)
            except HubError as error:
                log.warning("store.not_pruned", reason=str(error))
            await self._clock.sleep(_TIDY_EVERY)


async def listen(stack: AsyncExitStack, application: web.Application, settings: Settings) -> Serving:
    where = settings.listen
    try:
        return await stack.enter_async_context(serve(application, host=where.host, port=where.port))
    except OSError as error:
        raise ConfigError(
            f"cannot listen on {where.host}:{where.port} ({error.strerror or error}): stop what listens there, or choose "
            "another port with --port"
        ) from error


def known_hosts(settings: Settings) -> frozenset[str] | None:
    """Return the names the hub may be called by; None lets any through, behind a proxy on another machine."""
    if settings.listen.allow_remote:
        return None
    return LOCAL_HOSTS | ({settings.public.host} if settings.public is not None else frozenset())


async def load_keys(store: KeyStore, clock: Clock, *, make_first: bool = True) -> tuple[Keys, str | None]:
    """Return the keys, and the first admin key if there were none and one is wanted: it is shown this once."""
    keys = Keys(store, clock)
    await keys.load()
    if keys.all() or not make_first:
        return keys, None
    try:
        first, _ = await keys.create("admin", [Scope.ADMIN])
    except NameTaken:  # another process was first, and has shown it
        await keys.load()
        return keys, None
    return keys, first


def existing(paths: Sequence[Path]) -> list[Path]:
    """Return the paths of workflows as a list; raises ConfigError for one that is not there."""
    missing = [str(path) for path in paths if not path.exists()]
    if missing:
        raise ConfigError(
            f"no workflows at {', '.join(missing)}: name existing files or folders with --workflows"
        )
    return list(paths)


def templates_at(settings: Settings) -> Path | None:
    """Return the folder of messages that is configured, if one is; raises ConfigError where it is not there."""
    folder = settings.templates
    if folder is not None and not folder.is_dir():
        raise ConfigError(f"templates: there is no folder {folder}: name an existing one, or leave it out")
    return folder


def live_files(settings: Settings) -> LiveFiles:
    """Return the workflow files of a hub, with what they may name."""
    return LiveFiles(
        existing(settings.workflows),
        setup_of(settings),
        templates_at(settings),
        Undeclared(settings.undeclared_events),
    )


def compile_stored(text: str, workflow_id: str) -> Workflow:
    """Return the workflow of a stored version. Raises ConfigError when this hub cannot load it any more."""
    report = load_text(text, f"{workflow_id} (stored)")
    if report.workflow is None:
        raise ConfigError("; ".join(str(problem) for problem in report.problems))
    return report.workflow


def retention(settings: Settings) -> Retention:
    """Return what is kept how long."""
    keep = settings.keep
    return Retention(keep.input, keep.hashed_keys, keep.attempts, keep.traces)


def tell_of_money(watcher: Watcher, rows: Sequence[Input]) -> None:
    """Tell the watcher whose money came or went."""
    for row in rows:
        if row.kind == InputKind.EVENT and row.key and _MONEY.search(row.body, 0, 80):
            watcher.money_moved(row.key)


def action_worker(
    settings: Settings,
    intents: Intents,
    backends: Sequence[ManagerBackend],
    clock: Clock,
    random: Random,
    *,
    recipients: Recipients,
    teller: Teller,
    owns: Callable[[str], bool] = lambda _server: True,
    control: Gate | None = None,
    share: Callable[[], float] = whole,
) -> ActionWorker:
    """Return the worker that carries intents out through these backends and the channels the settings name."""
    return ActionWorker(
        intents,
        clock,
        backends=backends,
        notifiers=notifiers(settings, recipients, clock, share=share),
        requesters=[
            HttpRequests(
                secrets_of(settings),
                clock,
                allow_loopback=settings.delivering.allow_loopback_endpoints,
                networks=settings.delivering.allow_networks,
            )
        ],
        armed=settings.arm,
        random=random,
        owns=owns,
        gate=ContactGate(recipients.contacts, settings.contact_policy, clock),
        control=control,
        aftermath=aftermath(recipients, teller, clock),
        timing=Timing(
            money_quiesce=settings.actions.money_quiesce,
            state_quiesce=settings.actions.state_quiesce,
            between_looks=settings.actions.between_looks,
        ),
    )


def base_currency(settings: Settings, clock: Clock) -> tuple[BaseCurrency, Sequence[Service]]:
    """Return what converts money, and the service that keeps its rates. Raises ConfigError for a file that is not right."""
    rates = Rates(settings.rates, longest=settings.rates_max_age)
    base = BaseCurrency(settings.base_currency, rates, Contracts(settings.contracts))
    if settings.rates_file is None:
        return base, ()
    file = RatesFile(settings.rates_file, rates, clock)
    file.load()
    return base, (file,)


def event_stream(settings: KafkaStreamSettings, inbox: Follower, places: Places, clock: Clock) -> Service:
    """Return the service that sends events to a Kafka topic. Raises ConfigError where its library is not installed."""
    try:
        from hub.dispatch.channels.kafka_stream import KafkaStream  # noqa: PLC0415 (its library is an extra)
    except ImportError as error:
        raise ConfigError(
            f"{error.name} is not installed: stream needs the extra, pip install 'hub[scaled]'"
        ) from error
    return KafkaStream(settings, inbox, places, clock)


def connector(
    source: MtRemoteSettings | Mt5RestSettings,
    teller: Teller,
    clock: Clock,
    sink: Sink,
    symbols: SymbolClasses,
    base: BaseCurrency,
    positions: Wanted,
    settled: Settled = at_once,
) -> Connector:
    """Return the connector that follows a source; its samples tell of `positions` while they are wanted."""
    kind = MtRemoteConnector if isinstance(source, MtRemoteSettings) else Mt5RestConnector
    samples = VouchedSamples(sink, clock)
    return kind(
        source,  # type: ignore[arg-type]  # each has its own settings
        HeardTeller(teller, samples),
        clock,
        sink=samples,
        positions=positions,
        classify=symbols.of,
        convert=base.converted,
        settled=settled,
    )
