"""Serves the application, with a deadline for whoever is slow to speak or to listen.

The framework waits for ever for the rest of a request's head. Here a connection whose head is not complete within
10 seconds is closed, as is one whose request is not over after two minutes and one above the cap for its address.
A body has its own deadline where it is read. Not covered, and the business of a reverse proxy: TLS, floods of new
connections below the caps, and many addresses at once.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from typing import Any, final

from aiohttp import web
from aiohttp.http import HttpProcessingError, RawRequestMessage
from aiohttp.web_protocol import RequestHandler
from typing_extensions import override

from hub.api.known_head import KnownHead, known_head, still_to_come
from hub.api.problems import Problem
from hub.api.short_way import ShortWay, again
from hub.api.together import Taken, Together
from hub.control.keys import Principal

HEAD_WITHIN = timedelta(seconds=10)
REQUEST_WITHIN = timedelta(seconds=120)
IDLE_WITHIN = timedelta(seconds=60)
_SWEEP_EVERY_S = 1.0

SHORT_WAY = web.AppKey("short_way", ShortWay)


@final
class _Connection(RequestHandler):
    """`head_since`: when the head of the next request began to arrive, None while there is none or it is complete.

    `sending`: the event of a request that is answered the short way; the framework sees no request meanwhile.
    `looking`: the next request is being looked at. Reading its body may have more data received at once.
    `to_come`: how many bytes the request lacks that is being received, None once nobody but the parser knows where
    the next begins. `known`: how a request of one piece began here; pieces like it are looked at before the parser sees
    them, and `held` is what was and has to wait: for its body, or for its turn. `piece` is what the parser has just seen,
    if a request began with it and it holds no other.
    `lost` is called when the client goes away while a stream is sent to it, which may take as long as it likes.
    """

    __slots__ = (
        "address", "head_since", "held", "known", "looking", "lost", "message", "piece", "sending", "server", "started",
        "to_come", "watched",
    )  # fmt: skip

    def __init__(self, server: "_Server", **settings: Any) -> None:
        super().__init__(server, loop=server.loop, **settings)
        self.server = server
        self.sending: Taken | None = None
        self.message: RawRequestMessage | None = None
        self.known: KnownHead | None = None
        self.held = b""
        self.piece = b""
        self.to_come: int | None = 0
        self.looking = False
        self.lost: Callable[[], None] | None = None
        self.head_since: float | None = None
        self.address = ""
        self.watched: object = None
        self.started = 0.0

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        peer = transport.get_extra_info("peername")
        self.address = str(peer[0]) if isinstance(peer, tuple) and peer else ""
        self.head_since = self.server.loop.time()
        if not self.server.admit(self):
            self.force_close()

    @override
    def connection_lost(self, exc: BaseException | None) -> None:
        self.server.left(self)
        super().connection_lost(exc)
        if self.lost is not None:
            self.lost()

    @override
    def data_received(self, data: bytes) -> None:
        if self.held:
            data, self.held = self.held + data, b""
            if self.sending is not None:
                # More came before its turn: the parser takes the one behind the other.
                self.sending = None
                self._parse(data)
                return
        if self.known is not None and self._is_idle:
            body = self.known.body(data)
            if body is not None and self.server.short_way.still_admits(self.known.who, body):
                self.held, self.head_since = data, None
                self._send(self.known.who, body)
                return
            if self.known.is_all(data):  # its body comes by itself, as many clients write it
                self.held, self.head_since = data, self.server.loop.time()
                self._keepalive = False  # it is not idle
                return
        self._parse(data)

    @property
    def _is_idle(self) -> bool:
        """Whether nothing is in hand, nor on its way out."""
        waiter = self._waiter
        return (
            waiter is not None
            and not waiter.done()
            and self.to_come == 0
            and self.sending is None
            and not self._messages
            and not self._paused
            and not self._force_close
            and not self._close
        )

    def _parse(self, data: bytes) -> None:
        # The framework is woken by `_go_on`, once it is clear that the request is its business.
        waiter, self._waiter = self._waiter, None
        before, count = self.server.short_way.pages.answered, self._request_count
        super().data_received(data)
        self._waiter = waiter
        self._note_piece(data, self._request_count - count)
        self._go_on()
        self.piece = b""
        if (
            self.server.short_way.pages.answered != before
            or self._messages
            or self._current_request is not None
            or self.sending is not None
            or self._upgraded
        ):
            self.head_since = None
        elif self.head_since is None and data:
            self.head_since = self.server.loop.time()

    def _note_piece(self, data: bytes, requests: int) -> None:
        """Keep count of where the next request begins, and remember a piece that is one whole request."""
        left: int | None
        if self.to_come is None or not data:
            return
        if self.to_come:
            left = self.to_come - len(data)
        else:
            message = self._messages[-1][0] if requests == 1 and self._messages else None
            left = still_to_come(data, message) if isinstance(message, RawRequestMessage) else None
            self.piece = data if left is not None else b""
        self.to_come = left if left is not None and left >= 0 else None
        if self.to_come is None:
            self.known = None

    def _go_on(self) -> None:
        """Turn to the next request, if the one before it is answered."""
        waiter = self._waiter
        if not self._messages or self.sending is not None or self.looking:
            return
        # Otherwise the framework has a request in hand, and takes the next by itself.
        if waiter is None or waiter.done():
            return
        self.looking = True
        taken = self._take_short_way()
        while taken and self._messages and self.sending is None:
            taken = self._take_short_way()
        self.looking = False
        if not taken and not waiter.done():
            waiter.set_result(None)

    def _take_short_way(self) -> bool:
        message, payload = self._messages[0]
        # Whoever does not read its answers has to wait for the framework's write, which waits for it.
        if not isinstance(message, RawRequestMessage) or self._paused or self._parser is None:
            return False
        short_way = self.server.short_way
        if not payload.is_eof():
            self._learn(message)
            return False
        page = short_way.page(message)
        if page is not None:
            self._messages.popleft()
            self._parser.message_consumed()
            self.answered(page)
            return True
        who = short_way.admits(message)
        if who is None:
            return False
        self._learn(message, who)
        self._messages.popleft()
        self.message = message
        self._send(who, payload.read_nowait())
        return True

    def _learn(self, message: RawRequestMessage, who: Principal | None = None) -> None:
        """Remember how a request began, if one like it may go the short way."""
        if self.piece and (who := who or self.server.short_way.admits(message)) is not None:
            self.known = known_head(self.piece, who)

    def _send(self, who: Principal, body: bytes) -> None:
        """Have the event taken together with those of the other connections."""
        self.sending = self.server.together.take(self, who, body)
        # What the framework looks at when it shuts down or closes idle connections.
        self._request_in_progress = True
        self._keepalive = False

    def is_sending(self, taken: Taken) -> bool:
        return self.sending is taken

    def accept(self) -> None:
        if self.message is not None and self._parser is not None:
            self._parser.message_consumed()
        self.held, self.message = b"", None

    def decline(self, body: bytes) -> None:
        self.sending = None
        self._request_in_progress = False
        self._keepalive = True
        if self.message is None:
            data, self.held = self.held, b""
            super().data_received(data)
            return
        self._messages.appendleft((self.message, again(body, self, self.server.loop)))
        self.message = None
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def answered(self, answer: bytes) -> None:
        """Send an answer, and wait for the next request as the framework would."""
        self.sending = None
        self._request_in_progress = False
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(answer)
        self._keepalive = True
        self._next_keepalive_close_time = self.server.loop.time() + self._keepalive_timeout
        if self._keepalive_handle is None and not self._force_close:
            self._keepalive_handle = self.server.loop.call_at(
                self._next_keepalive_close_time, self._process_keepalive
            )
        if self._handler_waiter is not None and not self._handler_waiter.done():
            self._handler_waiter.set_result(None)
        if self._buffer_paused:
            self._resume_reading_if_drained()
        self._go_on()

    @override
    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        if not isinstance(exc, HttpProcessingError):
            return super().handle_error(request, status, exc, message)
        # What is no HTTP is the sender's fault and common on any open port: no traceback of ours belongs in the log.
        self.server.malformed += 1
        response = Problem(status, "not-http", "the request cannot be parsed").response()
        response.force_close()
        return response

    def is_overdue(self, now: float) -> bool:
        if self.head_since is not None:
            return now - self.head_since > HEAD_WITHIN.total_seconds()
        if self.lost is not None:
            return False
        request = self._current_request or self.sending
        if request is None or request is not self.watched:
            self.watched, self.started = request, now
            return False
        return now - self.started > REQUEST_WITHIN.total_seconds()


@contextmanager
def kept_open(request: web.Request, lost: Callable[[], None]) -> Iterator[None]:
    """Let a request take as long as its client stays; `lost` is called when that is over."""
    connection = request.protocol
    assert isinstance(connection, _Connection)
    connection.lost = lost
    try:
        yield
    finally:
        connection.lost = None


class _Server(web.Server):
    """Makes our connections, counts them per address, and closes those that are overdue."""

    def __init__(
        self, base: web.Server, *, short_way: ShortWay, most: int, most_per_address: int, **settings: Any
    ) -> None:
        loop = asyncio.get_running_loop()
        super().__init__(base.request_handler, request_factory=base.request_factory, loop=loop)
        self.loop = loop
        self.short_way = short_way
        self.together = Together(short_way, loop)
        self.malformed = 0
        self.overdue = 0
        self.turned_away = 0
        self._settings = settings
        self._most = most
        self._most_per_address = most_per_address
        self._open: set[_Connection] = set()
        self._per_address: Counter[str] = Counter()
        self._timer: asyncio.TimerHandle | None = None

    @override
    def __call__(self) -> RequestHandler:
        return _Connection(self, **self._settings)

    def admit(self, connection: _Connection) -> bool:
        self._open.add(connection)
        self._per_address[connection.address] += 1
        if len(self._open) <= self._most and self._per_address[connection.address] <= self._most_per_address:
            return True
        self.turned_away += 1
        return False

    def left(self, connection: _Connection) -> None:
        if connection in self._open:
            self._open.remove(connection)
            self._per_address[connection.address] -= 1
            if not self._per_address[connection.address]:
                del self._per_address[connection.address]

    def sweep(self) -> None:
        """Close what is overdue, and do so again every second."""
        self._timer = self.loop.call_later(_SWEEP_EVERY_S, self.sweep)
        now = self.loop.time()
        for connection in [item for item in self._open if item.is_overdue(now)]:
            self.overdue += 1
            connection.force_close()

    def stop_sweeping(self) -> None:
        if self._timer is not None:
            self._timer.cancel()


@final
class _Runner(web.AppRunner):
    """The framework's runner, with our connections."""

    def __init__(self, app: web.Application, *, most: int, most_per_address: int, grace: timedelta) -> None:
        super().__init__(app, shutdown_timeout=grace.total_seconds(), access_log=None)
        self._most = most
        self._most_per_address = most_per_address

    @override
    async def _make_server(self) -> web.Server:
        return _Server(
            await super()._make_server(),
            short_way=self.app[SHORT_WAY],
            most=self._most,
            most_per_address=self._most_per_address,
            access_log=None,
            auto_decompress=False,  # bodies are taken as they are: nothing inflates before it is counted
            keepalive_timeout=IDLE_WITHIN.total_seconds(),
            lingering_time=2.0,
        )


