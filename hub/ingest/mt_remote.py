"""Follows an MT4 server through MT Remote and tells the log what happens there."""

import asyncio
import random
from datetime import datetime, timedelta
from typing import final

import aiohttp
from typing_extensions import override

from hub.bus.log import Teller
from hub.clock import Clock
from hub.ingest.books import Books
from hub.ingest.derive import Deriving
from hub.ingest.derive_account import DerivingAccounts
from hub.ingest.feed import Platform
from hub.ingest.following import keep_following
from hub.ingest.mt_remote_follow import MtRemoteFollow
from hub.ingest.mt_remote_session import MtRemoteSession, open_session
from hub.ingest.samples import Sink, Wanted, always
from hub.ingest.server_clock import ServerClock
from hub.ingest.settings import MtRemoteSettings
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

MOST_AT_ONCE = 200
TICK = timedelta(milliseconds=250)


@final
class MtRemoteConnector(Connector):
    def __init__(
        self,
        settings: MtRemoteSettings,
        log: Teller,
        clock: Clock,
        *,
        sink: Sink | None = None,
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
        self.server_clock = ServerClock(clock, zone=settings.zone, utc_offset=settings.utc_offset)
        self._reporter = Reporter(
            log, clock, settings, server_clock=self.server_clock, classify=classify, convert=convert
        )
        self._backoff = Backoff(settings.retry_first, settings.retry_longest, dice or random.Random())  # noqa: S311 (jitter)
        self._lost_at: datetime | None = None
        self._has_told_loss = False
        self._is_level = False  # the hub knows all that the server does

    @property
    @override
    def is_level(self) -> bool:
        return self._is_level

    @override
    async def run(self, stopping: asyncio.Event) -> None:
        async with aiohttp.ClientSession(trust_env=False) as http:
            await keep_following(
                lambda: self._session(http),
                lost=self._lost,
                clock=self._clock,
                stopping=stopping,
                backoff=self._backoff,
            )

    async def _session(self, http: aiohttp.ClientSession) -> None:
        await self._settled()
        async with open_session(http, self._settings, self._clock) as session:
            books = await self._books()
            follow = MtRemoteFollow(
                self._settings,
                session,
                books,
                self._reporter,
                self._clock,
                self.server_clock,
                self._positions,
            )
            await self._reporter.announce("connector.connected", "signed in")
            await follow.start()
            if books.known:
                since = self._lost_at or (books.cursor and self.server_clock.to_utc(books.cursor)) or None
                await self._reporter.announce("connector.gap", "the connector was away", since=since)
            self._lost_at, self._has_told_loss = None, False
            await self._follow(session, follow)

    async def _follow(self, session: MtRemoteSession, follow: MtRemoteFollow) -> None:
        failure: Exception
        async with asyncio.TaskGroup() as group:
            timer = group.create_task(self._tick(session))
            try:
                while True:
                    samples = await follow.step(await session.items(MOST_AT_ONCE))
                    if samples and self._sink is not None:
                        await self._sink.samples(samples)
                    if follow.quotes and self._sink is not None:
                        await self._sink.quotes(follow.quotes)
                    if follow.is_complete and not self._is_level:
                        self._is_level = True
                        self._backoff.reset()
            except Exception as error:
                failure = error  # raised below: a task group would wrap it
            finally:
                self._is_level = False
                timer.cancel()
        raise failure

    async def _tick(self, session: MtRemoteSession) -> None:
        wait = min(TICK, self._settings.reconcile_open, self._settings.confirm_after)
        if self._settings.equity:
            wait = min(wait, self._settings.equity_every)
        while True:
            await self._clock.sleep(wait)
            session.wake()

    async def _books(self) -> Books:
        name, server = self._settings.name, self._settings.server
        deriving = Deriving(server, self.server_clock)
        books = Books(
            name,
            Platform.MT4,
            deriving,
            DerivingAccounts(server, Platform.MT4, self.server_clock, type_of=self._account_types.of),
        )
        books.load(await self._reporter.marks(name))
        return books

    async def _lost(self, reason: str) -> None:
        self._lost_at = self._lost_at or self._clock.now()
        if not self._has_told_loss:
            await self._reporter.announce("connector.disconnected", reason)
            self._has_told_loss = True
