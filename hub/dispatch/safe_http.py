"""The HTTP client deliveries go through: one session per process, no way inside, nothing a receiver does costs much.

A public name may lead inside a moment later, so addresses are checked where a socket is made, not where a name is
looked up. Everything on the way is bounded: one deadline over connecting, sending and the whole answer; 64 KiB of
body, of which 1 KiB is kept; nothing is decompressed, redirected, cached, or taken from the environment.
"""

import errno
import socket
import ssl
from datetime import timedelta
from typing import Protocol, Self, final

import aiohttp
import yarl
from aiohttp.client_exceptions import ClientConnectorSSLError
from multidict import CIMultiDict, istr
from typing_extensions import override

from hub.clock import Clock
from hub.dispatch.addresses import denied_text
from hub.dispatch.delivery import Delivered, ErrorClass, Outcome, Unreachable, answered
from hub.dispatch.request import WebhookRequest
from hub.dispatch.resolver import PooledResolver
from hub.dispatch.schedule import parse_retry_after

DEADLINE = timedelta(seconds=15)
CONNECT_SECONDS = 5.0
READ_AT_MOST = 64 * 1024
KEEP = 1024
AT_ONCE_US = 1_000_000
USER_AGENT = "hub-webhooks/1"

Headers = CIMultiDict[str]

_RETRY_AFTER = istr("Retry-After")
_AddrInfo = tuple[int | socket.AddressFamily, int | socket.SocketKind, int, str, tuple[object, ...]]


class AddressDenied(OSError):
    """The name led to an address nothing is delivered to. One text for all, so that several collapse into one."""

    def __init__(self, address: str, why: str) -> None:
        super().__init__(errno.EACCES, "the address is not public")
        self.address = address
        self.why = why


class Transport(Protocol):
    async def send(self, url: yarl.URL, headers: Headers, body: bytes) -> Outcome:
        """POST once and return what came of it; trouble with the receiver is an outcome, never an exception."""


def base_headers() -> Headers:
    """Return what every delivery says beside its id, timestamp and signature.

    All four are given, so that the client adds none of its own.
    """
    return CIMultiDict(
        {
            istr("Content-Type"): "application/json",
            istr("User-Agent"): USER_AGENT,
            istr("Accept"): "*/*",
            istr("Accept-Encoding"): "identity",
        }
    )


@final
class AiohttpTransport(Transport):
    """Use as an async context manager; one for the whole process."""

    def __init__(
        self,
        clock: Clock,
        *,
        deadline: timedelta = DEADLINE,
        allow_loopback: bool = False,
        ssl_context: ssl.SSLContext | None = None,
        resolver: aiohttp.abc.AbstractResolver | None = None,
    ) -> None:
        self._clock = clock
        self._deadline = deadline.total_seconds()
        self._allow_loopback = allow_loopback
        self._ssl = ssl_context
        self._resolver = resolver
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        context = self._ssl
        if context is None:
            context = ssl.create_default_context()
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            context.set_alpn_protocols(["http/1.1"])
        if self._resolver is None:
            self._resolver = PooledResolver()
        connector = aiohttp.TCPConnector(
            limit=0,  # each endpoint bounds its own
            ssl=context,
            resolver=self._resolver,
            socket_factory=self._open_socket,
            ttl_dns_cache=30,
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            request_class=WebhookRequest,
            cookie_jar=aiohttp.DummyCookieJar(),
            # `total` goes on counting while the body is read: no receiver holds a slot longer.
            timeout=aiohttp.ClientTimeout(total=self._deadline, sock_connect=CONNECT_SECONDS),
            auto_decompress=False,
            trust_env=False,
            read_bufsize=READ_AT_MOST // 4,
        )
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._session is not None:
            await self._session.close()
        if self._resolver is not None:
            await self._resolver.close()

    @override
    async def send(self, url: yarl.URL, headers: Headers, body: bytes) -> Outcome:
        session = self._session
        assert session is not None, "enter the transport before sending"
        clock = self._clock
        started = clock.monotonic()
        status = None
        last_try = False
        while True:
            try:
                response = await session.post(url, data=body, headers=headers, allow_redirects=False)
                status = response.status
                try:
                    kept = await response.content.readany()
                    if not response.content.at_eof():
                        kept = await _rest(response, kept)
                except BaseException:
                    response.close()  # what is left of the answer must not reach the next one
                    raise
                latency_us = int((clock.monotonic() - started) * 1e6)
                if 200 <= status < 300:
                    return Delivered(status, latency_us, kept[:KEEP])
                wait = parse_retry_after(response.headers.get(_RETRY_AFTER), clock.now_us())
                return answered(status, latency_us, kept[:KEEP], wait)
            except aiohttp.ServerDisconnectedError:
                latency_us = int((clock.monotonic() - started) * 1e6)
                if last_try or latency_us > AT_ONCE_US:
                    return Unreachable(
                        ErrorClass.CONNECT, "the connection was closed without an answer", latency_us
                    )
                # Most likely a kept connection that was closed just as we wrote: the same id, at once, on a new one.
                last_try = True
            except (aiohttp.ClientError, OSError, ValueError) as problem:  # TimeoutError is an OSError
                latency_us = int((clock.monotonic() - started) * 1e6)
                error, reason = classify(problem)
                return Unreachable(error, reason, latency_us, status)

    def _open_socket(self, info: _AddrInfo) -> socket.socket:
        family, kind, proto, _, address = info
        why = denied_text(str(address[0]), allow_loopback=self._allow_loopback)
        if why:
            raise AddressDenied(str(address[0]), why)
        return socket.socket(family, kind, proto)


async def _rest(response: aiohttp.ClientResponse, begun: bytes) -> bytes:
    """Read on to the end or to the limit, keeping only the first KiB; beyond the limit the connection is closed."""
    content = response.content
    kept = begun
    size = len(begun)
    while size <= READ_AT_MOST:
        chunk = await content.readany()
        size += len(chunk)
        if len(kept) < KEEP:
            kept += chunk
        if content.at_eof():
            return kept
    response.close()
    return kept


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
        case aiohttp.ClientResponseError():
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
