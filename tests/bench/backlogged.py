"""A dispatcher that comes back to a backlog, and no engine.

``backlogged.py seed FOLDER URL EVENTS ENDPOINTS`` writes events to a store's log and that each endpoint is owed all of
them, as a hub does whose endpoints were away. ``backlogged.py drain FOLDER DELIVERIES`` delivers so many of them and
prints CPU seconds, wall seconds and what was resident at the end and at most, in MiB, as JSON.
"""

import asyncio
import json
import resource
import sys
import time
from pathlib import Path
from random import Random

import uvloop

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench import events
from bench.measure import memory

from hub.clock import SystemClock
from hub.dispatch.dispatcher import Dispatcher
from hub.dispatch.outbox import Delivery, DeliveryState, Endpoint
from hub.dispatch.safe_http import AiohttpTransport
from hub.dispatch.signing import generate_secret
from hub.ingest.receive import Receiver
from hub.store.sqlite.store import SqliteStore, open_sqlite

CONNECTIONS = 50
_POSTED = 500
_PAGE = 1_000


async def seed(folder: Path, url: str, count: int, endpoints: int) -> None:
    clock = SystemClock()
    async with open_sqlite(folder, clock) as store:
        receiver, trades = Receiver(store.log, clock), events.Trades(large=True)
        for start in range(0, count, _POSTED):
            body = json.dumps(trades.take(min(_POSTED, count - start)), separators=(",", ":")).encode()
            receipt = await receiver.accept(body, "application/json", source="bench")
            assert receipt.accepted == min(_POSTED, count - start), receipt
        names = [f"ep_{number}" for number in range(endpoints)]
        for name in names:
            made = Endpoint(name, url, ("*",), generate_secret(), "enabled", "", clock.now_us())
            await store.endpoints.create(made)
        await _owe_all(store, names, clock.now_us())


async def _owe_all(store: SqliteStore, names: list[str], now_us: int) -> None:
    rank, waiting = 0, DeliveryState.WAITING
    while rows := await store.log.scan(rank, _PAGE):
        rank = rows[-1].rank
        owed = [
            Delivery(name, row.partition, row.n, row.ref, waiting, 0, row.at, now_us)
            for name in names
            for row in rows
        ]
        # One row of a partition after the other: the last is how far it was read.
        await store.deliveries.fan_out({row.partition: row.n for row in rows}, owed)


async def drain(folder: Path, count: int) -> None:
    clock = SystemClock()

    async def announce(_: object) -> None:
        raise AssertionError("nothing ends here but as delivered")

    async with (
        open_sqlite(folder, clock) as store,
        AiohttpTransport(clock, allow_loopback=True) as transport,
        asyncio.TaskGroup() as group,
    ):
        stopping = asyncio.Event()
        endpoints = len(await store.endpoints.all())
        dispatcher = Dispatcher(
            store.endpoints,
            store.deliveries,
            transport,
            clock,
            announce,
            random=Random(1),
            concurrency=max(CONNECTIONS // endpoints, 1),
            allow_loopback=True,
        )
        cpu, wall = used(), time.perf_counter()
        group.create_task(dispatcher.run(stopping))
        while sum(each.delivered for each in dispatcher.counters().values()) < count:
            await asyncio.sleep(0.002)
        took = {"cpu": used() - cpu, "wall": time.perf_counter() - wall}
        now, peak = memory("self")
        print(json.dumps({**took, "now": now, "peak": peak}), flush=True)
        assert not any(each.failed for each in dispatcher.counters().values())
        stopping.set()


def used() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    uvloop.install()
    what, place, *rest = sys.argv[1:]
    if what == "seed":
        asyncio.run(seed(Path(place), rest[0], int(rest[1]), int(rest[2])))
    else:
        asyncio.run(drain(Path(place), int(rest[0])))
