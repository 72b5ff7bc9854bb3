"""Follows MT5 accounts through mt5rest, each with a session of its own, and tells the log what happens there."""

import asyncio
import random
from dataclasses import replace
from datetime import datetime, timedelta
from typing import final

import aiohttp
import structlog
from typing_extensions import override

from hub.bus.log import Teller
from hub.clock import Clock
from hub.errors import HubError
from hub.ingest.books import Books
from hub.ingest.derive import Deriving
from hub.ingest.derive_account import DerivingAccounts
from hub.ingest.feed import Platform
from hub.ingest.fields import Fields
from hub.ingest.following import keep_following
from hub.ingest.mt5rest_follow import Mt5RestFollow
from hub.ingest.mt5rest_samples import lacks_margin, read_sample
from hub.ingest.mt5rest_session import Mt5RestSession, Wires, milliseconds
from hub.ingest.samples import Sample, SampleSink, Wanted, always
from hub.ingest.server_clock import ServerClock
from hub.ingest.settings import Mt5RestSettings, TraderAccount
from hub.ingest.source import (
    Classify,
    Connector,
    Convert,
    Reporter,
    Settled,
    at_once,
    unclassified,
    unconverted,
)
from hub.ingest.symbols import SymbolClasses
from hub.ingest.waiting import Backoff

log_lines = structlog.get_logger(__name__)
MARGIN_LOOK = timedelta(seconds=1)
MOST_SAMPLES = 50_000
CALLS_AT_ONCE = 64


@final
class Mt5RestConnector(Connector):
    def __init__(
        self,
        settings: Mt5RestSettings,
        log: Teller,
        clock: Clock,
        *,
        sink: SampleSink | None = None,
        positions: Wanted = always,
        classify: Classify = unclassified,
        convert: Convert = unconverted,
        settled: Settled = at_once,
        dice: random.Random | None = None,
    ) -> None:
        self._settings = settings
        self._account_types = SymbolClasses(settings.account_types)
        self._clock = clock
        self._sink = sink
        self._positions = positions
        self._settled = settled
        self._dice = dice or random.Random()  # noqa: S311 - jitter, guards nothing
        self.server_clock = ServerClock(clock, zone=settings.zone, utc_offset=settings.utc_offset)
        self._reporter = Reporter(
            log, clock, settings, server_clock=self.server_clock, classify=classify, convert=convert
        )
        self._connecting = asyncio.Semaphore(settings.connects_at_once)
        self._lost_at: dict[int, datetime] = {}
        self._told_lost: set[int] = set()
        self._samples: list[Sample] = []
        self._has_samples = asyncio.Event()
        self.level: set[int] = set()  # accounts of which the hub knows all that the server does

    @property
    @override
    def is_level(self) -> bool:
        return len(self.level) == len(self._settings.accounts)

    @override
    async def run(self, stopping: asyncio.Event) -> None:
        # Streams stay open, one or two an account; calls share a few connections, kind to the gateway.
        async with (
            aiohttp.ClientSession(
                trust_env=False, connector=aiohttp.TCPConnector(limit=CALLS_AT_ONCE)
            ) as http,
            aiohttp.ClientSession(trust_env=False, connector=aiohttp.TCPConnector(limit=0)) as streams,
            asyncio.TaskGroup() as group,
        ):
            flushing = group.create_task(self._hand_over_samples())
            async with asyncio.TaskGroup() as accounts:
                for account in self._settings.accounts:
                    accounts.create_task(self._follow_for_ever(Wires(http, streams), account, stopping))
            flushing.cancel()

    async def _follow_for_ever(self, wires: Wires, account: TraderAccount, stopping: asyncio.Event) -> None:
        backoff = Backoff(self._settings.retry_first, self._settings.retry_longest, self._dice)

        async def lost(reason: str) -> None:
            self.level.discard(account.login)
            self._lost_at.setdefault(account.login, self._clock.now())
            if account.login not in self._told_lost:
                await self._reporter.announce("connector.disconnected", f"{account.login}: {reason}")
                self._told_lost.add(account.login)

        await keep_following(
            lambda: self._session(wires, account, backoff),
            lost=lost,
            clock=self._clock,
            stopping=stopping,
            backoff=backoff,
        )

    async def _session(self, wires: Wires, account: TraderAccount, backoff: Backoff) -> None:
        login = account.login
        await self._settled()
        async with self._connecting:
            session = await Mt5RestSession.connect(wires, self._settings, account)
        books = await self._books(login)
        follow = Mt5RestFollow(
            self._settings, account, session, books, self._reporter, self._clock, self.server_clock
        )
        await follow.measure_clock()
        async with session.stream("OnOrderUpdate") as updates, asyncio.TaskGroup() as group:
            await session.call("SubscribeOrderUpdate")
            group.create_task(follow.listen(updates))
            await self._reporter.announce("connector.connected", f"{login}: signed in")
            returning = login in books.known
            if returning:
                since = self._lost_at.get(login) or (books.cursor and self.server_clock.to_utc(books.cursor))
                await self._reporter.announce(
                    "connector.gap", f"{login}: the connector was away", since=since or None
                )
            missed = await follow.begin()
            if returning:
                await self._reporter.announce(
                    "connector.resynced", f"{login}: read again after an outage", missed=missed
                )
            self._lost_at.pop(login, None)
            self._told_lost.discard(login)
            self.level.add(login)
            backoff.reset()
            group.create_task(follow.keep_time())
            if self._settings.equity and self._sink is not None:
                group.create_task(self._sample(session, login))
            while True:
                await follow.step()

    # --- samples

    async def _sample(self, session: Mt5RestSession, login: int) -> None:
        async with session.stream("OnOrderProfit") as frames:
            await session.call("SubscribeOrderProfit", interval=milliseconds(self._settings.equity_every))
            looked_at = float("-inf")
            async for data in frames:
                sample = self._read(data, login)
                if (
                    lacks_margin(sample, data)
                    and self._clock.monotonic() - looked_at >= MARGIN_LOOK.total_seconds()
                ):
                    looked_at = self._clock.monotonic()
                    summary = Fields(await session.call("AccountSummary"), "AccountSummary")
                    sample = replace(self._read(summary, login), positions=sample.positions)
                self._samples.append(sample)
                if len(self._samples) > MOST_SAMPLES:
                    # Whoever takes them is far behind: keep what each account is worth last.
                    self._samples = list({sample.login: sample for sample in self._samples}.values())
                self._has_samples.set()

    def _read(self, data: Fields, login: int) -> Sample:
        server, now = self._settings.server, self._clock.now_us()
        return read_sample(data, server=server, login=login, at=now, positions=self._positions())

    async def _hand_over_samples(self) -> None:
        while True:
            await self._has_samples.wait()
            self._has_samples.clear()
            batch, self._samples = self._samples, []
            if self._sink is None:
                continue
            try:
                await self._sink.samples(batch)
            except HubError as error:
                # Samples are of the moment: the next ones say all that these would have.
                log_lines.warning("samples.lost", connector=self._settings.name, reason=str(error))

    async def _books(self, login: int) -> Books:
        server, source = self._settings.server, f"{self._settings.name}:{login}"
        deriving = Deriving(server, self.server_clock)
        accounts = DerivingAccounts(server, Platform.MT5, self.server_clock, type_of=self._account_types.of)
        books = Books(source, Platform.MT5, deriving, accounts)
        books.load(await self._reporter.marks(source))
        return books
