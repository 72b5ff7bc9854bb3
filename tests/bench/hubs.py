"""The programs a benchmark runs beside itself: a hub, the bare server, the sink, the bare client."""

import asyncio
import base64
import json
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple, Self
from urllib.request import Request, urlopen

from bench.figures import Figure, as_ratio
from bench.measure import load_apart, measured_here, middle
from processes.harness import HubProcess
from processes.program import Program, eventually
from standardwebhooks.webhooks import Webhook

_HERE = Path(__file__).parent
WORKFLOWS = _HERE / "workflows"
CONNECTIONS = 50  # of the bare client, and what the hub may open to its one endpoint


def hub(
    folder: Path, *, workflows: Path = WORKFLOWS, environment: Mapping[str, str] | None = None
) -> HubProcess:
    config = {"delivering": {"concurrency": CONNECTIONS, "timeout": "15s"}}
    return HubProcess(folder, config=config, workflows=[workflows], environment=environment)


class Server:
    """One of the small servers here, started and stopped with ``async with``."""

    def __init__(self, script: str, folder: Path) -> None:
        path = _HERE / script
        self.program = Program([sys.executable, str(path)], folder / f"{path.stem}.log")
        self.url = ""

    async def __aenter__(self) -> Self:
        self.url = (await self.program.start(r" is ready at (http://\S+)$")).group(1)
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.program.kill()


@asynccontextmanager
async def apart(folder: Path, script: str) -> AsyncIterator["Sink"]:
    """Run what takes deliveries, on a core of its own where there is one."""
    async with Server(script, folder) as server:
        with load_apart(server.program.pid):
            yield Sink(server)


@asynccontextmanager
async def hub_and_sink(
    folder: Path, name: str, script: str = "sink.py", *, workflows: Path = WORKFLOWS
) -> AsyncIterator[tuple[HubProcess, "Sink"]]:
    """Run a hub, which is measured, and what it delivers to, as in `apart`."""
    measured = hub(folder / name, workflows=workflows)
    async with Server(script, folder) as server:
        await measured.start()
        try:
            measured_here(measured.program.pid)
            with load_apart(server.program.pid):
                yield measured, Sink(server)
        finally:
            await measured.kill()


class Delivery(NamedTuple):
    headers: dict[str, str]
    body: bytes


class Sink:
    def __init__(self, server: Server) -> None:
        self.url = server.url
        self.webhooks = server.url + "/webhooks"

    def count(self) -> int:
        return int(self._ask("/count")["count"])

    def reset(self) -> None:
        self._ask("/reset", "POST")

    def stamps(self) -> dict[int, int]:
        return {int(deal): at for deal, at in self._ask("/stamps").items()}

    def last(self) -> Delivery:
        told = self._ask("/last")
        head, body = base64.b64decode(told["head"]).decode(), base64.b64decode(told["body"])
        lines = (line.partition(":") for line in head.split("\r\n")[1:])
        return Delivery({name.lower(): value.strip() for name, _, value in lines}, body)

    async def has(self, count: int, *, within: float = 120.0) -> None:
        await eventually(lambda: self.count() >= count, within=within, what=f"{count} webhooks arrived")

    def arrivals(self) -> dict[str, dict[int, int]]:
        """Of a crowd: when each deal reached each of its names."""
        told = self._ask("/arrivals")
        return {name: {int(deal): at for deal, at in found.items()} for name, found in told.items()}

    def hanging(self) -> int:
        return int(self._ask("/count")["hanging"])

    def _ask(self, path: str, method: str = "GET") -> dict[str, Any]:
        with urlopen(Request(self.url + path, method=method), timeout=5) as answer:
            return dict(json.loads(answer.read()))


def check_signature(secret: str, delivery: Delivery) -> None:
    """Raise unless the webhook is signed as Standard Webhooks says, by the official package's word."""
    Webhook(secret).verify(delivery.body, delivery.headers)


class Bare(NamedTuple):
    """CPU and wall seconds of a run of the bare client."""

    cpu: float
    wall: float


async def bare_client(url: str, count: int, body: Path) -> Bare:
    return await _run("bare_client.py", url, count, body)


async def dispatcher_alone(url: str, count: int, body: Path, folder: Path) -> Bare:
    return await _run("dispatcher_alone.py", url, count, body, folder)


def against_bare(
    name: str, target: float, count: int, ours: Sequence["Bare | Drained"], bare: Sequence[Bare]
) -> Figure:
    """Return what `count` deliveries cost in each repeat, as a ratio to the bare client's in the same one."""
    ratios = [mine.cpu / theirs.cpu for mine, theirs in zip(ours, bare, strict=True)]
    return as_ratio(
        name,
        target,
        ratios,
        ceiling="the bare signed aiohttp client",
        beside={
            "CPU µs/delivery": middle([each.cpu / count * 1e6 for each in ours]),
            "bare": middle([each.cpu / count * 1e6 for each in bare]),
            "deliveries/s": middle([count / each.wall for each in ours]),
            "bare/s": middle([count / each.wall for each in bare]),
        },
    )


class Drained(NamedTuple):
    """As `Bare`, and what was resident at the end and at most, in MiB."""

    cpu: float
    wall: float
    now: float
    peak: float


async def backlogged(folder: Path, count: int) -> Drained:
    """Deliver so many of what waits in a store that `backlogged.py seed` made."""
    return Drained(**await _told("backlogged.py", "drain", folder, count))


async def _run(script: str, *arguments: object) -> Bare:
    return Bare(**await _told(script, *arguments))


async def _told(script: str, *arguments: object) -> dict[str, float]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(_HERE / script), *map(str, arguments), stdout=asyncio.subprocess.PIPE
    )
    measured_here(process.pid)
    told, _ = await asyncio.wait_for(process.communicate(), timeout=120)
    assert process.returncode == 0, f"{script} failed"
    return dict(json.loads(told))
