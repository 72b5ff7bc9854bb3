"""Many receivers in one process: each ``POST /to/NAME`` is a webhook of its own, answered 204; ``POST /hang`` is never answered.

``GET /arrivals`` tells when each deal reached each name, in monotonic ns; ``GET /count`` and ``POST /reset`` are the sink's.
"""

import asyncio
import json
import time

import uvloop
from sink import ACCEPTED, DEAL, Receiving, Seen

_TO = b"POST /to/"
_HANG = b"POST /hang "


class CrowdSeen(Seen):
    def __init__(self) -> None:
        super().__init__()
        self.arrivals: dict[str, dict[int, int]] = {}
        self.hanging = 0


class CrowdReceiving(Receiving):
    def _answer(self, head: bytes, body: bytes) -> None:
        assert self._transport is not None
        seen = self._seen
        assert isinstance(seen, CrowdSeen)
        if head.startswith(_TO):
            name = head[len(_TO) : head.find(b" ", len(_TO))].decode()
            at = body.find(DEAL) + len(DEAL)
            deal = int(body[at : body.find(b",", at)])
            seen.arrivals.setdefault(name, {}).setdefault(deal, time.monotonic_ns())
            seen.count += 1
            self._transport.write(ACCEPTED)
        elif head.startswith(_HANG):
            seen.hanging += 1
        else:
            super()._answer(head, body)

    def _told(self, path: bytes) -> bytes:
        seen = self._seen
        assert isinstance(seen, CrowdSeen)
        if path == b"/arrivals":
            return json.dumps(seen.arrivals).encode()
        if path == b"/reset":
            seen.arrivals.clear()
            seen.hanging = 0
        return json.dumps({**json.loads(super()._told(path)), "hanging": seen.hanging}).encode()


async def main() -> None:
    seen = CrowdSeen()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: CrowdReceiving(seen), "127.0.0.1", 0, backlog=1_024)
    print(f"crowd is ready at http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.install()
    asyncio.run(main())
