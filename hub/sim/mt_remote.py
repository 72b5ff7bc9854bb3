"""A gateway that speaks MT Remote over WebSocket, in front of the simulated MT4 server.

Where the public text leaves a gap, this gateway does the following.

- Address: ``ws://127.0.0.1:PORT/`` (also ``/ws``), text frames, one MT4 connection per session, no TLS.
- Signing in: headers ``MT-LOGIN``, ``MT-PASSWORD`` (and ``MT-SERVER``, ``VERSION``) at the upgrade, or the function
  ``connect {server, login, password, reconnect_delay}``, answered OK without a result. Wrong credentials in headers:
  the socket is opened and closed at once with code 1008 (1013 while the MT4 link is down); in the function: ERROR ``Invalid account``. Before signing
  in every other function answers ERROR ``Not connected to MT4 server``. ``server`` is taken as given.
- ``event_id`` counts from 0 in each session, over all kinds of event together. Events that a write causes are sent
  before its reply. ``connection`` events come on change only, not on subscribing.
- When the MT4 link is lost, ``connection`` false is sent and functions answer ERROR ``No connection to MT4 server``.
  A session with ``reconnect_delay`` > 0 (ms) is back, with ``connection`` true, once the link is up and the delay is
  over; one with 0 stays down until it connects anew.
- ``trade`` carries the record alone. A partial close is two events: the closed ticket (comment ``to #N``), then
  the new ticket N with the rest (comment ``from #T``, same open time and price). A filled pending order keeps its
  ticket. A closed trade or cash row is followed by ``user`` with the new balance.
- A position's comment gains ``[sl]``, ``[tp]`` or ``so: LEVEL%/EQUITY/MARGIN`` when the server closes it; ``reason``
  stays that of the opening.
- ``trade.get`` knows open and pending orders only. ``trades.get`` and ``trades.get.all`` are the same.
- ``trades.history`` includes both ends of ``from`` and ``to``; cancelled and expired pending orders are in it too.
- ``ticks.get`` answers [] for a symbol this session has not shown; the newest tick is last.
- ``user.set`` and ``user.add`` refuse unknown fields and pass over read-only ones. ``user.add`` with login 0 takes the
  next free login.
- Every time is the server's clock written as Unix seconds, so it is off from UTC by the server's offset.
- Frames above 1 MiB, or a reader 10,000 frames behind, end the session.
"""

import asyncio
import hmac
import random
from collections.abc import Callable, Coroutine
from datetime import timedelta
from functools import partial
from typing import Final, Protocol

import msgspec
from aiohttp import WSCloseCode, WSMsgType, web
from typing_extensions import override

from hub.clock import SECOND_US, Clock
from hub.sim.back_office import BackOffice
from hub.sim.broker import Observer
from hub.sim.faults import Fate
from hub.sim.market import Quote
from hub.sim.model import Fact, FactKind, Platform, Refused
from hub.sim.mt4_records import group_record, tick, trade_record, user_record
from hub.sim.mt_remote_calls import Calls, Client
from hub.sim.mt_remote_shapes import Connect
from hub.sim.wire import LARGEST_FRAME, encode, read

MOST_WAITING: Final = 10_000
BALANCE_CHANGED: Final = frozenset({FactKind.CLOSED, FactKind.PARTLY_CLOSED, FactKind.CASH})
NULL: Final = msgspec.Raw(b"null")
EMPTY: Final = msgspec.Raw(b"{}")


class Spawn(Protocol):
    def __call__(self, work: Coroutine[object, object, None]) -> object: ...


class Request(msgspec.Struct, frozen=True):
    id: msgspec.Raw
    name: str
    data: msgspec.Raw = EMPTY


class Reply(msgspec.Struct, frozen=True, omit_defaults=True):
    id: msgspec.Raw
    status: str = msgspec.field(default_factory=lambda: "OK")
    result: object = None
    message: str = ""


