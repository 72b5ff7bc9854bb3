"""Endpoints that were away for hours: how quickly what waits for them is delivered, and what a million of it takes in memory."""

import asyncio
import shutil
import sys
from dataclasses import replace
from pathlib import Path

from bench import hubs
from bench.figures import Figure
from bench.measure import measured_here, middle

DRAINED = 50_000
ENDPOINTS = 10
FEW, MANY = 10_000, 1_000_000  # deliveries that wait
_DELIVERED = 8_000  # of either, so that pages are read again and again
_FLAT = 1.1
# What one endpoint is sent costs no more because it waited: the target is that of the dispatcher alone.
_TARGET = 1.35
_SCRIPT = Path(__file__).with_name("backlogged.py")
_SEED_WITHIN = 120


async def measure(folder: Path, repeats: int, *, quick: bool) -> list[Figure]:
    async with hubs.apart(folder, "sink.py") as sink:
        return [
            await _drain(folder / "drained", sink, 1 if quick else min(repeats, 3)),
            await _memory(folder / "owed", sink),
        ]


async def _drain(folder: Path, sink: hubs.Sink, repeats: int) -> Figure:
    full = folder / "full"
    await _seed(full, sink.webhooks, DRAINED, 1)
    body, bare, ours = folder / "body.json", [], []
    body.write_bytes(b'{"id":"evt_1","type":"trade.closed","data":{"deal":1,"comment":"%s"}}' % (b"x" * 985))
    for repeat in range(repeats):
        data = folder / str(repeat)
        shutil.copytree(full, data)
        sink.reset()
        ours.append(await hubs.backlogged(data, DRAINED))
        assert sink.count() == DRAINED, f"{sink.count()} webhooks for {DRAINED} events"
        shutil.rmtree(data)
        bare.append(await hubs.bare_client(sink.webhooks, DRAINED, body))
    shutil.rmtree(full)
    name = f"drain of {DRAINED:,} deliveries to one endpoint"
    figure = hubs.against_bare(name, _TARGET, DRAINED, ours, bare)
    more = {
        "seconds": middle([each.wall for each in ours]),
        "MiB": max(each.peak for each in ours),
    }
    return replace(figure, beside=figure.beside | more)


async def _memory(folder: Path, sink: hubs.Sink) -> Figure:
    peaks = []
    for waiting in (FEW, MANY):
        data = folder / str(waiting)
        await _seed(data, sink.webhooks, waiting // ENDPOINTS, ENDPOINTS)
        peaks.append(await hubs.backlogged(data, _DELIVERED))
        shutil.rmtree(data)
    few_owed, many_owed = peaks
    return Figure(
        f"memory with {MANY:,} deliveries waiting, against {FEW:,}",
        many_owed.peak / few_owed.peak,
        "x",
        _FLAT,
        ceiling="the same dispatcher with few waiting",
        beside={
            "MiB": many_owed.peak,
            "with few": few_owed.peak,
            "CPU µs/delivery": many_owed.cpu / _DELIVERED * 1e6,
            "CPU µs with few": few_owed.cpu / _DELIVERED * 1e6,
            "endpoints": float(ENDPOINTS),
            "delivered": float(_DELIVERED),
        },
    )


async def _seed(folder: Path, url: str, events: int, endpoints: int) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(_SCRIPT), "seed", str(folder), url, str(events), str(endpoints)
    )
    measured_here(process.pid)
    assert await asyncio.wait_for(process.wait(), _SEED_WITHIN) == 0, "the backlog could not be written"
