"""Server-sent events on their way out: bounded, with a heartbeat, and with a last word for whoever reads too slowly."""

import asyncio
from collections.abc import Iterable
from typing import Final, final

from aiohttp import web

from hub.clock import Clock, iso

HEARTBEAT_US: Final = 15_000_000
_WRITE_WITHIN_S: Final = 15.0
_LAST_WORD_WITHIN_S: Final = 5.0
_RETRY_MS: Final = 1_000
_HEADERS: Final = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",  # proxies that would wait for more
    "X-Content-Type-Options": "nosniff",
}


class Gone(Exception):
    """The reader went away, or does not read."""


@final
class EventSource:
    """One response; `send` returns once the reader keeps up again, and raises Gone where he does not."""

    def __init__(self, request: web.Request, clock: Clock) -> None:
        self._request = request
        self._clock = clock
        self.response = web.StreamResponse(headers=_HEADERS)
        self.is_slow = False

    async def begin(self) -> None:
        await self.response.prepare(self._request)
        await self.send(b"retry: %d\n\n" % _RETRY_MS)

    async def send(self, chunk: bytes) -> None:
        try:
            async with asyncio.timeout(_WRITE_WITHIN_S):
                await self.response.write(chunk)
        except TimeoutError:
            self.is_slow = True
            raise Gone from None
        except ConnectionError:
            raise Gone from None

    async def beat(self, place: str) -> None:
        """Show that the stream lives, and move the place to resume at."""
        resume = f"id: {place}\n" if place else ""
        await self.send(f": {iso(self._clock.now_us())}\n{resume}\n".encode())

    async def end(self, reason: str) -> None:
        """Say why it ends, if there is anybody to hear it, and end it."""
        await self.last(f": {reason}\n\n".encode() if reason else b"")

    async def last(self, chunk: bytes) -> None:
        """Send a last word and end."""
        try:
            async with asyncio.timeout(_LAST_WORD_WITHIN_S):
                if chunk:
                    await self.response.write(chunk)
                await self.response.write_eof()
        except (TimeoutError, ConnectionError):
            self.abort()  # what is not read by now is not waited for: it can be read again

    def abort(self) -> None:
        if self._request.transport is not None:
            self._request.transport.abort()


def frame(place: str, data: bytes) -> bytes:
    return b"id: %s\ndata: %s\n\n" % (place.encode(), data)


def without_place(data: bytes) -> bytes:
    return b"data: %s\n\n" % data


def problem_frame(kind: str, detail: str) -> bytes:
    """Return what is told inside of a stream that cannot go on: an event of its own name."""
    return f"event: hub.{kind}\ndata: {detail}\n\n".encode()


def joined(frames: Iterable[bytes]) -> bytes:
    return b"".join(frames)
