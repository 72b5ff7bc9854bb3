"""A receiver that costs next to nothing: answers 204 on kept connections, counts, and tells what it counted.

``GET /count`` · ``GET /stamps`` (deal number → monotonic ns of the receipt) · ``GET /last`` (one whole request, to check
its signature and to send the same from elsewhere) · ``POST /reset``. Everything else is a webhook.
"""

import asyncio
import base64
import json
import time
from typing import cast

import uvloop

ACCEPTED = b"HTTP/1.1 204 No Content\r\n\r\n"
DEAL = b'"deal":'


class Seen:
    def __init__(self) -> None:
        self.count = 0
        self.stamps: dict[int, int] = {}
        self.last = (b"", b"")


class Receiving(asyncio.Protocol):
    def __init__(self, seen: Seen) -> None:
        self._seen = seen
        self._buffer = b""
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)  # uvloop's is one in all but name

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer + data if self._buffer else data
        while buffer:
            head_end = buffer.find(b"\r\n\r\n")
            if head_end < 0:
                break
            head = buffer[:head_end].lower()
            at = head.find(b"content-length:")
            length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            end = head_end + 4 + length
            if len(buffer) < end:
                break
            self._answer(buffer[:head_end], buffer[head_end + 4 : end])
            buffer = buffer[end:]
        self._buffer = buffer

    def _answer(self, head: bytes, body: bytes) -> None:
        assert self._transport is not None
        if head.startswith(b"POST /webhooks "):
            seen = self._seen
            seen.count += 1
            at = body.find(DEAL)
            if at >= 0:
                text = body[at + len(DEAL) : at + 32]
                seen.stamps.setdefault(int(text[: text.find(b",")]), time.monotonic_ns())
            seen.last = (head, body)
            self._transport.write(ACCEPTED)
        else:
            told = self._told(head.split(b" ", 2)[1])
            self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(told), told))

    def _told(self, path: bytes) -> bytes:
        seen = self._seen
        if path == b"/stamps":
            return json.dumps(seen.stamps).encode()
        if path == b"/last":
            head, body = (base64.b64encode(part).decode() for part in seen.last)
            return json.dumps({"head": head, "body": body}).encode()
        if path == b"/reset":
            seen.count = 0
            seen.stamps.clear()
        return json.dumps({"count": seen.count}).encode()


async def main() -> None:
    seen = Seen()
    server = await asyncio.get_running_loop().create_server(lambda: Receiving(seen), "127.0.0.1", 0)
    print(f"sink is ready at http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.install()
    asyncio.run(main())
