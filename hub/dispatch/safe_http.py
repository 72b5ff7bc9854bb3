"""The HTTP client deliveries go through: one pool per process, no way inside, nothing a receiver does costs much.

A public name may lead inside a moment later, so addresses are checked where a socket is made, not where a name is
looked up. Everything on the way is bounded: one deadline over connecting, sending and the whole answer; 64 KiB of
body, of which 1 KiB is kept; nothing is decompressed, redirected, cached, or taken from the environment.
"""

import ssl
from collections.abc import Callable
from datetime import timedelta
from typing import Protocol, Self, final, runtime_checkable

import aiohttp
import yarl
from aiohttp.client_exceptions import ClientConnectorSSLError
from aiohttp.http import HttpProcessingError
from typing_extensions import override

from hub.clock import Clock
from hub.dispatch.addresses import Networks
from hub.dispatch.answer import Answer
from hub.dispatch.bounded_protocol import Chatter
from hub.dispatch.connections import AddressDenied, Connections
from hub.dispatch.deadlines import Deadlines
from hub.dispatch.delivery import CONTROL, Delivered, ErrorClass, Outcome, Unreachable, answered
from hub.dispatch.exchange import Awaited, Exchange, Target
from hub.dispatch.line import Line, OutOfTurn
from hub.dispatch.resolver import PooledResolver
from hub.dispatch.schedule import parse_retry_after

DEADLINE = timedelta(seconds=15)
CONNECT_SECONDS = 5.0
AT_ONCE_US = 1_000_000
USER_AGENT = "hub-webhooks/1"

Headers = dict[str, str]


class Transport(Protocol):
    async def send(self, url: yarl.URL, headers: Headers, body: bytes) -> Outcome:
        """POST once and return what came of it; trouble with the receiver is an outcome, never an exception."""


class Flight(Protocol):
    """An attempt that is on its way without a task of its own; `about` is whatever its sender gave with it."""

    about: object

    def outcome(self) -> Outcome | None:
        """Return what came of it, once it is over; None where it was nothing, and may be sent once more at once."""


class Way(Protocol):
    """The way to one receiver for requests that need not wait for anything."""

    def begin(self, lines: str, body: bytes, about: object, told: Callable[[Flight], None]) -> bool:
        """Send at once and return True, and `told` is called when it is over; or do nothing and return False.

        Never from within. `lines` are headers as `header_lines` makes them.
        """

    async def once_more(self, flight: Flight, headers: Headers, body: bytes) -> Outcome:
        """Send again what came to nothing."""


@runtime_checkable
class Prompt(Transport, Protocol):
    """A transport that can send without a task for each attempt."""

    def way(self, url: yarl.URL) -> Way: ...


def base_headers() -> Headers:
    """Return what every delivery says beside its id, timestamp and signature."""
    return {
        "Content-Type": "application/json",
        "User-Agent": USER_AGENT,
        "Accept": "*/*",
        "Accept-Encoding": "identity",
    }


