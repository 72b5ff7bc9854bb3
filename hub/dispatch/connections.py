"""The connections deliveries go over: none of them leads inside, and each knows how it came about.

An address is looked at twice: before a socket is made for it, and when the socket says who is at its other end.
"""

import errno
import socket
import ssl
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from typing import Any, final

import aiohttp
from aiohttp.abc import AbstractResolver
from aiohttp.client_exceptions import ClientConnectorError
from aiohttp.client_proto import ResponseHandler
from aiohttp.tracing import Trace
from typing_extensions import override

from hub.clock import Clock
from hub.dispatch.addresses import Networks, denied_text
from hub.dispatch.bounded_protocol import Bounded

_AddrInfo = tuple[int | socket.AddressFamily, int | socket.SocketKind, int, str, tuple[object, ...]]


class AddressDenied(OSError):
    """The name led to an address nothing is delivered to. One text for all, so that several collapse into one."""

    def __init__(self, address: str, why: str) -> None:
        super().__init__(errno.EACCES, "the address is not public")
        self.address = address
        self.why = why


@dataclass(slots=True)
class Opening:
    """When each step of a connection's making was reached, on the monotonic clock; None for one that never was."""

    began: float
    resolved: float | None = None
    handshake: float | None = None
    ended: float | None = None
    tried: str = ""  # the address a socket was last made for

    def shaking_hands(self) -> bool:
        """Say whether it came as far as the TLS handshake, and not past it."""
        return self.handshake is not None and self.ended is None

    def dns_us(self) -> int | None:
        return _between(self.began, self.resolved)

    def connect_us(self) -> int | None:
        return _between(self.resolved, self.handshake or self.ended)

    def tls_us(self) -> int | None:
        return _between(self.handshake, self.ended)


def _between(began: float | None, ended: float | None) -> int | None:
    return None if began is None or ended is None else max(int((ended - began) * 1e6), 0)


@dataclass(slots=True)
class Making:
    """What a request in want of a connection hears of its making; stays None when a kept one is taken."""

    opening: Opening | None = None


# One variable for a request and for whatever is started on its behalf: lookups and rival connects run in tasks of their own.
making: ContextVar[Making] = ContextVar("making")


@final
class Known(Bounded):
    """A connection with its peer's address and TLS version, which notes when the first byte of an answer arrives."""

    address: str = ""
    tls: str = ""

    def __init__(self, clock: Clock, **options: Any) -> None:
        super().__init__(**options)
        self._monotonic = clock.monotonic
        self.first_byte = 0.0
        self._left = 0  # nothing is listened to before somebody asks

    @override
    def expect(self) -> None:
        self.first_byte = 0.0
        super().expect()

    @override
    def data_received(self, data: bytes) -> None:
        if not self.first_byte:
            self.first_byte = self._monotonic()
        super().data_received(data)


@final
class Connections(aiohttp.TCPConnector):
    def __init__(
        self,
        clock: Clock,
        *,
        ssl_context: ssl.SSLContext,
        resolver: AbstractResolver,
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
        make = partial(Known, clock, loop=self._loop)
        self._factory = make  # type: ignore[assignment]  # partial is invariant, a Known is a ResponseHandler
        self._clock = clock
        self._allow_loopback = allow_loopback
        self._networks = networks
        ssl_context.sslobject_class = _noted(clock)

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
        assert transport is not None
        assert isinstance(protocol, Known)
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
