"""Kafka falls silent, dies and comes back while events pour in: each is acknowledged or refused, and none is in between."""

import asyncio
import itertools
import os
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import orjson
import pytest
from bench.measure import cpu_seconds
from chaos import town
from chaos.accounting import Records, breaches
from processes.client import HubClient
from processes.harness import HubProcess
from processes.program import eventually
from processes.receiver import VerifyingReceiver
from processes.scaled import Fleet
from processes.services import Kafka, Postgres, folder_for_services

ROLES = {"door": ("api",), "engine-1": ("engine",), "engine-2": ("engine",), "sender": ("dispatch",)}
RATE = 200  # events a second
PARCEL = 10
LIVE_BEFORE = 3.0  # seconds
# Half of it silent, half of it dead: together longer than a post waits for Kafka.
AWAY = float(os.environ.get("HUB_TESTS_KAFKA_AWAY_SECONDS", "12"))
LOGINS = range(1000, 1200)
PATIENCE = aiohttp.ClientTimeout(total=30)
CATCHERS = 8
# What was refused is told again in larger arrays, as the pages advise. Ten at a time, eight posts at once, is a pace the
# poster sets by waiting for each answer: the hub was never busy with that.
TOLD_AGAIN = 100
DRAIN_SECONDS = 60.0 + AWAY

Parcel = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Scene:
    """Nothing but what takes part: every process here shares the machine with those whose pace is told."""

    fleet: Fleet
    postgres: Postgres
    kafka: Kafka
    client: HubClient
    receiver: VerifyingReceiver

    @property
    def door(self) -> HubProcess:
        return self.fleet.processes["door"]

    def cpu(self) -> dict[str, float]:
        """Return the CPU each one has used, in seconds; the sources and the receiver are this process itself."""
        used = {name: cpu_seconds(process.program.pid) for name, process in self.fleet.processes.items()}
        servers = {"PostgreSQL": self.postgres.services, "Kafka": self.kafka.services}
        for name, services in servers.items():
            used[name] = sum(cpu_seconds(pid, children=True) for each in services for pid in each.family())
        return {**used, "the test": cpu_seconds(os.getpid())}


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Scene]:
    (folder / "no-workflows").mkdir()
    with folder_for_services() as where:
        async with (
            Postgres(where / "postgres") as postgres,
            Kafka(where / "kafka") as kafka,
            Fleet(
                folder, postgres, kafka, f"away-{time.monotonic_ns()}", workflows=[folder / "no-workflows"]
            ) as fleet,
            VerifyingReceiver() as receiver,
        ):
            door = await fleet.start("door", *ROLES["door"])
            async with HubClient(door, patience=DRAIN_SECONDS) as client:
                _, secret = await client.create_endpoint(receiver.url)
                receiver.trust(secret)
                async with asyncio.TaskGroup() as group:
                    for name in ROLES.keys() - {"door"}:
                        group.create_task(fleet.start(name, *ROLES[name]))
                scene = Scene(fleet, postgres, kafka, client, receiver)
                try:
                    await ready(scene)
                    yield scene
                except (Exception, asyncio.CancelledError) as error:
                    error.add_note(fleet.tails())
                    raise


async def ready(scene: Scene, *, within: float = 60.0) -> None:
    deadline = time.monotonic() + within
    while problems := await scene.fleet.problems():
        assert time.monotonic() < deadline, problems
        await asyncio.sleep(0.1)


class LiveSource:
    """Posts parcels at a steady rate whatever becomes of them, and notes what it was answered and when."""

    def __init__(self, scene: Scene, session: aiohttp.ClientSession) -> None:
        self._door = scene.door
        self._session = session
        self.posted = 0
        self.acknowledged: set[str] = set()
        self.refused: deque[Parcel] = deque()
        self.answers: Counter[int] = Counter()
        self.first_refusal: float | None = None
        self.complaints: list[str] = []

    async def pour(self, stop: asyncio.Event) -> None:
        """Return when told to stop and every post is answered."""
        due = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for number in itertools.count():
                if stop.is_set():
                    return
                parcel = town.closes(PARCEL, LOGINS, number, first=number * PARCEL)
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
                self.first_refusal = self.first_refusal or time.monotonic()
                self.refused.append(parcel)
            else:
                self.complaints.append(f"{answer.status} {dict(answer.headers)}: {body[:300]!r}")