@final
class Serving:
    """A server that listens: where, and what it had to do about its clients."""

    def __init__(self, server: _Server, port: int) -> None:
        self._server = server
        self.port = port

    @property
    def waiting(self) -> int:
        """Return how many events are on their way to disk the short way; another thread may look at it."""
        return self._server.together.waiting

    @property
    def counters(self) -> dict[str, int]:
        return {
            "malformed": self._server.malformed,
            "overdue": self._server.overdue,
            "turned_away": self._server.turned_away,
            "answered_the_short_way": self._server.short_way.answered,
            "pages_the_short_way": self._server.short_way.pages.answered,
        }


@asynccontextmanager
async def serve(
    app: web.Application,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    most: int = 8192,
    most_per_address: int = 4096,
    grace: timedelta = timedelta(seconds=10),
) -> AsyncIterator[Serving]:
    """Listen; on leaving take nothing new, let requests in hand finish within `grace`, then close."""
    runner = _Runner(app, most=most, most_per_address=most_per_address, grace=grace)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port, backlog=1024).start()
        server = runner.server
        assert isinstance(server, _Server)
        server.sweep()
        yield Serving(server, runner.addresses[0][1])
    finally:
        if isinstance(runner.server, _Server):
            runner.server.stop_sweeping()
        await runner.cleanup()
