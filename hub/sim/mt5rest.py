"""A gateway that speaks mt5rest over HTTP and WebSocket, in front of the simulated MT5 server.

Where the public text leaves a gap, this gateway does the following.

- Address: ``http://127.0.0.1:PORT/CALL?id=TOKEN&...``, GET only; call and parameter names in any case; the ``Safe``
  variants do the same as the plain calls. ``/healthz`` answers ``Healthy``.
- ``/Connect?user&password&host&port`` and ``/ConnectEx?user&password&server`` answer the token as plain text; host,
  port and server are taken as given. One token is one account; the same account may hold several. Trading through
  the investor password is refused. ``/CheckConnect``, ``/ConnectByToken``, ``/Disconnect`` and the subscriptions answer
  plain ``OK``.
- Errors: HTTP 201 with ``{message, code, stackTrace}``; codes are words: ``INVALID_TOKEN`` (``Client with id T not
  found``), ``INVALID_ACCOUNT``, ``INVALID_PARAMETERS``, ``INVALID_SYMBOL``, ``INVALID_TICKET``, ``INVALID_VOLUME``,
  ``INVALID_STOPS``, ``INVALID_PRICE``, ``NO_MONEY``, ``NO_CHANGES``, ``TRADE_DISABLED``.
- A position's ticket is that of the order that opened it; a filled pending order keeps its ticket (``MarketOpen``).
- ``lots`` is decimal, ``volume`` the same as an integer of 1e-8 lots. Deals are numbered in ``ticketNumber``, with
  ``orderTicket``, ``positionTicket``, ``direction`` In or Out, ``type`` DealBuy, DealSell, Balance or Credit. An Out deal
  has ``expertId`` 0 and ``comment`` "" whatever closed it; ``placedType`` says OnSL, OnTP, OnStopOut.
- History has one row for each Out deal (``dealInternalOut`` that deal, ``dealInternalIn`` the opening one, ``lots`` what
  it closed), one for each cash deal (``orderType`` Balance or Credit, ``ticket`` the deal's number, ``dealInternalIn`` the
  deal, ``lots`` 0), one for each removed pending order (``state`` Cancelled or Expired, no deals). ``from`` and ``to`` are
  included. A row's commission is the Out deal's with its share of the In deal's.
- ``/HistoryPositions?id&from&to``: one row for each position that closed completely, its parts added up.
- ``/Symbols`` is an object by name; ``/SymbolParams`` is ``{symbol, symbolInfo, symbolGroup}``; ``/ServerTimezone`` is
  ``{serverTime, utcOffset (hours), utcOffsetSeconds}``, server less UTC.
- ``openTime``, ``closeTime``, ``expirationTime`` and deal times are the server's clock without a zone, and never is
  ``0001-01-01T00:00:00``; only ``timestampUTC``, ``openTimestampUTC`` and ``closeTimestampUTC`` (ms) are honest.
- ``WS /OnOrderUpdate?id=``: each change as it happens. ``PartialClose`` shows the lots that remain in ``lots`` and those
  closed in ``closeLots``, ``profit`` and ``dealInternalOut``. Balance and credit are both ``Balance``; ``orderType`` tells.
- ``WS /OnOrderProfit?id=``: one frame at once, then at most one each interval and only if a figure moved. Without
  ``/SubscribeOrderProfit`` the interval is 500 ms. ``profit`` includes swap, so equity = balance + credit + profit.
- ``WS /OnQuote?id=``: every new price of every symbol.
- An unknown token on a WebSocket: one error object as a frame, then the socket closes.
"""

import asyncio
import hmac
import random
import uuid
from collections.abc import Awaitable, Callable
from datetime import timedelta
from decimal import Decimal
from typing import Final

import msgspec
from aiohttp import WSCloseCode, web
from typing_extensions import override

from hub.clock import Clock
from hub.sim.back_office import BackOffice
from hub.sim.broker import Observer
from hub.sim.faults import Fate
from hub.sim.market import Quote
from hub.sim.model import Fact, Platform, Refused
from hub.sim.money import standing
from hub.sim.mt5_records import UPDATES, profit_data, quote_record, update_data
from hub.sim.mt5_shapes import Envelope, ProfitData, QuoteRecord, UpdateData
from hub.sim.mt5rest_calls import Calls, Terminal
from hub.sim.mt5rest_query import Query
from hub.sim.mt_remote import Spawn
from hub.sim.wire import encode

MOST_TERMINALS: Final = 10_000
MOST_WAITING: Final = 10_000
WITHHELD_FOR: Final = timedelta(seconds=30)
REFUSED_STATUS: Final = 201
OWN_CALLS: Final = frozenset({"connect", "connectex", "checkconnect", "connectbytoken", "disconnect"})


