"""The HTTP client deliveries go through: one pool per process, no way inside, nothing a receiver does costs much.

A public name may lead inside a moment later, so addresses are checked where a socket is made, not where a name is
looked up. Everything on the way is bounded: one deadline over connecting, sending and the whole answer; 64 KiB of
body, of which 1 KiB is kept; nothing is decompressed, redirected, cached, or taken from the environment.
"""

import ssl
from datetime import timedelta
from typing import Protocol, Self, final

import aiohttp
import yarl
from aiohttp.client_exceptions import ClientConnectorSSLError
from aiohttp.http import HttpProcessingError
from typing_extensions import override

from hub.clock import Clock
from hub.dispatch.addresses import Networks
from hub.dispatch.bounded_protocol import Chatter
from hub.dispatch.connections import AddressDenied, Connections
from hub.dispatch.deadlines import Deadlines
from hub.dispatch.delivery import CONTROL, Delivered, ErrorClass, Outcome, Unreachable, answered
from hub.dispatch.exchange import Awaited, Exchange
from hub.dispatch.line import OutOfTurn
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


def base_headers() -> Headers:
    """Return what every delivery says beside its id, timestamp and signature."""
    return {
        "Content-Type": "application/json",
        "User-Agent": USER_AGENT,
        "Accept": "*/*",
        "Accept-Encoding": "identity",
    }


@final
class AiohttpTransport(Transport):
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
        return await self._send(url, headers, body, self._deadlines)

    def within(self, seconds: float) -> Transport:
        """Return the same way out, with a time limit of its own for each attempt."""
        return _Within(self, round(seconds, 1))

    async def send_within(self, url: yarl.URL, headers: Headers, body: bytes, seconds: float) -> Outcome:
        deadlines = self._other_deadlines.get(seconds)
        if deadlines is None:
            deadlines = self._other_deadlines[seconds] = Deadlines(seconds)
        return await self._send(url, headers, body, deadlines)

    async def _send(self, url: yarl.URL, headers: Headers, body: bytes, deadlines: Deadlines) -> Outcome:
        exchange = self._exchange
        assert exchange is not None, "enter the transport before sending"
        clock = self._clock
        started = clock.monotonic()
        last_try = False
        while True:
            answer = Awaited()
            try:
                # The time goes on counting while the body is read: no receiver holds a slot longer.
                with deadlines.start():
                    await exchange.post(url, headers, body, answer)
                latency_us = int((clock.monotonic() - started) * 1e6)
                status = answer.status
                assert status is not None, "an exchange that ends without an error has an answer"
                said = answer.headers.get(CONTROL)
                if 200 <= status < 300 and said is None:
                    return Delivered(status, latency_us, answer.kept, answer.seen())
                asked = answer.headers.get("Retry-After")
                wait = parse_retry_after(asked, clock.now_us(), answer.headers.get("Date"))
                return answered(status, latency_us, answer.kept, wait, answer.seen(), said)
            except aiohttp.ServerDisconnectedError as problem:
                latency_us = int((clock.monotonic() - started) * 1e6)
                if last_try or latency_us > AT_ONCE_US:
                    return Unreachable(
                        ErrorClass.CONNECT, _disconnected(problem), latency_us, None, answer.seen()
                    )
                # Most likely a kept connection that was closed just as we wrote: the same id, at once, on a new one.
                last_try = True
            except (aiohttp.ClientError, HttpProcessingError, OSError, ValueError) as problem:
                # TimeoutError is an OSError
                latency_us = int((clock.monotonic() - started) * 1e6)
                error, reason = classify(problem)
                if (
                    error is ErrorClass.CONNECT
                    and answer.opening is not None
                    and answer.opening.shaking_hands()
                ):
                    error, reason = ErrorClass.TLS, f"the TLS handshake broke off: {reason}"
                return Unreachable(error, reason, latency_us, answer.status, answer.seen())


@final
class _Within(Transport):
    def __init__(self, transport: AiohttpTransport, seconds: float) -> None:
        self._transport = transport
        self._seconds = seconds

    @override
    async def send(self, url: yarl.URL, headers: Headers, body: bytes) -> Outcome:
        return await self._transport.send_within(url, headers, body, self._seconds)


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
