"""Two thousand clients beside ingest: half follow their accounts' events, half read their accounts' pages, all by tokens."""

import asyncio
import json
import sys
import time
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import aiohttp
import orjson
from bench import events, hubs
from bench.figures import Figure, Skipped
from bench.measure import cpu_seconds, load_apart, measured_here, memory, percentile
from bench.poster import Poster
from processes.harness import HubProcess

CLIENTS = 1_000  # of each kind
PAGES = 2_000.0  # a second, asked on time whatever the answers do
INGEST = 200.0  # events a second, one a request
FLAT_OUT = 64  # connections that ask again at once
_FLAT_OUT_S = 4.0
_READING = Path(__file__).parent / "reading.py"
_LONGEST_LINE = 64 << 20


class Reading:
    """The process that reads; `ask` returns what it found."""

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, str(_READING), stdin=PIPE, stdout=PIPE, limit=_LONGEST_LINE
        )
        return self

    async def __aexit__(self, *error: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()

    async def ask(self, **what: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(what).encode() + b"\n")
        await self._process.stdin.drain()
        line = await self._process.stdout.readline()
        assert line, "the process that reads ended: see above"
        return json.loads(line)  # type: ignore[no-any-return]


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
    parts = urlsplit(hub.url)
    told = trades.take(int(INGEST * seconds))
    for number, event in enumerate(told):
        event["account"]["login"] = logins[number % CLIENTS]  # each has a stream
    warm = trades.take(2 * CLIENTS)
    for event, login in zip(warm, logins, strict=True):
        event["account"]["login"] = login
    async with Poster(hub.url, 8) as poster:
        await poster.post_all(events.requests(hub.url, warm, 100, hub.headers))
    async with Reading() as reading:
        await reading.ask(
            host=parts.hostname,
            port=parts.port,
            streams=[
                _request("/v1/events/stream", parts.netloc, tokens[login]) for login in logins[:CLIENTS]
            ],
            pages=[
                _request(f"/v1/accounts/{events.SERVER}/{login}", parts.netloc, tokens[login])
                for login in logins[CLIENTS:]
            ],
        )
        await reading.ask(
            seconds=0.1, connections=CLIENTS
        )  # every page once, and what it is made of is at hand
        async with Poster(hub.url, 1_024) as poster, asyncio.TaskGroup() as group:
            cpu, began = cpu_seconds(hub.program.pid), time.perf_counter()
            asking = group.create_task(reading.ask(rate=PAGES, seconds=seconds))
            due = await poster.post_on_time(events.requests(hub.url, told, 1, hub.headers), INGEST)
            used, wall = cpu_seconds(hub.program.pid) - cpu, time.perf_counter() - began
        read = asking.result()
        cpu = cpu_seconds(hub.program.pid)
        flat = await reading.ask(seconds=_FLAT_OUT_S, connections=FLAT_OUT)
        a_page = (cpu_seconds(hub.program.pid) - cpu) / flat["count"] * 1e6
    took, arrived = read["took"], {int(deal): at for deal, at in read["arrived"].items()}
    deals = [event["data"]["deal"] for event in told]
    assert arrived.keys() >= set(deals), f"{len(set(deals) - arrived.keys())} events did not arrive"
    delays = [(arrived[deal] - moment) / 1e6 for deal, moment in zip(deals, due, strict=True)]
    return [
        Figure(
            f"{2 * CLIENTS:,} clients, pages of accounts beside {INGEST:g} events/s",
            read["in_time"] / seconds,
            "requests/s",
            PAGES * 0.98,
            better="higher",
            beside={
                "p50 ms": percentile(took, 0.5),
                "p95 ms": percentile(took, 0.95),
                "p99 ms": percentile(took, 0.99),
                "CPU of the hub %": 100 * used / wall,
                "CPU of the readers %": 100 * read["cpu"] / seconds,
                "most it can/s": flat["count"] / flat["seconds"],
                "MiB": memory(hub.program.pid).peak,
            },
        ),
        Figure(
            "a page of an account, CPU of the hub",
            a_page,
            "µs",
            60.0,
            beside={"CPU of the readers µs": flat["cpu"] / flat["count"] * 1e6},
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


def _request(path: str, host: str, token: str) -> str:
    return f"GET {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n\r\n"
