"""Small clients of the simulated gateways, for the suites beside this file."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import aiohttp

from hub.clock import ManualClock
from hub.sim.serve import Options, Simulator

START = datetime(2026, 6, 23, 9, tzinfo=UTC)
NOON_AT_THE_SERVER = int(datetime(2026, 6, 23, 12, tzinfo=UTC).timestamp())
TAG = "H1:ABCDEFGHJKMNPQRS:volbonus"
PATIENCE = 5.0
CLOSED = {
    aiohttp.WSMsgType.CLOSE,
    aiohttp.WSMsgType.CLOSED,
    aiohttp.WSMsgType.CLOSING,
    aiohttp.WSMsgType.ERROR,
}


@asynccontextmanager
async def running(**options: Any) -> AsyncIterator[tuple[Simulator, ManualClock, aiohttp.ClientSession]]:
    clock = ManualClock(START)
    settings = Options(mt4_accounts=3, mt5_accounts=2, traffic=False, **options)
    async with Simulator(settings, clock) as sim, aiohttp.ClientSession() as http:
        yield sim, clock, http


class Bridge:
    """An MT Remote client: asks, and keeps the events that come in between."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.events: list[dict[str, Any]] = []
        self._asked = 0

    async def send(self, name: str, **data: Any) -> int:
        self._asked += 1
        await self.socket.send_json({"id": self._asked, "name": name, "data": data})
        return self._asked

    async def frame(self) -> dict[str, Any] | None:
        message = await self.socket.receive(PATIENCE)
        return None if message.type in CLOSED else json.loads(message.data, parse_float=Decimal)

    async def ask(self, name: str, **data: Any) -> dict[str, Any] | None:
        """Return the reply, or None if the connection went first."""
        number = await self.send(name, **data)
        while (frame := await self.frame()) is not None and frame.get("id") != number:
            self.events.append(frame)
        return frame

    async def result(self, name: str, **data: Any) -> Any:
        reply = await self.ask(name, **data)
        assert reply is not None
        assert reply["status"] == "OK", reply
        return reply.get("result")

    async def refusal(self, name: str, **data: Any) -> str:
        reply = await self.ask(name, **data)
        assert reply is not None
        assert reply.keys() == {"id", "status", "message"}
        assert reply["status"] == "ERROR"
        return reply["message"]


@asynccontextmanager
async def bridged(
    sim: Simulator, http: aiohttp.ClientSession, *, reconnect_delay: int = 0
) -> AsyncIterator[Bridge]:
    async with http.ws_connect(sim.mt_remote_url) as socket:
        bridge = Bridge(socket)
        await bridge.result(
            "connect",
            server="demo",
            login=sim.manager_login,
            password=sim.manager_password,
            reconnect_delay=reconnect_delay,
        )
        yield bridge


async def terminal(
    sim: Simulator, http: aiohttp.ClientSession, login: int = 5001, password: str | None = None
) -> str:
    password = sim.password(login) if password is None else password
    query = {"user": str(login), "password": password, "host": "demo", "port": "443"}
    async with http.get(f"{sim.mt5rest_url}/Connect", params=query) as response:
        return await response.text()


async def rest(sim: Simulator, http: aiohttp.ClientSession, call: str, **query: Any) -> Any:
    values = {name: str(value) for name, value in query.items()}
    async with http.get(f"{sim.mt5rest_url}/{call}", params=values) as response:
        text = await response.text()
    return text if response.content_type == "text/plain" else json.loads(text, parse_float=Decimal)


async def next_json(socket: aiohttp.ClientWebSocketResponse) -> dict[str, Any]:
    return json.loads((await socket.receive(PATIENCE)).data, parse_float=Decimal)


class Cut(Exception):
    """The connection went before the answer came."""


async def cut_is_final(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Keep aiohttp from sending a GET again by itself when its connection is cut."""
    try:
        return await handler(request)
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise Cut from error
