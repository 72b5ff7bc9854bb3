"""Two thousand clients beside ingest: half follow their accounts' events, half read their accounts' pages, all by tokens."""

import asyncio
import re
import time
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import aiohttp
import orjson
from bench import events, hubs
from bench.figures import Figure, Skipped
from bench.measure import cpu_seconds, load_apart, measured_here, memory, percentile
from bench.poster import Connection, Poster
from processes.client import HubClient
from processes.harness import HubProcess

CLIENTS = 1_000  # of each kind
PAGES = 2_000.0  # a second, asked on time whatever the answers do
INGEST = 200.0  # events a second, one a request
_DEAL = re.compile(rb'"deal":([0-9]+),')
_HEAD = "{method} {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n\r\n"


class StreamReader(asyncio.Protocol):
    """Notes when each deal arrived, in monotonic ns."""

    def __init__(self, request: bytes, arrived: dict[int, int]) -> None:
        self._request = request
        self._arrived = arrived
        self._rest = b""
        self.begun = asyncio.get_running_loop().create_future()
        self.transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.WriteTransport", transport)
        self.transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        if not self.begun.done():
            assert data.startswith(b"HTTP/1.1 200"), data[:300]
            self.begun.set_result(None)
        *whole, self._rest = (self._rest + data).split(b"\n\n")
        now = time.monotonic_ns()
        for frame in whole:
            for deal in _DEAL.findall(frame):
                assert int(deal) not in self._arrived, "told twice"
                self._arrived[int(deal)] = now


async def measure(folder: Path, *, quick: bool) -> list[Figure | Skipped]:
    seconds = 8 if quick else 20
    hub = hubs.hub(folder / "feeds")
    await hub.start()
    measured_here(hub.program.pid)
    try:
        with load_apart():
            return await _measure(hub, seconds)
    finally:
        await hub.kill()


async def _measure(hub: HubProcess, seconds: int) -> list[Figure | Skipped]:
    trades = events.Trades()
    logins = [event["account"]["login"] for event in trades.take(2 * CLIENTS)]
    tokens = await _tokens(hub, logins)
    arrived: dict[int, int] = {}
    streams = [await _stream(hub.url, tokens[login], arrived) for login in logins[:CLIENTS]]
    parts = urlsplit(hub.url)
    pages = [
        _request("GET", f"/v1/accounts/{events.SERVER}/{login}", parts.netloc, tokens[login])
        for login in logins[CLIENTS:]
    ]
    told = trades.take(int(INGEST * seconds))
    for number, event in enumerate(told):
        event["account"]["login"] = logins[number % CLIENTS]  # each has a stream
    async with HubClient(hub), Poster(hub.url, 1_024) as poster, Poster(hub.url, CLIENTS) as readers:
        warm = trades.take(2 * CLIENTS)
        for event, login in zip(warm, logins, strict=True):
            event["account"]["login"] = login
        await poster.post_all(events.requests(hub.url, warm, 100, hub.headers))
        await asyncio.sleep(1)
        arrived.clear()
        cpu, began = cpu_seconds(hub.program.pid), time.perf_counter()
        async with asyncio.TaskGroup() as group:
            reading = group.create_task(_read_on_time(readers._connections, pages, seconds))
            due = await poster.post_on_time(events.requests(hub.url, told, 1, hub.headers), INGEST)
        used, wall = cpu_seconds(hub.program.pid) - cpu, time.perf_counter() - began
        took = reading.result()
        await asyncio.sleep(0.5)
        most = await _capacity(readers._connections[:64], pages, 4.0)
    deals = [event["data"]["deal"] for event in told]
    assert arrived.keys() >= set(deals), f"{len(set(deals) - arrived.keys())} events did not arrive"
    delays = [(arrived[deal] - moment) / 1e6 for deal, moment in zip(deals, due, strict=True)]
    for stream in streams:
        assert stream.transport is not None
        stream.transport.close()
    rate = len(took) / wall
    return [
        Figure(
            f"{2 * CLIENTS:,} clients, pages of accounts beside {INGEST:g} events/s",
            rate,
            "requests/s",
            PAGES * 0.98,
            better="higher",
            beside={
                "p50 ms": percentile(took, 0.5),
                "p95 ms": percentile(took, 0.95),
                "p99 ms": percentile(took, 0.99),
                "CPU of the hub %": 100 * used / wall,
                "most it can/s": most,
                "MiB": memory(hub.program.pid).peak,
            },
        ),
        Figure(
            f"event due to {CLIENTS:,} streams, p95",
            percentile(delays, 0.95),
            "ms",
            50.0,
            beside={
                "p50": percentile(delays, 0.5),
                "p99": percentile(delays, 0.99),
                "events": float(len(delays)),
            },
        ),
    ]


async def _tokens(hub: HubProcess, logins: list[int]) -> dict[int, str]:
    """Link each account to a client of its own and return a token for each."""
    rows = [{"id": f"c-{login}", "accounts": [f"{events.SERVER}:{login}"]} for login in logins]
    found: dict[int, str] = {}
    async with aiohttp.ClientSession(hub.url, headers=hub.headers) as session:
        body = b"\n".join(map(orjson.dumps, rows))
        headers = {"Content-Type": "application/x-ndjson"}
        async with session.post("/v1/clients/bulk", data=body, headers=headers) as answer:
            assert answer.status == 200, await answer.text()
            await answer.read()
        waiting = iter(logins)

        async def issue() -> None:
            for login in waiting:
                wanted: dict[str, Any] = {"client": f"c-{login}", "expires_in": "1h"}
                async with session.post("/v1/tokens", json=wanted) as answer:
                    found[login] = (await answer.json())["token"]

        async with asyncio.TaskGroup() as group:
            for _ in range(32):
                group.create_task(issue())
    return found


async def _stream(url: str, token: str, arrived: dict[int, int]) -> StreamReader:
    parts = urlsplit(url)
    request = _request("GET", "/v1/events/stream", parts.netloc, token)
    loop = asyncio.get_running_loop()
    _, reader = await loop.create_connection(
        lambda: StreamReader(request, arrived), parts.hostname, parts.port
    )
    await reader.begun
    return reader


def _request(method: str, path: str, host: str, token: str) -> bytes:
    return _HEAD.format(method=method, path=path, host=host, token=token).encode()


async def _read_on_time(connections: list[Connection], pages: list[bytes], seconds: int) -> list[float]:
    """Have each client read his page every so often; return how long each took after it was due, in ms."""
    pause = len(connections) / PAGES
    start = time.monotonic() + 0.1
    took: list[float] = []

    async def read(number: int, connection: Connection, page: bytes) -> None:
        due = start + pause * number / len(connections)
        while due < start + seconds:
            await asyncio.sleep(max(due - time.monotonic(), 0))
            assert await connection.ask(page) == 200, connection.body[:300]
            took.append((time.monotonic() - due) * 1e3)
            due += pause

    async with asyncio.TaskGroup() as group:
        for number, (connection, page) in enumerate(zip(connections, pages, strict=True)):
            group.create_task(read(number, connection, page))
    return took


async def _capacity(connections: list[Connection], pages: list[bytes], seconds: float) -> float:
    """Return how many pages a second it serves to clients who ask again at once."""
    until = time.monotonic() + seconds
    count = 0

    async def read(connection: Connection, page: bytes) -> None:
        nonlocal count
        while time.monotonic() < until:
            assert await connection.ask(page) == 200
            count += 1

    async with asyncio.TaskGroup() as group:
        for connection, page in zip(connections, pages, strict=False):
            group.create_task(read(connection, page))
    return count / seconds
