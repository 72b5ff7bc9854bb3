"""From POST to a signed, recorded delivery, against the bare signed client delivering the same body.

What is promised of it is promised of an event that is durable, signed, and has its attempt recorded: so the hub that is
held to the targets has no rules. What five rules add that read every event is measured beside it; what deciding alone
costs has figures of its own.
"""

import asyncio
from collections.abc import Sequence
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
    target: float | None


WAYS = (
    Way("end to end, one event a POST", 1, 2.4),
    Way("end to end, 100 events a POST", 100, 1.7),
)
WITH_RULES = (
    Way("the same with five rules, one event a POST", 1, None),
    Way("the same with five rules, 100 events a POST", 100, None),
)


@dataclass(frozen=True, slots=True)
class Sample:
    """`ratio` is CPU per event of the hub over that of the bare client, which ran right after it."""

    ratio: float
    hub_us: float
    bare_us: float
    rate: float
    bare_rate: float


async def measure(folder: Path, repeats: int, *, quick: bool) -> list[Figure]:
    count = 4_000 if quick else 10_000
    figures = []
    no_rules = folder / "workflows"
    no_rules.mkdir()
    for rules, ways, workflows in (("no", WAYS, no_rules), ("five", WITH_RULES, hubs.WORKFLOWS)):
        async with hubs.hub_and_sink(folder, f"{rules}-rules", workflows=workflows) as (hub, sink):
            figures += await _measure(folder, hub, sink, ways, count, repeats)
            used = memory(hub.program.pid)
        figures.append(
            Figure(
                f"memory under this load, {rules} rules",
                used.peak,
                "MiB",
                MOST_MEMORY,
                beside={"at the end": used.now},
            )
        )
    return figures


async def _measure(
    folder: Path, hub: HubProcess, sink: hubs.Sink, ways: Sequence[Way], count: int, repeats: int
) -> list[Figure]:
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
        samples: dict[str, list[Sample]] = {way.name: [] for way in ways}
        for _ in range(repeats):
            for way in ways:
                posts = events.requests(hub.url, trades.take(count), way.batch, hub.headers)
                await idle(pid)
                sink.reset()
                before = cpu_seconds(pid)
                wall = await _until_received(poster, posts, sink, count)
                await idle(pid)  # the attempts are recorded when the hub has come to rest
                cpu = cpu_seconds(pid) - before
                assert sink.count() == count, f"{sink.count()} webhooks for {count} events"
                bare = await hubs.bare_client(sink.webhooks, count, body)
                samples[way.name].append(
                    Sample(
                        cpu / bare.cpu,
                        cpu / count * 1e6,
                        bare.cpu / count * 1e6,
                        count / wall,
                        count / bare.wall,
                    )
                )
        await _all_recorded(client, events.ACCOUNTS + 2 * repeats * count)
        return [_figure(way, samples[way.name], len(last.body), poster.pushed_back) for way in ways]


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
