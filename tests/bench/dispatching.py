"""The dispatcher alone, each attempt recorded on disk, against the bare signed client delivering the same body."""

from pathlib import Path

from bench import hubs
from bench.figures import Figure

_TARGET = 1.35
_BODY = b'{"id":"evt_1","type":"trade.closed","data":{"deal":1,"comment":"%s"}}' % (b"x" * 900)


async def measure(folder: Path, repeats: int, *, quick: bool) -> list[Figure]:
    count = 6_000 if quick else 15_000
    body = folder / "dispatched.json"
    body.write_bytes(_BODY)
    bare: list[hubs.Bare] = []
    ours: list[hubs.Bare] = []
    async with hubs.apart(folder, "sink.py") as sink:
        for repeat in range(repeats):
            bare.append(await hubs.bare_client(sink.webhooks, count, body))
            sink.reset()
            data = folder / f"dispatcher-{repeat}"
            ours.append(await hubs.dispatcher_alone(sink.webhooks, count, body, data))
            assert sink.count() >= count, f"{sink.count()} webhooks for {count} events"
    return [hubs.against_bare("the dispatcher alone, every attempt recorded", _TARGET, count, ours, bare)]