class Failure(msgspec.Struct, frozen=True, rename="camel"):
    message: str
    code: str
    stack_trace: str = ""


class Stream:
    """One WebSocket of one terminal."""

    def __init__(
        self,
        kind: str,
        terminal: Terminal,
        socket: web.WebSocketResponse,
        transport: asyncio.Transport | None,
    ) -> None:
        self.kind = kind
        self.terminal = terminal
        self.socket = socket
        self._transport = transport
        self.waiting: asyncio.Queue[bytes] = asyncio.Queue(MOST_WAITING)

    def put(self, frame: bytes) -> None:
        try:
            self.waiting.put_nowait(frame)
        except asyncio.QueueFull:
            self.drop()

    def drop(self) -> None:
        if self._transport is not None:
            self._transport.abort()


class Mt5Rest(Observer):
    def __init__(self, office: BackOffice, clock: Clock, spawn: Spawn, *, seed: int) -> None:
        self._office = office
        self._broker = office.broker
        self._faults = office.faults
        self._clock = clock
        self._spawn = spawn
        self._dice = random.Random(f"mt5rest:{seed}")  # noqa: S311 - repeatable faults, guards nothing
        self._calls = Calls(office)
        self._terminals: dict[str, Terminal] = {}
        self._streams: list[Stream] = []

    def app(self) -> web.Application:
        app = web.Application()
        app.add_routes(
            [
                web.get("/healthz", self._health),
                web.get("/OnOrderProfit", self._stream("OrderProfit")),
                web.get("/OnOrderUpdate", self._stream("OrderUpdate")),
                web.get("/OnQuote", self._stream("Quote")),
                web.get("/{call}", self._call),
            ]
        )
        app.on_shutdown.append(self._close_all)
        return app

    @property
    def sessions(self) -> int:
        return len(self._terminals)

    def lose_sessions(self) -> None:
        """Forget every token, as the real gateway does when its process restarts."""
        self._terminals.clear()
        for stream in list(self._streams):
            stream.drop()

    # --- what happens at the broker

    @override
    def on_fact(self, fact: Fact) -> None:
        kind = UPDATES.get(fact.kind)
        if fact.platform is not Platform.MT5 or kind is None or fact.trade is None:
            return
        listening = [s for s in self._streams if s.kind == "OrderUpdate" and s.terminal.login == fact.login]
        if listening:
            account = self._broker.account(fact.login)
            stands = standing(self._broker.market, account)
            data = update_data(self._broker, account, stands, kind, fact.trade, fact.rest)
            for stream in listening:
                stream.put(self._frame(stream, data))

    @override
    def on_quote(self, quote: Quote) -> None:
        for stream in self._streams:
            if stream.kind == "Quote":
                stream.put(self._frame(stream, quote_record(self._broker, quote)))

    def _frame(self, stream: Stream, data: ProfitData | UpdateData | QuoteRecord) -> bytes:
        sent_at = self._broker.now_us // 1000
        return self._encode(
            Envelope(type=stream.kind, id=stream.terminal.token, timestamp_utc=sent_at, data=data)
        )

    # --- REST

    async def _health(self, request: web.Request) -> web.Response:
        return web.Response(text="Healthy")

    async def _call(self, request: web.Request) -> web.StreamResponse:
        self._broker.move_to(self._clock.now_us())
        key = Calls.key(request.match_info["call"])
        fate = self._faults.fate(self._dice) if key in Calls.WRITES else Fate.NORMAL
        return await self._carry_out(fate, key, Query(request.query), request.transport)

    async def _carry_out(
        self, fate: Fate, key: str, query: Query, transport: asyncio.Transport | None
    ) -> web.StreamResponse:
        answer = web.Response()
        match fate:
            case Fate.NORMAL:
                answer = self._answer(key, query)
                if self._faults.answer_delay:
                    await self._clock.sleep(self._faults.answer_delay)
                return answer
            case Fate.DROPPED_BEFORE:
                pass
            case Fate.APPLIED_LATE:
                self._spawn(self._apply_late(key, query))
            case Fate.ANSWER_DROPPED:
                answer = self._answer(key, query)
            case Fate.ANSWER_WITHHELD:
                answer = self._answer(key, query)
                await self._clock.sleep(WITHHELD_FOR)
        if transport is not None:
            transport.abort()
        return answer

    async def _apply_late(self, key: str, query: Query) -> None:
        await self._clock.sleep(self._faults.late_apply_after)
        self._broker.move_to(self._clock.now_us())
        self._office.late = True
        try:
            self._answer(key, query)
        finally:
            self._office.late = False

    def _answer(self, key: str, query: Query) -> web.Response:
        try:
            if key in OWN_CALLS:
                return web.Response(text=self._session_call(key, query))
            if not self._calls.knows(key):
                return web.Response(status=404)
            result = self._calls.run(key, self._terminal(query), query)
        except Refused as refusal:
            failure = Failure(refusal.message, refusal.code)
            return web.Response(
                status=REFUSED_STATUS,
                body=self._encode(failure),
                content_type="application/json",
                charset="utf-8",
            )
        if isinstance(result, str):
            return web.Response(text=result)
        return web.Response(body=self._encode(result), content_type="application/json", charset="utf-8")

    def _session_call(self, key: str, query: Query) -> str:
        match key:
            case "connect" | "connectex":
                return self._connect(query).token
            case "disconnect":
                self._terminals.pop(self._terminal(query).token)
            case _:
                self._terminal(query)
        return "OK"

    def _connect(self, query: Query) -> Terminal:
        login, password = query.integer("user"), query.text("password")
        account = self._broker.accounts.get(login)
        if account is None or account.platform is not Platform.MT5:
            raise Refused("Invalid account", "INVALID_ACCOUNT")
        is_trader, is_investor = _same(password, account.password), _same(password, account.password_investor)
        if not is_trader and not is_investor:
            raise Refused("Invalid account", "INVALID_ACCOUNT")
        if not account.enable:
            raise Refused("Account disabled", "ACCOUNT_DISABLED")
        if len(self._terminals) >= MOST_TERMINALS:
            raise Refused("Too many sessions", "CONNECT_ERROR")
        terminal = Terminal(str(uuid.uuid4()), login, is_investor=not is_trader)
        self._terminals[terminal.token] = terminal
        return terminal

    def _terminal(self, query: Query) -> Terminal:
        token = query.text("id")
        terminal = self._terminals.get(token)
        if terminal is None:
            raise Refused(f"Client with id {token[:64]} not found", "INVALID_TOKEN")
        return terminal

    # --- streams

    def _stream(self, kind: str) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def serve(request: web.Request) -> web.StreamResponse:
            socket = web.WebSocketResponse(max_msg_size=4096, compress=False, timeout=1.0)
            if not socket.can_prepare(request):
                token = request.query.get("id", "")[:64]
                return web.Response(text=f"/static/EventsTest.html?id={token}&type=On{kind}")
            await socket.prepare(request)
            try:
                terminal = self._terminal(Query(request.query))
            except Refused as refusal:
                await socket.send_str(self._encode(Failure(refusal.message, refusal.code)).decode())
                await socket.close(code=WSCloseCode.POLICY_VIOLATION)
                return socket
            await self._run_stream(Stream(kind, terminal, socket, request.transport))
            return socket

        return serve

    async def _run_stream(self, stream: Stream) -> None:
        self._streams.append(stream)
        try:
            async with asyncio.TaskGroup() as group:
                work = (
                    self._send_profit(stream) if stream.kind == "OrderProfit" else self._send_waiting(stream)
                )
                sender = group.create_task(work)
                async for _ in stream.socket:
                    pass  # nothing a client says on a stream means anything
                sender.cancel()
        finally:
            self._streams.remove(stream)

    async def _send_waiting(self, stream: Stream) -> None:
        while await self._sent(stream, await stream.waiting.get()):
            pass

    async def _send_profit(self, stream: Stream) -> None:
        last: ProfitData | None = None
        while True:
            self._broker.move_to(self._clock.now_us())
            account = self._broker.account(stream.terminal.login)
            stands = standing(self._broker.market, account)
            data = profit_data(self._broker, account, stands)
            if self._faults.glitch_equity.strikes(self._dice):
                data = profit_data(self._broker, account, stands, glitch=True)
            if data != last and not await self._sent(stream, self._frame(stream, data)):
                return
            last = data
            await self._clock.sleep(stream.terminal.profit_interval)

    async def _sent(self, stream: Stream, frame: bytes) -> bool:
        try:
            await stream.socket.send_str(frame.decode())
        except ConnectionError:
            return False  # the reader notices the same and ends the stream
        return True

    async def _close_all(self, app: web.Application) -> None:
        for stream in list(self._streams):
            await stream.socket.close(code=WSCloseCode.GOING_AWAY)

    # --- casing

    def _encode(self, value: object) -> bytes:
        if self._faults.pascal_case:
            return encode(_pascal(msgspec.to_builtins(value, builtin_types=(Decimal,))))
        return encode(value)


def _same(given: str, right: str) -> bool:
    return bool(right) and hmac.compare_digest(given.encode(), right.encode())


def _pascal(value: object) -> object:
    match value:
        case dict():
            return {str(key)[:1].upper() + str(key)[1:]: _pascal(item) for key, item in value.items()}
        case list():
            return [_pascal(item) for item in value]
        case _:
            return value
