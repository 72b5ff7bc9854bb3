"""The dispatcher alone, each attempt recorded on disk, against the bare signed client delivering the same body."""

from pathlib import Path

from bench import hubs
from bench.figures import Figure
from bench.measure import load_apart, middle

_TARGET = 1.35
_BODY = b'{"id":"evt_1","type":"trade.closed","data":{"deal":1,"comment":"%s"}}' % (b"x" * 900)


async def measure(folder: Path, repeats: int, *, quick: bool) -> list[Figure]:
    count = 6_000 if quick else 15_000
    body = folder / "dispatched.json"
    body.write_bytes(_BODY)
    bare: list[hubs.Bare] = []
    ours: list[hubs.Bare] = []
    async with hubs.Server("sink.py", folder) as server:
        sink = hubs.Sink(server)
        with load_apart(server.program.pid):
            for repeat in range(repeats):
                bare.append(await hubs.bare_client(sink.webhooks, count, body))
                sink.reset()
                data = folder / f"dispatcher-{repeat}"
                ours.append(await hubs.dispatcher_alone(sink.webhooks, count, body, data))
                assert sink.count() >= count, f"{sink.count()} webhooks for {count} events"
    ratios = [mine.cpu / theirs.cpu for mine, theirs in zip(ours, bare, strict=True)]
    return [
        Figure(
            "the dispatcher alone, every attempt recorded",
            middle(ratios),
            "x",
            _TARGET,
            samples=ratios,
            ceiling="the bare signed aiohttp client",
            beside={
                "CPU µs/delivery": middle([each.cpu / count * 1e6 for each in ours]),
                "bare": middle([each.cpu / count * 1e6 for each in bare]),
                "deliveries/s": middle([count / each.wall for each in ours]),
                "bare/s": middle([count / each.wall for each in bare]),
            },
        )
    ]
