"""A service teams read messages in: takes what is posted to it, answers whatever it is told to, hangs, trickles and redirects."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web


class FakeChat:
    """`says` has what is answered next on a path; 200 where nothing is left. `taken` are all requests, in order."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, dict[str, Any]]] = []
        self.headers: list[dict[str, str]] = []
        self.says: dict[str, list[tuple[int, dict[str, str]]]] = {}
        self.host = ""
        self._over = asyncio.Event()

    async def post(self, request: web.Request) -> web.StreamResponse:
        path = request.path
        is_json = request.content_type == "application/json"
        body = await request.json() if is_json else dict(await request.post())
        self.taken.append((path, body))
        self.headers.append(dict(request.headers))
        match path.rpartition("/")[2]:
            case "hangs":
                await self._over.wait()
            case "breaks":
                assert request.transport is not None
                request.transport.abort()
            case "large":
                return web.Response(body=b"[" * 4_000_000)
            case "trickles":
                response = web.StreamResponse()
                await response.prepare(request)
                while not self._over.is_set():
                    await response.write(b"x")
                    await asyncio.sleep(0.05)
                return response
        said = self.says.get(path.strip("/"))
        status, headers = said.pop(0) if said else (200, {})
        return web.json_response({"ok": status == 200}, status=status, headers=headers)


@asynccontextmanager
async def a_chat() -> AsyncIterator[FakeChat]:
    chat = FakeChat()
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", chat.post)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    chat.host = f"127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield chat
    finally:
        chat._over.set()
        await runner.cleanup()
