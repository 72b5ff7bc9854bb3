"""Posts prepared requests over raw kept connections, so that the load costs the machine as little as it can."""

import asyncio
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import Self, cast
from urllib.parse import urlsplit

_BUSY = frozenset({429, 503})
_BUSY_PAUSE = 0.02


def prepare(url: str, body: bytes, headers: Mapping[str, str]) -> bytes:
    """Return a whole POST request."""
    parts = urlsplit(url)
    lines = [f"POST {parts.path} HTTP/1.1", f"Host: {parts.netloc}", "Content-Type: application/json"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    lines.append(f"Content-Length: {len(body)}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


class Connection(asyncio.Protocol):
    """One request at a time; `ask` returns the status."""

    def __init__(self) -> None:
        self._buffer = b""
        self._transport: asyncio.WriteTransport | None = None
        self._answer: asyncio.Future[int] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)  # uvloop's is one in all but name

    def connection_lost(self, error: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error or ConnectionError("closed without an answer"))

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head_end = self._buffer.find(b"\r\n\r\n")
        if head_end < 0:
            return
        head = self._buffer[:head_end].lower()
        at = head.find(b"content-length:")
        length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        if len(self._buffer) < head_end + 4 + length:
            return
        self.body = self._buffer[head_end + 4 :]
        self._buffer = b""
        assert self._answer is not None
        self._answer.set_result(int(head[9:12]))

    def ask(self, request: bytes) -> "asyncio.Future[int]":
        assert self._transport is not None
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return self._answer

    def close(self) -> None:
        assert self._transport is not None
        self._transport.close()


class Poster:
    """`pushed_back` counts answers that asked to come again later."""

    def __init__(self, url: str, connections: int) -> None:
        parts = urlsplit(url)
        self._address = (parts.hostname, parts.port)
        self._wanted = connections
        self._connections: list[Connection] = []
        self.pushed_back = 0

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        for _ in range(self._wanted):
            _, connection = await loop.create_connection(Connection, *self._address)
            self._connections.append(connection)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for connection in self._connections:
            connection.close()

    async def post_all(self, requests: Sequence[bytes]) -> float:
        """Post everything, each connection its next when its last is answered; return the seconds it took."""
        waiting = iter(requests)
        began = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for connection in self._connections:
                group.create_task(self._work(connection, waiting))
        return time.perf_counter() - began

    async def post_on_time(self, requests: Sequence[bytes], rate: float) -> list[int]:
        """Post at a fixed rate whatever the answers do; return when each was due, in monotonic ns."""
        free = deque(self._connections)
        step = int(1e9 / rate)
        start = time.monotonic_ns() + 100_000_000
        due = [start + step * index for index in range(len(requests))]

        async def one(request: bytes) -> None:
            assert free, "every connection is waiting for an answer: open more"
            connection = free.popleft()  # in turn: the hub closes one that never asks anything
            await self._until_taken(connection, request)
            free.append(connection)

        async with asyncio.TaskGroup() as group:
            for moment, request in zip(due, requests, strict=True):
                wait = (moment - time.monotonic_ns()) / 1e9
                if wait > 0:
                    await asyncio.sleep(wait)
                group.create_task(one(request))
        return due

    async def _work(self, connection: Connection, waiting: Iterator[bytes]) -> None:
        for request in waiting:
            await self._until_taken(connection, request)

    async def _until_taken(self, connection: Connection, request: bytes) -> None:
        while (status := await connection.ask(request)) != 202:
            assert status in _BUSY, f"answered {status}: {connection.body[:500]!r}"
            self.pushed_back += 1
            await asyncio.sleep(_BUSY_PAUSE)
