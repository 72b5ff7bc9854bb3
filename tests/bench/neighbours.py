"""One hanging endpoint beside twenty healthy ones: what the healthy ones notice of it, in turns with and without it."""

import asyncio
from pathlib import Path
from typing import NamedTuple

import aiohttp
from bench import events, hubs
from bench.figures import Figure
from bench.measure import load_apart, measured_here, middle, percentile
from bench.poster import Poster
from processes.client import HubClient
from processes.harness import HubProcess

HEALTHY = 20
RATE = 30.0  # events a second, each for every endpoint
CONNECTIONS = 64
AT_A_TIME = 8  # attempts to a healthy one; to the one that hangs the hub opens all it may
GIVES_UP = (
    2.0  # seconds an attempt may hang: attempts hang, run out of time and are made again while it is measured
)
_TARGET = 1.5
_SETTLED = 0.3


class Turn(NamedTuple):
    """Of the healthy deliveries, in ms."""

    p50: float
    p99: float
    hanging: int


async def measure(folder: Path, *, quick: bool) -> list[Figure]:
    turns, seconds = (2, 4) if quick else (3, 8)
    hub = hubs.hub(folder / "neighbours")
    async with hubs.Server("crowd.py", folder) as server:
        await hub.start()
        try:
            measured_here(hub.program.pid)
            with load_apart(server.program.pid):
                return [await _measure(hub, hubs.Sink(server), turns, int(RATE * seconds))]
        finally:
            await hub.kill()


async def _measure(hub: HubProcess, crowd: hubs.Sink, turns: int, count: int) -> Figure:
    trades = events.Trades(large=True)
    without: list[Turn] = []
    beside: list[Turn] = []
    async with HubClient(hub) as client, Poster(hub.url, CONNECTIONS) as poster:
        for number in range(HEALTHY):
            await client.create_endpoint(f"{crowd.url}/to/{number}", ["trade.*"], concurrency=AT_A_TIME)
        await _turn(hub, crowd, poster, trades, int(RATE))
        for _ in range(turns):
            without.append(await _turn(hub, crowd, poster, trades, count))
            # A new one each time: of the last the hub has learnt already to leave it alone.
            name, _ = await client.create_endpoint(f"{crowd.url}/hang", ["trade.*"], timeout=GIVES_UP)
            await asyncio.sleep(_SETTLED)
            beside.append(await _turn(hub, crowd, poster, trades, count))
            assert beside[-1].hanging > hubs.CONNECTIONS, "nothing hung"
            await _delete(hub, name)
            await asyncio.sleep(_SETTLED)
    ratios = [mine.p99 / theirs.p99 for mine, theirs in zip(beside, without, strict=True)]
    return Figure(
        f"p99 of {HEALTHY} healthy endpoints beside one that hangs",
        middle(ratios),
        "x",
        _TARGET,
        samples=ratios,
        ceiling="the same without it, in turns",
        beside={
            "p99 ms": middle([turn.p99 for turn in beside]),
            "p99 without": middle([turn.p99 for turn in without]),
            "p50 ms": middle([turn.p50 for turn in beside]),
            "p50 without": middle([turn.p50 for turn in without]),
            "hung": middle([float(turn.hanging) for turn in beside]),
            "deliveries a turn": float(count * HEALTHY),
        },
    )


async def _turn(hub: HubProcess, crowd: hubs.Sink, poster: Poster, trades: events.Trades, count: int) -> Turn:
    crowd.reset()
    told = trades.take(count)
    due = await poster.post_on_time(events.requests(hub.url, told, 1, hub.headers), RATE)
    await crowd.has(count * HEALTHY, within=30)
    hung = crowd.hanging()
    arrivals = await asyncio.to_thread(crowd.arrivals)
    took = [
        (seen[event["data"]["deal"]] - moment) / 1e6
        for seen in arrivals.values()
        for event, moment in zip(told, due, strict=True)
    ]
    return Turn(percentile(took, 0.5), percentile(took, 0.99), hung)


async def _delete(hub: HubProcess, endpoint: str) -> None:
    async with (
        aiohttp.ClientSession(hub.url, headers=hub.headers) as session,
        session.delete(f"/v1/endpoints/{endpoint}") as answer,
    ):
        assert answer.status == 204, await answer.text()
