"""The dispatcher by itself: endpoints' queues, signatures, requests, answers and the attempts' records, and no engine.

``dispatcher_alone.py URL COUNT BODY_FILE FOLDER`` delivers COUNT events to one endpoint, writes who was owed them and
what came of each attempt to a store in FOLDER, and prints the CPU seconds and the wall seconds of it as JSON.
"""

import asyncio
import json
import resource
import sys
import time
from pathlib import Path
from random import Random

import uvloop

from hub.clock import SystemClock
from hub.dispatch.dispatcher import Dispatcher
from hub.dispatch.fanout import New
from hub.dispatch.outbox import Delivery, DeliveryState, Endpoint
from hub.dispatch.safe_http import AiohttpTransport
from hub.dispatch.signing import generate_secret
from hub.store.sqlite.store import open_sqlite

CONNECTIONS = 50
_BATCH = 100
_AHEAD = 2_000  # handed over and not yet delivered
_WARM_UP = 500
_ENDPOINT = "ep_bench"


async def deliver(dispatcher: Dispatcher, clock: SystemClock, body: bytes, first: int, count: int) -> None:
    all_counters = dispatcher.counters()

    def delivered() -> int:
        mine = all_counters.get(_ENDPOINT)
        return mine.delivered if mine else 0

    for n in range(first, first + count, _BATCH):
        now = clock.now_us()
        news = [
            New([Delivery(_ENDPOINT, 0, m, f"evt_{m}", DeliveryState.WAITING, 0, now, now)], body)
            for m in range(n, min(n + _BATCH, first + count))
        ]
        await dispatcher.take({0: n + len(news) - 1}, news)
        while n + _BATCH - delivered() > _AHEAD:
            await asyncio.sleep(0.001)
    await dispatcher.flush()
    while delivered() < first + count - 1:
        await asyncio.sleep(0.001)
    assert all_counters[_ENDPOINT].failed == 0, all_counters[_ENDPOINT]


def used() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


async def main(target: str, deliveries: int, body: bytes, folder: Path) -> None:
    clock = SystemClock()

    async def announce(_: object) -> None:
        raise AssertionError("nothing ends here but as delivered")

    async with (
        open_sqlite(folder, clock) as store,
        AiohttpTransport(clock, allow_loopback=True) as transport,
        asyncio.TaskGroup() as group,
    ):
        group.create_task(store.journal.run(stopping := asyncio.Event()))
        now = clock.now_us()
        await store.endpoints.create(
            Endpoint(_ENDPOINT, target, ("*",), generate_secret(), "enabled", "", now)
        )
        dispatcher = Dispatcher(
            store.endpoints,
            store.deliveries,
            transport,
            clock,
            announce,
            random=Random(1),
            concurrency=CONNECTIONS,
            allow_loopback=True,
        )
        await dispatcher.refresh()
        group.create_task(dispatcher.run(stopping))
        await asyncio.sleep(
            0.2
        )  # there are no events in the log: whoever is handed a delivery has to be there
        await deliver(dispatcher, clock, body, 1, _WARM_UP)
        cpu, wall = used(), time.perf_counter()
        await deliver(dispatcher, clock, body, 1 + _WARM_UP, deliveries)
        print(json.dumps({"cpu": used() - cpu, "wall": time.perf_counter() - wall}), flush=True)
        stopping.set()


if __name__ == "__main__":
    uvloop.install()
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]).read_bytes(), Path(sys.argv[4])))
