"""Event to receipt in open loop: posts leave when they are due, whatever the hub is doing."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

from bench import events, hubs
from bench.figures import Figure, Skipped
from bench.measure import percentile
from bench.poster import Poster
from bench.slowsync import slow_sync
from processes.client import HubClient

RATE = 200.0
SLOW = timedelta(milliseconds=5)
CONNECTIONS = 256  # a second of them, and each is used often enough to be kept


async def measure(folder: Path, *, quick: bool) -> list[Figure | Skipped]:
    seconds = 10 if quick else 20
    name = f"latency p95, event to receipt, {RATE:g}/s"
    slow_name = f"{name}, fsync + {SLOW // timedelta(milliseconds=1)} ms"
    figures: list[Figure | Skipped] = [*await _figures(folder / "latency", name, (15.0, 40.0), seconds, {})]
    environment = slow_sync(folder, SLOW)
    if isinstance(environment, str):
        figures.append(Skipped(slow_name, environment))
    else:
        figures += await _figures(folder / "latency-slow", slow_name, (35.0, None), seconds, environment)
    return figures


async def _figures(
    folder: Path,
    name: str,
    targets: tuple[float, float | None],
    seconds: int,
    environment: Mapping[str, str],
) -> list[Figure]:
    """Return the p95 and, where it has a target, the p99."""
    took = await _latencies(folder, seconds, environment)
    middling, late = percentile(took, 0.95), percentile(took, 0.99)
    beside = {"p50": percentile(took, 0.5), "max": max(took), "events": float(len(took))}
    p95, p99 = targets
    figures = [Figure(name, middling, "ms", p95, beside={**beside, "p99": late})]
    if p99 is not None:
        figures.append(Figure(name.replace("p95", "p99"), late, "ms", p99, beside=beside))
    return figures


async def _latencies(folder: Path, seconds: int, environment: Mapping[str, str]) -> list[float]:
    hub = hubs.hub(folder, environment=environment)
    async with hubs.Server("sink.py", folder) as server:
        await hub.start()
        try:
            sink = hubs.Sink(server)
            async with HubClient(hub) as client, Poster(hub.url, CONNECTIONS) as poster:
                await client.create_endpoint(sink.webhooks, ["trade.*"])
                trades = events.Trades(large=True)
                # Connections open, caches fill: not part of what a customer sees in the long run.
                warm = events.requests(hub.url, trades.take(200), 1, hub.headers)
                await poster.post_on_time(warm, RATE)
                await sink.has(len(warm))
                sink.reset()
                told = trades.take(int(RATE * seconds))
                due = await poster.post_on_time(events.requests(hub.url, told, 1, hub.headers), RATE)
                await sink.has(len(told), within=30)
                stamps = await asyncio.to_thread(sink.stamps)
            return [
                (stamps[event["data"]["deal"]] - moment) / 1e6
                for event, moment in zip(told, due, strict=True)
            ]
        finally:
            await hub.kill()
