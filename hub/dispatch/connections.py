"""The connections deliveries go over: none of them leads inside, and each knows how it came about.

An address is looked at twice: before a socket is made for it, and when the socket says who is at its other end.
"""

import asyncio
import errno
import socket
import ssl
from functools import partial
from typing import final

import aiohttp
from aiohttp.abc import AbstractResolver
from aiohttp.client_exceptions import ClientConnectorError
from aiohttp.client_proto import ResponseHandler
from aiohttp.tracing import Trace
from typing_extensions import override

from hub.clock import Clock
from hub.dispatch.addresses import Networks, denied_text
from hub.dispatch.line import Familiar, Line
from hub.dispatch.opening import Making, Opening, making

_AddrInfo = tuple[int | socket.AddressFamily, int | socket.SocketKind, int, str, tuple[object, ...]]


class AddressDenied(OSError):
    """The name led to an address nothing is delivered to. One text for all, so that several collapse into one."""

    def __init__(self, address: str, why: str) -> None:
        super().__init__(errno.EACCES, "the address is not public")
        self.address = address
        self.why = why


@final
class Connections(aiohttp.TCPConnector):
    def __init__(
        self,
        clock: Clock,
        *,
        ssl_context: ssl.SSLContext,
        resolver: AbstractResolver,
        connect_seconds: float,
        allow_loopback: bool = False,
        networks: Networks = (),
    ) -> None:
        super().__init__(
            limit=0,  # each endpoint bounds its own
            ssl=ssl_context,
            resolver=resolver,
            socket_factory=self._open_socket,
            ttl_dns_cache=30,
        )
        self._lines: set[Line] = set()
        make = partial(Line, clock, self._lines, Familiar())
        self._factory = make  # type: ignore[assignment]  # all it does with one is to hand it back
        self._within = aiohttp.ClientTimeout(total=None, sock_connect=connect_seconds)
        self._clock = clock
        self._allow_loopback = allow_loopback
        self._networks = networks
        ssl_context.sslobject_class = _noted(clock)

    async def open(self, target: aiohttp.ClientRequest) -> Line:
        """Return a new connection to an address that may be asked; whoever has it closes it."""
        line = await self._create_connection(target, [], self._within)
        assert isinstance(line, Line), "it makes nothing else"
        if self.closed:
            line.hang_up()
            raise aiohttp.ClientConnectionError("there are no connections any more")
        return line

    @override
    async def close(self, *, abort_ssl: bool = True) -> None:
        await super().close(abort_ssl=abort_ssl)
        closing = [line.gone for line in self._lines]
        for line in list(self._lines):
            line.abort()
        if closing:
            await asyncio.wait(closing)

    @override
    async def _create_connection(
        self, req: aiohttp.ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout
    ) -> ResponseHandler:
        opening = Opening(self._clock.monotonic())
        asking = making.get(None)
        if asking is None:
            making.set(asking := Making())
        asking.opening = opening
        protocol = await super()._create_connection(req, traces, timeout)
        opening.ended = self._clock.monotonic()
        transport = protocol.transport
        assert isinstance(protocol, Line), "the factory makes nothing else"
        if transport is None:
            raise aiohttp.ServerDisconnectedError  # closed as soon as it was open
        protocol.address = str((transport.get_extra_info("peername") or ("",))[0])
        why = self._why_not(protocol.address)
        if why:
            transport.abort()
            raise ClientConnectorError(req.connection_key, AddressDenied(protocol.address, why))
        secured = transport.get_extra_info("ssl_object")
        protocol.tls = "" if secured is None else secured.version() or ""
        return protocol

    def _open_socket(self, info: _AddrInfo) -> socket.socket:
        family, kind, proto, _, address = info
        asking = making.get(None)
        opening = None if asking is None else asking.opening
        if opening is not None and opening.resolved is None:
            opening.resolved = self._clock.monotonic()
        why = self._why_not(str(address[0]))
        if why:
            raise AddressDenied(str(address[0]), why)
        if (
            opening is not None
        ):  # never an inner address: whoever reads records could map a network with names
            opening.tried = str(address[0])
        return socket.socket(family, kind, proto)

    def _why_not(self, address: str) -> str | None:
        return denied_text(address, allow_loopback=self._allow_loopback, networks=self._networks)


def _noted(clock: Clock) -> type[ssl.SSLObject]:
    """Return the class of TLS sessions that note when their handshake begins, for whoever waits for the connection."""

    class Noted(ssl.SSLObject):
        @override
        def do_handshake(self) -> None:
            asking = making.get(None)
            if asking is not None and asking.opening is not None and asking.opening.handshake is None:
                asking.opening.handshake = clock.monotonic()
            super().do_handshake()

    return Noted
