"""One webhook's request and answer over HTTP/1.1, on a connection of aiohttp's pool.

aiohttp opens, keeps and closes the connections and parses whatever a receiver sends. Its session stays out of it:
cookies, redirects, proxies, hooks and default headers, none of which a webhook wants, cost more than the exchange.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import final

import aiohttp
import yarl
from aiohttp.client_reqrep import ConnectionKey
from aiohttp.streams import StreamReader
from typing_extensions import override

from hub.clock import Clock
from hub.dispatch.attempt_record import RawHeaders, Seen, kept_headers
from hub.dispatch.bounded_protocol import LONGEST_LINE, MOST_HEADERS, MOST_INFORMATIONAL, Chatter
from hub.dispatch.connections import Known, Making, making

READ_AT_MOST = 64 * 1024
KEEP = 1024

_TARGETS = 4_096
_INFORMATIONAL = range(100, 200)
_SWITCHING_PROTOCOLS = 101


class OutOfTurn(aiohttp.ServerDisconnectedError):
    """The receiver sent something before it was asked: that is no answer, and what follows it may be none either."""


@dataclass(slots=True)
class Answer(Making):
    """What a receiver said, filled in as it arrives: of an answer that breaks off the status is known all the same."""

    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    kept: bytes = b""  # the first KiB of the body
    raw: RawHeaders = ()
    connection: Known | None = None
    sent: float = 0.0

    def seen(self) -> Seen:
        """Return what there is to record of it; before anybody else takes the connection."""
        connection, opening = self.connection, self.opening
        headers, left_out = kept_headers(self.raw) if self.raw else ((), 0)
        first = 0.0 if connection is None else connection.first_byte
        first_us = int((first - self.sent) * 1e6) if first and self.sent else None
        if opening is None:
            if connection is None:
                return Seen()
            return Seen(
                connection.address, connection.tls, None, None, None, first_us, headers, left_out, True
            )
        address, tls = (opening.tried, "") if connection is None else (connection.address, connection.tls)
        steps = opening.dns_us(), opening.connect_us(), opening.tls_us()
        return Seen(address, tls, *steps, first_us, headers, left_out)


@final
class _Target(aiohttp.ClientRequest):
    """What the pool has to know of a URL, and how a request to it begins."""

    def __init__(self, url: yarl.URL) -> None:
        if url.scheme not in {"http", "https"}:
            raise aiohttp.NonHttpUrlClientError(url)
        super().__init__("POST", url, loop=asyncio.get_running_loop())
        self.begins = f"POST {self.url.raw_path_qs} HTTP/1.1\r\nHost: {self.url.host_port_subcomponent}\r\n"
        self._key = super().connection_key

    @property
    @override
    def connection_key(self) -> ConnectionKey:
        return self._key

    def head(self, headers: Mapping[str, str], length: int) -> bytes:
        """Return the request's head; raises ValueError for a header that would end its own line."""
        fields = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
        if fields.count("\n") != len(headers) or fields.count("\r") != len(headers) or "\0" in fields:
            raise ValueError("a header must not contain a line break")
        return f"{self.begins}{fields}Content-Length: {length}\r\n\r\n".encode()


@final
class Exchange:
    """Owns the connector it is given; the caller bounds the time."""

    def __init__(self, connector: aiohttp.TCPConnector, clock: Clock, *, connect_seconds: float) -> None:
        self._connector = connector
        self._monotonic = clock.monotonic
        self._timeout = aiohttp.ClientTimeout(total=None, sock_connect=connect_seconds)
        self._targets: dict[yarl.URL, _Target] = {}

    async def close(self) -> None:
        await self._connector.close()

    async def post(self, url: yarl.URL, headers: Mapping[str, str], body: bytes, answer: Answer) -> None:
        """POST once and fill in the answer; raises what aiohttp raises."""
        target = self._targets.get(url) or self._target(url)
        request = target.head(headers, len(body)) + body
        making.set(answer)
        connection = await self._connector.connect(target, [], self._timeout)
        protocol, transport = connection.protocol, connection.transport
        try:
            assert isinstance(protocol, Known), "the connector makes nothing else"
            answer.connection = protocol
            # Everybody who is ready gets ready to write first: writes that follow one another cost half as much, because
            # the first wakes the receiver and the others find it awake.
            await asyncio.sleep(0)  # noqa: TID251 - no wait: a turn for the others
            if transport is None or not protocol.is_connected():
                raise aiohttp.ServerDisconnectedError  # closed meanwhile: nothing was written
            if protocol.should_close:
                raise OutOfTurn
            protocol.set_response_params(
                read_until_eof=True,
                auto_decompress=False,
                read_bufsize=READ_AT_MOST // 4,
                max_line_size=LONGEST_LINE,
                max_field_size=LONGEST_LINE,
                max_headers=MOST_HEADERS,
            )
            protocol.expect()
            transport.write(request)
            answer.sent = self._monotonic()
            message, payload = await protocol.read()
            informational = 0
            while message.code in _INFORMATIONAL and message.code != _SWITCHING_PROTOCOLS:
                informational += 1
                if informational > MOST_INFORMATIONAL:
                    raise Chatter(message="more announcements than answers need")
                message, payload = await protocol.read()
            answer.status, answer.headers, answer.raw = message.code, message.headers, message.raw_headers
            if not payload.at_eof():
                answer.kept = await _body(payload)
        except BaseException:
            connection.close()  # what is left of the answer must not reach the next one
            raise
        # The pool closes a connection whose answer was not read to its end, or that said it would close.
        connection.release()

    def _target(self, url: yarl.URL) -> _Target:
        if len(self._targets) >= _TARGETS:
            self._targets.clear()
        target = self._targets[url] = _Target(url)
        return target


async def _body(content: StreamReader) -> bytes:
    """Read to the end or to the limit, keeping only the first KiB."""
    kept = b""
    size = 0
    while size <= READ_AT_MOST:
        chunk = await content.readany()
        size += len(chunk)
        if len(kept) < KEEP:
            kept += chunk
        if content.at_eof():
            break
    return kept[:KEEP]
