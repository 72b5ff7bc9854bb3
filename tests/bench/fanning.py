"""One event to fifty endpoints: what each of its deliveries costs, and when the last of the fifty has it."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench import events, hubs
from bench.figures import Figure, as_ratio
from bench.measure import cpu_seconds, idle, middle, percentile
from bench.poster import Poster
from processes.client import HubClient
from processes.harness import HubProcess

ENDPOINTS = 50
RATE = 4.0  # events a second: 200 deliveries
AT_A_TIME = 4  # attempts to one endpoint: two hundred connections in all
_LAST_WITHIN = 40.0
# Of deliveries alone, as what an event costs before is shared by fifty.
_TARGET = 1.35


async def measure(folder: Path, repeats: int, *, quick: bool) -> list[Figure]:
    count = 100 if quick else 300
    async with hubs.hub_and_sink(folder, "fan-out", "crowd.py") as (hub, crowd):
        return await _measure(folder, hub, crowd, count, repeats)


async def _measure(folder: Path, hub: HubProcess, crowd: hubs.Sink, count: int, repeats: int) -> list[Figure]:
    async with HubClient(hub) as client:
        for number in range(ENDPOINTS):
            url = f"{crowd.url}/to/{number}"
            await client.create_endpoint(url, ["trade.*"], concurrency=AT_A_TIME)
        trades = events.Trades(large=True)
        pid, deliveries = hub.program.pid, count * ENDPOINTS
        await _post(hub, trades.take(100))
        await crowd.has(100 * ENDPOINTS)
        body = folder / "fanned.json"
        body.write_bytes(
            b'{"id":"evt_1","type":"trade.closed","data":{"deal":1,"comment":"%s"}}' % (b"x" * 985)
        )
        ours, bare, rates = [], [], []
        for _ in range(repeats):
            told = trades.take(count)
            await idle(pid)
            crowd.reset()
            before, began = cpu_seconds(pid), asyncio.get_running_loop().time()
            await _post(hub, told)
            await crowd.has(deliveries)
            rates.append(deliveries / (asyncio.get_running_loop().time() - began))
            await idle(pid)
            ours.append(cpu_seconds(pid) - before)
            assert crowd.count() == deliveries, f"{crowd.count()} webhooks for {deliveries} deliveries"
            bare.append((await hubs.bare_client(f"{crowd.url}/to/bare", deliveries, body)).cpu)
        last = await _last_of_each(hub, crowd, trades, int(RATE * (5 if count <= 100 else 15)))
    ratios = [mine / theirs for mine, theirs in zip(ours, bare, strict=True)]
    return [
        as_ratio(
            f"fan-out 1 to {ENDPOINTS}, a delivery of it",
            _TARGET,
            ratios,
            ceiling="the bare signed aiohttp client",
            beside={
                "CPU µs/delivery": middle([each / deliveries * 1e6 for each in ours]),
                "bare": middle([each / deliveries * 1e6 for each in bare]),
                "deliveries/s": middle(rates),
            },
        ),
        Figure(
            f"fan-out 1 to {ENDPOINTS}, until the last has it, p95",
            percentile(last, 0.95),
            "ms",
            _LAST_WITHIN,
            beside={"p50": percentile(last, 0.5), "max": max(last), "events": float(len(last))},
        ),
    ]


async def _post(hub: HubProcess, told: Sequence[dict[str, Any]]) -> None:
    async with Poster(hub.url, 1) as poster:
        await poster.post_all(events.requests(hub.url, told, 100, hub.headers))


async def _last_of_each(hub: HubProcess, crowd: hubs.Sink, trades: events.Trades, count: int) -> list[float]:
    """Return how long after it was due each event had reached all, in ms; posted on time whatever the hub does."""
    crowd.reset()
    told = trades.take(count)
    async with Poster(hub.url, 4) as poster:
        due = await poster.post_on_time(events.requests(hub.url, told, 1, hub.headers), RATE)
    await crowd.has(count * ENDPOINTS)
    arrivals = list((await asyncio.to_thread(crowd.arrivals)).values())
    return [
        (max(seen[event["data"]["deal"]] for seen in arrivals) - moment) / 1e6
        for event, moment in zip(told, due, strict=True)
    ]