class Session:
    """One WebSocket: what it subscribed to, its own event count, and the frames waiting to be sent."""

    def __init__(self, socket: web.WebSocketResponse, transport: asyncio.Transport | None) -> None:
        self.client = Client()
        self.upstream = True
        self._socket = socket
        self._transport = transport
        self._next_event = 0
        self._waiting: asyncio.Queue[bytes] = asyncio.Queue(MOST_WAITING)

    def send(self, frame: bytes) -> None:
        try:
            self._waiting.put_nowait(frame)
        except asyncio.QueueFull:
            self.drop()

    def event(self, name: str, data: bytes) -> None:
        if self.client.signed_in and name in self.client.topics:
            self.send(b'{"event":"%b","event_id":%d,"data":%b}' % (name.encode(), self._next_event, data))
            self._next_event += 1

    async def write(self) -> None:
        while True:
            frame = await self._waiting.get()
            try:
                await self._socket.send_str(frame.decode())
            except ConnectionError:
                return  # the reader notices the same and ends the session

    def drop(self) -> None:
        """Cut the connection as a failing network does, without a closing handshake."""
        if self._transport is not None:
            self._transport.abort()

    async def close(self) -> None:
        await self._socket.close(code=WSCloseCode.GOING_AWAY)


class MtRemote(Observer):
    def __init__(
        self,
        office: BackOffice,
        clock: Clock,
        spawn: Spawn,
        *,
        manager_login: int,
        manager_password: str,
        seed: int,
    ) -> None:
        self._office = office
        self._broker = office.broker
        self._clock = clock
        self._spawn = spawn
        self._manager_login = manager_login
        self._manager_password = manager_password
        self._dice = random.Random(f"mt_remote:{seed}")  # noqa: S311 - repeatable faults, guards nothing
        self._calls = Calls(office)
        self._sessions: list[Session] = []
        self._upstream = True

    def app(self) -> web.Application:
        app = web.Application()
        app.add_routes([web.get("/", self._serve), web.get("/ws", self._serve)])
        app.on_shutdown.append(self._close_all)
        return app

    @property
    def sessions(self) -> int:
        return len(self._sessions)

    def lose_upstream(self, duration: timedelta) -> None:
        """Lose the link to the MT4 server for a while; the WebSockets stay up."""
        self._upstream = False
        for session in self._sessions:
            self._set_link(session, up=False)
            self._spawn(self._come_back(session, duration))
        self._spawn(self._restore_upstream(duration))

    # --- what happens at the broker

    @override
    def on_fact(self, fact: Fact) -> None:
        if fact.platform is not Platform.MT4 or not self._sessions:
            return
        for trade in (fact.trade, fact.rest):
            if trade is not None:
                self._tell("trade", partial(trade_record, self._broker, trade))
        if fact.kind is FactKind.GROUP:
            self._tell("group", lambda: group_record(self._broker, self._broker.group(fact.group)))
        if fact.kind is FactKind.USER or fact.kind in BALANCE_CHANGED:
            self._tell("user", lambda: user_record(self._broker, self._broker.account(fact.login)))

    @override
    def on_quote(self, quote: Quote) -> None:
        listening = [
            session for session in self._sessions if session.upstream and quote.symbol in session.client.shown
        ]
        if any("tick" in session.client.topics for session in listening):
            data = encode(tick(self._broker, quote))
            for session in listening:
                session.event("tick", data)

    def _tell(self, name: str, record: Callable[[], object]) -> None:
        listening = [
            session for session in self._sessions if session.upstream and name in session.client.topics
        ]
        if listening:
            data = encode(record())
            for session in listening:
                session.event(name, data)

    # --- one session

    async def _serve(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(max_msg_size=LARGEST_FRAME, compress=False, timeout=1.0)
        await socket.prepare(request)
        session = Session(socket, request.transport)
        if "MT-LOGIN" in request.headers and not self._sign_in_by_headers(session, request):
            await socket.close(code=WSCloseCode.POLICY_VIOLATION, message=b"Invalid account")
            return socket
        if session.client.signed_in and not self._upstream:
            await socket.close(code=WSCloseCode.TRY_AGAIN_LATER, message=b"No connection to MT4 server")
            return socket
        self._sessions.append(session)
        try:
            async with asyncio.TaskGroup() as group:
                writer = group.create_task(session.write())
                async for message in socket:
                    if message.type is not WSMsgType.TEXT:
                        break
                    self._on_request(session, message.data)
                writer.cancel()
        finally:
            self._sessions.remove(session)
        return socket

    def _sign_in_by_headers(self, session: Session, request: web.Request) -> bool:
        login, password = request.headers["MT-LOGIN"], request.headers.get("MT-PASSWORD", "")
        session.client.signed_in = login.isdecimal() and self._is_manager(int(login), password)
        return session.client.signed_in

    def _is_manager(self, login: int, password: str) -> bool:
        right = hmac.compare_digest(password.encode(), self._manager_password.encode())
        return right and login == self._manager_login

    def _on_request(self, session: Session, text: str) -> None:
        self._broker.move_to(self._clock.now_us())
        try:
            request = msgspec.json.decode(text, type=Request)
        except (msgspec.MsgspecError, RecursionError, ValueError):
            session.send(encode(Reply(NULL, "ERROR", message="Malformed request")))
            return
        fate = self._office.faults.fate(self._dice) if request.name in Calls.WRITES else Fate.NORMAL
        match fate:
            case Fate.NORMAL:
                self._answer(session, self._reply(session, request))
            case Fate.DROPPED_BEFORE:
                session.drop()
            case Fate.APPLIED_LATE:
                self._spawn(self._apply_late(session, request))
                session.drop()
            case Fate.ANSWER_DROPPED:
                self._reply(session, request)
                session.drop()
            case Fate.ANSWER_WITHHELD:
                self._reply(session, request)

    def _reply(self, session: Session, request: Request) -> Reply:
        try:
            if request.name == "connect":
                self._connect(session, read(Connect, request.data))
                return Reply(request.id)
            self._check_link(session)
            result = self._calls.run(request.name, session.client, request.data)
        except Refused as refusal:
            return Reply(request.id, "ERROR", message=refusal.message)
        return Reply(request.id, result=result)

    def _connect(self, session: Session, wanted: Connect) -> None:
        if not self._is_manager(wanted.login, wanted.password):
            raise Refused("Invalid account")
        if not self._upstream:
            raise Refused("No connection to MT4 server")
        session.client.signed_in = True
        session.client.reconnect_delay = timedelta(
            milliseconds=min(max(wanted.reconnect_delay, 0), 86_400_000)
        )
        self._set_link(session, up=True)

    @staticmethod
    def _check_link(session: Session) -> None:
        if not session.client.signed_in:
            raise Refused("Not connected to MT4 server")
        if not session.upstream:
            raise Refused("No connection to MT4 server")

    def _answer(self, session: Session, reply: Reply) -> None:
        delay = self._office.faults.answer_delay
        if delay:
            self._spawn(self._answer_later(session, encode(reply), delay))
        else:
            session.send(encode(reply))

    async def _answer_later(self, session: Session, frame: bytes, delay: timedelta) -> None:
        await self._clock.sleep(delay)
        session.send(frame)

    async def _apply_late(self, session: Session, request: Request) -> None:
        await self._clock.sleep(self._office.faults.late_apply_after)
        self._broker.move_to(self._clock.now_us())
        self._office.late = True
        try:
            self._reply(session, request)
        finally:
            self._office.late = False

    # --- the link to the MT4 server

    @staticmethod
    def _set_link(session: Session, *, up: bool) -> None:
        if session.upstream is not up:
            session.upstream = up
            session.event("connection", b"true" if up else b"false")

    async def _restore_upstream(self, duration: timedelta) -> None:
        await self._clock.sleep(duration)
        self._upstream = True

    async def _come_back(self, session: Session, duration: timedelta) -> None:
        delay = session.client.reconnect_delay
        if delay:
            await self._clock.sleep(max(delay, duration) + timedelta(microseconds=SECOND_US // 1000))
            self._set_link(session, up=True)

    async def _close_all(self, app: web.Application) -> None:
        for session in list(self._sessions):
            await session.close()