@final
class AiohttpTransport(Prompt):
    """Use as an async context manager; one for the whole process."""

    def __init__(
        self,
        clock: Clock,
        *,
        deadline: timedelta = DEADLINE,
        allow_loopback: bool = False,
        networks: Networks = (),
        ssl_context: ssl.SSLContext | None = None,
        resolver: aiohttp.abc.AbstractResolver | None = None,
    ) -> None:
        self._clock = clock
        self._deadline = deadline.total_seconds()
        self._allow_loopback = allow_loopback
        self._networks = networks
        self._ssl = ssl_context
        self._resolver = resolver
        self._exchange: Exchange | None = None
        self._deadlines: Deadlines | None = None
        # One for each time limit in use: endpoints choose from few.
        self._other_deadlines: dict[float, Deadlines] = {}

    async def __aenter__(self) -> Self:
        context = self._ssl
        if context is None:
            context = ssl.create_default_context()
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            context.set_alpn_protocols(["http/1.1"])
        if self._resolver is None:
            self._resolver = PooledResolver()
        connector = Connections(
            self._clock,
            ssl_context=context,
            resolver=self._resolver,
            connect_seconds=CONNECT_SECONDS,
            allow_loopback=self._allow_loopback,
            networks=self._networks,
        )
        self._exchange = Exchange(connector, self._clock)
        self._deadlines = Deadlines(self._deadline)
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._deadlines is not None:
            self._deadlines.close()
        for deadlines in self._other_deadlines.values():
            deadlines.close()
        if self._exchange is not None:
            await self._exchange.close()
        if self._resolver is not None:
            await self._resolver.close()

    @override
    async def send(self, url: yarl.URL, headers: Headers, body: bytes) -> Outcome:
        assert self._deadlines is not None, "enter the transport before sending"
        return await self.send_within(url, headers, body, self._deadlines)

    @override
    def way(self, url: yarl.URL) -> Way:
        assert self._deadlines is not None, "enter the transport before sending"
        return self.way_within(url, self._deadlines)

    def within(self, seconds: float) -> Prompt:
        """Return the same way out, with a time limit of its own for each attempt."""
        return _Within(self, round(seconds, 1))

    def deadlines(self, seconds: float) -> Deadlines:
        deadlines = self._other_deadlines.get(seconds)
        if deadlines is None:
            deadlines = self._other_deadlines[seconds] = Deadlines(seconds)
        return deadlines

    def way_within(self, url: yarl.URL, deadlines: Deadlines) -> "_Way":
        assert self._exchange is not None, "enter the transport before sending"
        return _Way(self, self._exchange, self._clock, url, deadlines)

    async def send_within(
        self,
        url: yarl.URL,
        headers: Headers,
        body: bytes,
        deadlines: Deadlines,
        *,
        failed_at: float | None = None,
    ) -> Outcome:
        """`failed_at`: when the first try began, which came to nothing; this is the second then, and the last."""
        exchange = self._exchange
        assert exchange is not None, "enter the transport before sending"
        clock = self._clock
        started = clock.monotonic() if failed_at is None else failed_at
        last_try = failed_at is not None
        while True:
            answer = Awaited()
            try:
                # The time goes on counting while the body is read: no receiver holds a slot longer.
                with deadlines.start():
                    await exchange.post(url, headers, body, answer)
            except (aiohttp.ClientError, HttpProcessingError, OSError, ValueError) as problem:
                # TimeoutError is an OSError
                latency_us = int((clock.monotonic() - started) * 1e6)
                # Most likely a kept connection that was closed just as we wrote: the same id, at once, on a new one.
                if last_try or not may_try_again(problem, latency_us):
                    return failure(answer, problem, latency_us)
                last_try = True
            else:
                return success(answer, int((clock.monotonic() - started) * 1e6), clock)


def may_try_again(problem: Exception, latency_us: int) -> bool:
    return isinstance(problem, aiohttp.ServerDisconnectedError) and latency_us <= AT_ONCE_US


def success(answer: Answer, latency_us: int, clock: Clock) -> Outcome:
    """Return what a whole answer comes to."""
    status = answer.status
    assert status is not None, "an exchange that ends without an error has an answer"
    said = answer.headers.get(CONTROL)
    if 200 <= status < 300 and said is None:
        return Delivered(status, latency_us, answer.kept, answer.seen())
    asked = answer.headers.get("Retry-After")
    wait = parse_retry_after(asked, clock.now_us(), answer.headers.get("Date"))
    return answered(status, latency_us, answer.kept, wait, answer.seen(), said)


def failure(answer: Answer, problem: Exception, latency_us: int) -> Unreachable:
    """Return what it comes to that there was no whole answer."""
    if isinstance(problem, aiohttp.ServerDisconnectedError):
        return Unreachable(ErrorClass.CONNECT, _disconnected(problem), latency_us, None, answer.seen())
    error, reason = classify(problem)
    if error is ErrorClass.CONNECT and answer.opening is not None and answer.opening.shaking_hands():
        error, reason = ErrorClass.TLS, f"the TLS handshake broke off: {reason}"
    return Unreachable(error, reason, latency_us, answer.status, answer.seen())