async def tell_again(scene: Scene, source: LiveSource) -> None:
    while source.refused:
        parcel: Parcel = []
        while source.refused and len(parcel) < TOLD_AGAIN:
            parcel += source.refused.popleft()
        source.acknowledged.update(await scene.client.post_until_acknowledged(parcel))


async def stored(scene: Scene, count: int, *, within: float) -> None:
    """Return once the log holds so many closes; it is asked where that costs the hub nothing."""
    connection = await asyncpg.connect(scene.fleet.dsn)
    try:
        deadline = time.monotonic() + within
        while (found := await connection.fetchval("SELECT count(*) FROM fact")) < count:
            assert time.monotonic() < deadline, f"{count - found} acknowledged events are not in the log"
            await asyncio.sleep(0.05)
    finally:
        await connection.close()


def spent(before: Mapping[str, float], after: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {after[name] - before[name]:.1f}" for name in before)


@pytest.mark.chaos
@pytest.mark.timeout(240 + 3 * AWAY)
async def test_while_kafka_is_away_a_post_is_acknowledged_or_refused_and_later_everything_is_there_once(
    tmp_path: Path,
) -> None:
    async with (
        opened(tmp_path) as scene,
        aiohttp.ClientSession(timeout=PATIENCE, connector=aiohttp.TCPConnector(limit=0)) as session,
    ):
        source = LiveSource(scene, session)
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(source.pour(stop))
            await asyncio.sleep(LIVE_BEFORE)
            gone = time.monotonic()
            await scene.kafka.pause()
            await asyncio.sleep(AWAY / 2)
            await scene.kafka.kill()
            await asyncio.sleep(AWAY / 2)
            await scene.kafka.start()
            back = time.monotonic()
            known = len(source.acknowledged)
            await eventually(
                lambda: len(source.acknowledged) > known, within=30, what="posts are acknowledged again"
            )
            again = time.monotonic()
            stop.set()
        backlog = sum(map(len, source.refused))
        before, began = scene.cpu(), time.monotonic()
        async with asyncio.TaskGroup() as group:
            for _ in range(CATCHERS):
                group.create_task(tell_again(scene, source))
        told = time.monotonic() - began
        await stored(scene, len(source.acknowledged), within=DRAIN_SECONDS)
        took = time.monotonic() - began
        first = (source.first_refusal or gone) - gone
        print(
            f"\nKafka away for {back - gone:.0f} s at {RATE} events/s: {source.posted} posted, answers"
            f" {dict(source.answers)}, first 503 after {first:.1f} s; acknowledged again {again - back:.1f} s after"
            f" Kafka was back; {backlog} refused events were told again in {told:.1f} s and stored after"
            f" {took:.1f} s: {backlog / took:.0f}/s, {backlog / took / RATE:.1f} times the live rate;"
            f" CPU s meanwhile: {spent(before, scene.cpu())}"
        )

        assert source.complaints == []
        assert source.answers[202] > 0
        assert source.answers[503] > 0, "no post was refused: Kafka was not away long enough"
        await ready(scene)
        await town.drained(scene.client, scene.receiver, source.acknowledged, within=DRAIN_SECONDS)
        found = Records(
            acknowledged=frozenset(source.acknowledged),
            logged=await town.logged(scene.client),
            verified=scene.receiver.verified,
            asked=await town.asked(scene.client),
            ledger=[],
            expected={},
            receiver_complaints=scene.receiver.complaints,
        )
        assert breaches(found) == []
        assert len(source.acknowledged) == source.posted
