"""Kafka falls silent, dies and comes back while events pour in: each is acknowledged or refused, and none is in between."""

import asyncio
import time
from collections import Counter, deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
from chaos import town
from chaos.accounting import Records, breaches
from chaos.fleet_town import FleetTown, open_town, own_servers
from processes.program import eventually

ROLES = {
    "door": ("api", "ingest"),
    "engine-1": ("engine",),
    "engine-2": ("engine",),
    "sender": ("dispatch",),
}
RATE = 200  # events a second
PARCEL = 10
LIVE_BEFORE, SILENT, DEAD = 3.0, 6.0, 6.0  # seconds; together longer than a post waits for Kafka
LOGINS = range(1000, 1200)
PATIENCE = aiohttp.ClientTimeout(total=30)
CATCHERS = 8
DRAIN_SECONDS = 60.0

Parcel = list[dict[str, Any]]


class LiveSource:
    """Posts parcels at a steady rate whatever becomes of them, and notes what it was answered."""

    def __init__(self, fleet: FleetTown, session: aiohttp.ClientSession, parcels: Sequence[Parcel]) -> None:
        self._door = fleet.fleet.processes["door"]
        self._session = session
        self._parcels = deque(parcels)
        self.posted = 0
        self.acknowledged: set[str] = set()
        self.refused: deque[Parcel] = deque()
        self.answers: Counter[int] = Counter()
        self.complaints: list[str] = []

    async def pour(self, stop: asyncio.Event) -> None:
        """Return when told to stop and every post is answered."""
        due = time.monotonic()
        async with asyncio.TaskGroup() as group:
            while not stop.is_set():
                parcel = self._parcels.popleft()
                self.posted += len(parcel)
                group.create_task(self._post(parcel))
                due += PARCEL / RATE
                await asyncio.sleep(max(due - time.monotonic(), 0))

    async def _post(self, parcel: Parcel) -> None:
        headers = {**self._door.headers, "Content-Type": "application/json"}
        async with self._session.post(
            self._door.url + "/v1/events", data=orjson.dumps(parcel), headers=headers
        ) as answer:
            body = await answer.read()
            self.answers[answer.status] += 1
            if answer.status == 202:
                self.acknowledged.update(result["id"] for result in orjson.loads(body)["results"])
            elif answer.status == 503 and int(answer.headers.get("Retry-After", "0")) > 0:
                self.refused.append(parcel)
            else:
                self.complaints.append(f"{answer.status} {dict(answer.headers)}: {body[:300]!r}")


async def tell_again(fleet: FleetTown, source: LiveSource) -> None:
    while source.refused:
        source.acknowledged.update(await fleet.client.post_until_acknowledged(source.refused.popleft()))


async def stored(fleet: FleetTown, ids: set[str], *, within: float) -> None:
    async def missing() -> set[str]:
        return ids - {event.id for event in await town.logged(fleet.client)}

    deadline = time.monotonic() + within
    while absent := await missing():
        assert time.monotonic() < deadline, f"{len(absent)} acknowledged events are not in the log"
        await asyncio.sleep(0.05)


@pytest.mark.chaos
@pytest.mark.timeout(240)
async def test_while_kafka_is_away_a_post_is_acknowledged_or_refused_and_later_everything_is_there_once(
    tmp_path: Path,
) -> None:
    seconds = int(LIVE_BEFORE + SILENT + DEAD) + 60
    parcels = [town.closes(PARCEL, LOGINS, n, first=n * PARCEL) for n in range(seconds * RATE // PARCEL)]
    (tmp_path / "no-workflows").mkdir()
    async with (
        own_servers() as servers,
        open_town(tmp_path, servers, rate=1, roles=ROLES, workflows=[tmp_path / "no-workflows"]) as fleet,
        aiohttp.ClientSession(timeout=PATIENCE, connector=aiohttp.TCPConnector(limit=0)) as session,
    ):
        source = LiveSource(fleet, session, parcels)
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(source.pour(stop))
            await asyncio.sleep(LIVE_BEFORE)
            await servers.kafka.pause()
            await asyncio.sleep(SILENT)
            await servers.kafka.kill()
            await asyncio.sleep(DEAD)
            await servers.kafka.start()
            back = time.monotonic()
            known = len(source.acknowledged)
            await eventually(
                lambda: len(source.acknowledged) > known, within=30, what="posts are acknowledged again"
            )
            again = time.monotonic()
            stop.set()
        backlog = sum(map(len, source.refused))
        began = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for _ in range(CATCHERS):
                group.create_task(tell_again(fleet, source))
        await stored(fleet, source.acknowledged, within=DRAIN_SECONDS)
        took = time.monotonic() - began
        print(
            f"\nposts answered {dict(source.answers)}; acknowledged again {again - back:.1f} s after Kafka was back;"
            f" {backlog} refused events caught up in {took:.1f} s: {backlog / took / RATE:.1f} times the live rate"
        )

        assert source.complaints == []
        assert source.answers[202] > 0
        assert source.answers[503] > 0, "no post was refused: Kafka was not away long enough"
        await fleet.all_ready()
        await town.drained(fleet.client, fleet.receiver, source.acknowledged, within=DRAIN_SECONDS)
        found = Records(
            acknowledged=frozenset(source.acknowledged),
            logged=await town.logged(fleet.client),
            verified=fleet.receiver.verified,
            asked=await town.asked(fleet.client),
            ledger=[],
            expected={},
            receiver_complaints=fleet.receiver.complaints,
        )
        assert breaches(found) == []
        assert len(source.acknowledged) == source.posted