@final
class _Flight(Answer, Flight):
    def __init__(
        self, clock: Clock, deadlines: Deadlines, line: Line, about: object, told: Callable[[Flight], None]
    ) -> None:
        self.about = about
        self.due = 0.0
        self.started = self._ended = clock.monotonic()
        self._clock = clock
        self._deadlines = deadlines
        self._line = line
        self._told = told
        self._problem: Exception | None = None

    @override
    def over(self, problem: Exception | None, at: float) -> None:
        self._deadlines.over(self)
        self._problem, self._ended = problem, at
        self._told(self)

    def expire(self) -> None:
        self._line.hang_up()
        self._problem, self._ended = TimeoutError(), self._clock.monotonic()
        self._told(self)

    @override
    def outcome(self) -> Outcome | None:
        latency_us, problem = int((self._ended - self.started) * 1e6), self._problem
        if problem is None:
            return success(self, latency_us, self._clock)
        return None if may_try_again(problem, latency_us) else failure(self, problem, latency_us)


@final
class _Way(Way):
    def __init__(
        self,
        transport: AiohttpTransport,
        exchange: Exchange,
        clock: Clock,
        url: yarl.URL,
        deadlines: Deadlines,
    ) -> None:
        self._transport = transport
        self._exchange = exchange
        self._clock = clock
        self._url = url
        self._deadlines = deadlines
        self._target: Target | None = None

    @override
    def begin(self, lines: str, body: bytes, about: object, told: Callable[[Flight], None]) -> bool:
        target = self._target
        if target is None:
            target = self._target = self._exchange.known(self._url)
            if target is None:
                return False  # nothing was sent there yet, so that there is no connection either
        line = target.pool.take(self._clock.monotonic())
        if line is None:
            return False
        flight = _Flight(self._clock, self._deadlines, line, about, told)
        try:
            line.ask(target.request(lines, body), flight)
        except aiohttp.ServerDisconnectedError:
            return False  # gone meanwhile: nothing was written
        self._deadlines.begun(flight)
        return True

    @override
    async def once_more(self, flight: Flight, headers: Headers, body: bytes) -> Outcome:
        assert isinstance(flight, _Flight), "nobody else's flights are told here"
        return await self._transport.send_within(
            self._url, headers, body, self._deadlines, failed_at=flight.started
        )


@final
class _Within(Prompt):
    def __init__(self, transport: AiohttpTransport, seconds: float) -> None:
        self._transport = transport
        self._seconds = seconds

    @override
    async def send(self, url: yarl.URL, headers: Headers, body: bytes) -> Outcome:
        deadlines = self._transport.deadlines(self._seconds)
        return await self._transport.send_within(url, headers, body, deadlines)

    @override
    def way(self, url: yarl.URL) -> Way:
        return self._transport.way_within(url, self._transport.deadlines(self._seconds))


def _disconnected(problem: aiohttp.ServerDisconnectedError) -> str:
    if isinstance(problem, OutOfTurn):
        return "the receiver spoke before it was asked"
    return "the connection was closed without an answer"


def classify(problem: Exception) -> tuple[ErrorClass, str]:
    """Return the class of what went wrong and a sentence that gives nothing of the inside away."""
    match problem:
        case TimeoutError():
            return ErrorClass.TIMEOUT, "no whole answer within the deadline"
        case aiohttp.ClientConnectorDNSError():
            return ErrorClass.DNS, "the host name could not be resolved"
        case aiohttp.ClientConnectorCertificateError() | ClientConnectorSSLError() | ssl.SSLError():
            return ErrorClass.TLS, _short(problem)
        case aiohttp.ClientConnectorError() if isinstance(problem.os_error, AddressDenied):
            return (
                ErrorClass.BLOCKED,
                f"the host leads to an address that is not public ({problem.os_error.why})",
            )
        case aiohttp.ClientConnectorError():
            return ErrorClass.CONNECT, problem.os_error.strerror or "connecting failed"
        case aiohttp.InvalidURL() | aiohttp.NonHttpUrlClientError():
            return ErrorClass.BLOCKED, _short(problem)
        case aiohttp.ClientPayloadError():
            return ErrorClass.BODY, "the answer's body broke off or is malformed"
        case Chatter():
            return ErrorClass.BODY, "one announcement after the other (100 to 199), and no answer"
        case HttpProcessingError():
            return (
                ErrorClass.BODY,
                "the answer is not well-formed HTTP, or its headers are too many or too long",
            )
        case OSError():
            return ErrorClass.CONNECT, problem.strerror or "the connection was lost"
        case _:
            return ErrorClass.CONNECT, _short(problem)


def _short(problem: Exception) -> str:
    return " ".join(str(problem).split())[:200] or type(problem).__name__
