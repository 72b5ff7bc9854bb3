"""The way out of a request: a session of its own for each, which goes to open addresses only, keeps nothing, and bounds what it reads."""

import socket
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import cache, partial
from typing import final

import aiohttp
import yarl
from aiohttp.abc import AbstractResolver

from hub.dispatch.addresses import Networks, denied_text
from hub.dispatch.bounded_protocol import LONGEST_LINE, MOST_HEADERS, Bounded
from hub.dispatch.connections import AddressDenied
from hub.dispatch.resolver import PooledResolver
from hub.dispatch.safe_http import CONNECT_SECONDS

_AddrInfo = tuple[int | socket.AddressFamily, int | socket.SocketKind, int, str, tuple[object, ...]]


@cache
def _usual_tls() -> ssl.SSLContext:
    """Return what every way out shares: reading the machine's certificates holds the loop up for tens of milliseconds."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


@final
class WayOut:
    """An address is looked at where a socket is made for it: a name may lead elsewhere by then."""

    def __init__(
        self,
        *,
        allow_loopback: bool = False,
        networks: Networks = (),
        ssl_context: ssl.SSLContext | None = None,
        resolver: AbstractResolver | None = None,
    ) -> None:
        self._allow_loopback = allow_loopback
        self._networks = networks
        self._ssl = ssl_context
        self._resolver = resolver

    @asynccontextmanager
    async def open(
        self, method: str, url: yarl.URL, headers: Mapping[str, str], body: bytes | None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send the request and yield the answer, of which the body is still to be read; the caller bounds the time."""
        if self._resolver is None:
            self._resolver = PooledResolver()
        if self._ssl is None:
            self._ssl = _usual_tls()
        connector = aiohttp.TCPConnector(
            ssl=self._ssl, resolver=self._resolver, socket_factory=self._socket, force_close=True
        )
        # A connection for one answer: what it counts from the start is all of it.
        make = partial(Bounded, loop=connector._loop)  # noqa: SLF001 - it offers no other way
        connector._factory = make  # type: ignore[assignment]  # noqa: SLF001 - partial is invariant, and as above
        async with (
            aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS),
                trust_env=False,
                auto_decompress=False,
                max_line_size=LONGEST_LINE,
                max_field_size=LONGEST_LINE,
                max_headers=MOST_HEADERS,
            ) as session,
            session.request(method, url, headers=headers, data=body, allow_redirects=False) as response,
        ):
            yield response

    def _socket(self, info: _AddrInfo) -> socket.socket:
        family, kind, proto, _, address = info
        why = denied_text(str(address[0]), allow_loopback=self._allow_loopback, networks=self._networks)
        if why:
            raise AddressDenied(str(address[0]), why)
        return socket.socket(family, kind, proto)
