"""Durable ingest: a 202 for what is on disk, against a bare server that decodes the same posts and forgets them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import events, hubs
from bench.figures import Figure, as_ratio
from bench.measure import cpu_seconds, idle, load_apart, measured_here, middle
from bench.poster import Poster
from processes.harness import HubProcess

CONNECTIONS = 32


@dataclass(frozen=True, slots=True)
class Load:
    name: str
    batch: int
    events: int
    target: float | None


class Run:
    """CPU microseconds and wall-clock events per second of one side of one repeat."""

    def __init__(self, cpu: float, wall: float, count: int) -> None:
        self.cpu_us = cpu / count * 1e6
        self.rate = count / wall


async def measure(folder: Path, repeats: int, *, quick: bool) -> list[Figure]:
    share = 0.4 if quick else 1.0
    loads = [
        Load("durable ingest, one event a POST", 1, int(15_000 * share), 2.2),
        # Too short a run of the bare server would be lost in the kernel's 10 ms ticks.
        Load("durable ingest, 100 events a POST", 100, int(100_000 * share), None),
    ]
    empty = folder / "no-workflows"
    empty.mkdir()
    hub = hubs.hub(folder / "ingest", workflows=empty)
    async with hubs.Server("bare_server.py", folder) as bare:
        await hub.start()
        try:
            measured_here(hub.program.pid)
            measured_here(bare.program.pid)
            with load_apart():
                return await _measure(hub, bare, loads, repeats)
        finally:
            await hub.kill()


async def _measure(hub: HubProcess, bare: hubs.Server, loads: Sequence[Load], repeats: int) -> list[Figure]:
    trades, figures = events.Trades(), []
    async with Poster(hub.url, CONNECTIONS) as to_hub, Poster(bare.url, CONNECTIONS) as to_bare:
        await to_hub.post_all(events.requests(hub.url, trades.take(events.ACCOUNTS), 100, hub.headers))
        for load in loads:
            pairs = []
            for _ in range(repeats):
                told = trades.take(load.events)
                posts = events.requests(hub.url, told, load.batch, hub.headers)
                mine = await _run(to_hub, hub.program.pid, posts, load.events)
                posts = events.requests(bare.url, told, load.batch)
                pairs.append((mine, await _run(to_bare, bare.program.pid, posts, load.events)))
            figures.append(_figure(load, pairs, to_hub.pushed_back))
    return figures


async def _run(poster: Poster, pid: int, posts: list[bytes], count: int) -> Run:
    await idle(pid)
    before = cpu_seconds(pid)
    wall = await poster.post_all(posts)
    # What the hub does with the events after its answer is part of the price of having taken them.
    await idle(pid)
    return Run(cpu_seconds(pid) - before, wall, count)


def _figure(load: Load, pairs: list[tuple[Run, Run]], pushed_back: int) -> Figure:
    ratios = [mine.cpu_us / bare.cpu_us for mine, bare in pairs]
    return as_ratio(
        load.name,
        load.target,
        ratios,
        ceiling="a bare aiohttp server that decodes",
        beside={
            "CPU µs/event": middle([mine.cpu_us for mine, _ in pairs]),
            "bare": middle([bare.cpu_us for _, bare in pairs]),
            "events/s": middle([mine.rate for mine, _ in pairs]),
            "told to come later": float(pushed_back),
        },
    )
