"""The network between a program and a server, with the faults a network has."""

import asyncio
import contextlib
import ctypes
import socket
import struct
import sys
from types import TracebackType
from typing import Self

_CHUNK = 64 * 1024
# A socket filter of Linux that keeps nothing of any packet: what comes is not even acknowledged.
_ATTACH_FILTER = 26
_KEEP_NOTHING = ctypes.create_string_buffer(struct.pack("HBBI", 6, 0, 0, 0))
_FILTER = struct.pack("HP", 1, ctypes.addressof(_KEEP_NOTHING))
_ANSWER_WITH_RESET = struct.pack("ii", 1, 0)  # SO_LINGER for 0 s: closing tells the peer by RST


class _Link:
    """One connection through the proxy; what is in its gate's way waits, as in a network that loses packets."""

    def __init__(self, near: asyncio.StreamWriter, far: asyncio.StreamWriter, *, opened: bool) -> None:
        self.ends = (near, far)
        self.gate = asyncio.Event()
        self.mute = False
        if opened:
            self.gate.set()

    def strand(self) -> None:
        self.mute = True
        self.gate.clear()
        if sys.platform == "linux":
            for end in self.ends:
                sock = end.get_extra_info("socket")
                with contextlib.suppress(OSError):  # it has ended already
                    sock.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, _FILTER)

    def reset(self) -> None:
        for end in self.ends:
            sock = end.get_extra_info("socket")
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ANSWER_WITH_RESET)
            end.transport.abort()


class FaultProxy:
    """Passes TCP on to 127.0.0.1:`target` for the length of an ``async with``.

    Of the faults, `cut` ends what is connected and refuses what comes; `silence` lets nothing through, and all of it
    once it is over; `strand` lets connections that exist live on in the eyes of both ends, which never hear of each
    other again, nor that anything they sent has arrived: who has the network watch over a connection finds out, on
    Linux. `reset` strikes once and is over. `heal` ends every fault; a stranded connection stays so.
    """

    def __init__(self, target: int, port: int = 0) -> None:
        self.port = port
        self.latency = 0.0  # seconds, each way
        self.connections = 0
        self._target = target
        self._links: set[_Link] = set()
        self._server: asyncio.Server | None = None
        self._silent = False

    async def __aenter__(self) -> Self:
        await self._listen()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.cut()
        async with asyncio.timeout(5):
            while self._links:
                await asyncio.sleep(0.01)

    async def cut(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        self.reset()

    def reset(self) -> None:
        for link in self._links:
            link.reset()

    def silence(self) -> None:
        self._silent = True
        for link in self._links:
            link.gate.clear()

    def strand(self) -> None:
        for link in self._links:
            link.strand()
        self.silence()

    async def heal(self) -> None:
        self.latency = 0.0
        self._silent = False
        for link in self._links:
            if not link.mute:
                link.gate.set()
        if self._server is None:
            await self._listen()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _connected(self, reader: asyncio.StreamReader, near: asyncio.StreamWriter) -> None:
        try:
            far_reader, far = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:  # the server is down: the client hears of it as it would without us
            near.transport.abort()
            return
        self.connections += 1
        link = _Link(near, far, opened=not self._silent)
        if self._server is None:  # cut while this one was being made
            link.reset()
            return
        self._links.add(link)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pass_on(link, reader, far))
                group.create_task(self._pass_on(link, far_reader, near))
        except* OSError:
            pass  # one end is gone, so the other one goes
        finally:
            link.reset()
            self._links.discard(link)

    async def _pass_on(self, link: _Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(_CHUNK):
            if self.latency:
                await asyncio.sleep(self.latency)
            await self._may_pass(link, writer)
            writer.write(data)
            await writer.drain()
        await self._may_pass(link, writer)
        if writer.can_write_eof():
            writer.write_eof()

    async def _may_pass(self, link: _Link, writer: asyncio.StreamWriter) -> None:
        while not link.gate.is_set():
            if writer.transport.is_closing():
                raise ConnectionResetError
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.05):
                    await link.gate.wait()
