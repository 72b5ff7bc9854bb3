"""One hanging endpoint beside twenty healthy ones: what the healthy ones notice of it, in turns with and without it."""

import asyncio
from pathlib import Path
from typing import NamedTuple

import aiohttp
from bench import events, hubs
from bench.figures import Figure
from bench.measure import middle, percentile
from bench.poster import Poster
from processes.client import HubClient
from processes.harness import HubProcess

HEALTHY = 20
RATE = 10.0  # events a second, each for every endpoint: 200 deliveries
CONNECTIONS = 16
AT_A_TIME = 8  # attempts to a healthy one; to the one that hangs the hub opens all it may
GIVES_UP = (
    2.0  # seconds an attempt may hang: attempts hang, run out of time and are made again while it is measured
)
_TARGET = 1.5
_SETTLED = 0.3


class Turn(NamedTuple):
    """How long each healthy delivery took, in ms, and how many attempts hung meanwhile."""

    took: list[float]
    hanging: int


async def measure(folder: Path, *, quick: bool) -> list[Figure]:
    turns, seconds = (3, 4) if quick else (5, 8)
    async with hubs.hub_and_sink(folder, "neighbours", "crowd.py") as (hub, crowd):
        return [await _measure(hub, crowd, turns, int(RATE * seconds))]


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
            assert beside[-1].hanging > 0, "nothing hung"
            await _delete(hub, name)
            await asyncio.sleep(_SETTLED)
    # Of all turns together: of one alone it is hardly more than its slowest event.
    mine, theirs = (sorted(ms for turn in all_of for ms in turn.took) for all_of in (beside, without))
    ratios = [
        percentile(turn.took, 0.99) / percentile(other.took, 0.99)
        for turn, other in zip(beside, without, strict=True)
    ]
    return Figure(
        f"p99 of {HEALTHY} healthy endpoints beside one that hangs",
        percentile(mine, 0.99) / percentile(theirs, 0.99),
        "x",
        _TARGET,
        samples=ratios,
        ceiling="the same without it, in turns",
        beside={
            "p99 ms": percentile(mine, 0.99),
            "p99 without": percentile(theirs, 0.99),
            "p50 ms": percentile(mine, 0.5),
            "p50 without": percentile(theirs, 0.5),
            "hung": middle([float(turn.hanging) for turn in beside]),
            "deliveries": float(len(mine)),
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
    return Turn(took, hung)


async def _delete(hub: HubProcess, endpoint: str) -> None:
    async with (
        aiohttp.ClientSession(hub.url, headers=hub.headers) as session,
        session.delete(f"/v1/endpoints/{endpoint}") as answer,
    ):
        assert answer.status == 204, await answer.text()
