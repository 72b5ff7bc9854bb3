"""From POST to a signed, recorded delivery, against the bare signed client delivering the same body."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

from bench import events, hubs
from bench.figures import Figure
from bench.measure import cpu_seconds, idle, memory, middle
from bench.poster import Poster
from processes.client import HubClient
from processes.harness import HubProcess

CONNECTIONS = 32
MOST_MEMORY = 300.0
_DELIVERED = "hub_deliveries_delivered_total{"


@dataclass(frozen=True, slots=True)
class Way:
    name: str
    batch: int
    target: float


WAYS = (
    Way("end to end, one event a POST", 1, 2.4),
    Way("end to end, 100 events a POST", 100, 1.7),
)


@dataclass(frozen=True, slots=True)
class Sample:
    """`ratio` is CPU per event of the hub over that of the bare client in the same repeat."""

    ratio: float
    hub_us: float
    bare_us: float
    rate: float
    bare_rate: float


async def measure(folder: Path, repeats: int, *, quick: bool) -> list[Figure]:
    count = 4_000 if quick else 10_000
    async with hubs.hub_and_sink(folder, "end-to-end") as (hub, sink):
        return await _measure(folder, hub, sink, count, repeats)


async def _measure(folder: Path, hub: HubProcess, sink: hubs.Sink, count: int, repeats: int) -> list[Figure]:
    async with HubClient(hub) as client, Poster(hub.url, CONNECTIONS) as poster:
        # What the rules publish stays in the hub, so that one event is one delivery.
        _, secret = await client.create_endpoint(sink.webhooks, ["trade.*"])
        trades = events.Trades(large=True)
        pid = hub.program.pid
        # Every account once: what is measured is a hub that knows its accounts.
        await poster.post_all(events.requests(hub.url, trades.take(events.ACCOUNTS), 100, hub.headers))
        await sink.has(events.ACCOUNTS)
        last = sink.last()
        hubs.check_signature(secret, last)
        body = folder / "body.json"
        body.write_bytes(last.body)
        samples: dict[str, list[Sample]] = {way.name: [] for way in WAYS}
        for _ in range(repeats):
            runs: dict[str, tuple[float, float]] = {}
            for way in WAYS:
                posts = events.requests(hub.url, trades.take(count), way.batch, hub.headers)
                await idle(pid)
                sink.reset()
                before = cpu_seconds(pid)
                wall = await _until_received(poster, posts, sink, count)
                await idle(pid)  # the attempts are recorded when the hub has come to rest
                runs[way.name] = (cpu_seconds(pid) - before, wall)
                assert sink.count() == count, f"{sink.count()} webhooks for {count} events"
            bare = await hubs.bare_client(sink.webhooks, count, body)
            for name, (cpu, wall) in runs.items():
                samples[name].append(
                    Sample(
                        cpu / bare.cpu,
                        cpu / count * 1e6,
                        bare.cpu / count * 1e6,
                        count / wall,
                        count / bare.wall,
                    )
                )
        await _all_recorded(client, events.ACCOUNTS + 2 * repeats * count)
        used = memory(pid)
        figures = [_figure(way, samples[way.name], len(last.body), poster.pushed_back) for way in WAYS]
        figures.append(
            Figure("memory under this load", used.peak, "MiB", MOST_MEMORY, beside={"at the end": used.now})
        )
        return figures


async def _until_received(poster: Poster, posts: list[bytes], sink: hubs.Sink, count: int) -> float:
    loop = asyncio.get_running_loop()
    began = loop.time()
    await poster.post_all(posts)
    await sink.has(count)
    return loop.time() - began


async def _all_recorded(client: HubClient, count: int) -> None:
    """Raise unless the hub's own page counts every delivery as made, and none as failed."""
    text = await client.text("/metrics")
    counts = [line.split()[-1] for line in text.splitlines() if line.startswith(_DELIVERED)]
    delivered = sum(float(number) for number in counts)
    assert delivered == count, f"{count} deliveries were made, the hub recorded {delivered:g}"


def _figure(way: Way, samples: list[Sample], size: int, pushed_back: int) -> Figure:
    return Figure(
        way.name,
        middle([sample.ratio for sample in samples]),
        "x",
        way.target,
        samples=[sample.ratio for sample in samples],
        ceiling="the bare signed aiohttp client",
        beside={
            "CPU µs/event": middle([sample.hub_us for sample in samples]),
            "bare": middle([sample.bare_us for sample in samples]),
            "events/s": middle([sample.rate for sample in samples]),
            "bare/s": middle([sample.bare_rate for sample in samples]),
            "bytes/webhook": float(size),
            "told to come later": float(pushed_back),
        },
    )
