"""Sources of a hub of several processes begin once engines have stored what was told before, and say so until then."""

import asyncio
import time
from pathlib import Path

import aiohttp
import pytest
from chaos import town
from processes.client import HubClient
from processes.harness import SimProcess
from processes.program import eventually
from processes.scaled import Fleet
from processes.services import Kafka, Postgres

WITHIN = 60.0


async def said_by(fleet: Fleet, name: str, words: str) -> None:
    """Return once what a process says of itself holds these words; nothing at all means that it is well."""
    deadline = time.monotonic() + WITHIN
    async with aiohttp.ClientSession() as session:
        while True:
            async with session.get(fleet.processes[name].url + "/readyz") as answer:
                said = await answer.text()
            if words in said if words else answer.status == 200:
                return
            assert time.monotonic() < deadline, said + fleet.tails()
            await asyncio.sleep(0.1)


async def kinds(client: HubClient) -> set[str]:
    return {event.type for event in await town.logged(client)}


@pytest.mark.scenario
@pytest.mark.timeout(240)
async def test_sources_tell_nothing_before_an_engine_has_stored_what_was_told_and_then_begin(
    tmp_path: Path, postgres_server: Postgres, kafka_server: Kafka
) -> None:
    sim = SimProcess(tmp_path, rate=5)
    await sim.start()
    (tmp_path / "none").mkdir()
    try:
        config = town.configuration(sim)
        prefix = f"wait-{time.monotonic_ns()}"
        async with Fleet(
            tmp_path, postgres_server, kafka_server, prefix, config=config, workflows=[tmp_path / "none"]
        ) as fleet:
            door = await fleet.start("door", "api")
            async with HubClient(door) as client:
                await client.post_until_acknowledged(town.closes(3, range(1000, 1010), 1))
                await fleet.start("source", "ingest")
                await said_by(fleet, "source", "sources wait to begin: 3 facts told before are not stored")
                output = fleet.processes["source"].program.output
                await eventually(
                    lambda: "connectors.wait" in output(), within=10, what="its log says so, too"
                )

                await fleet.start("engine", "engine")
                await said_by(fleet, "source", "")
                deadline = time.monotonic() + WITHIN
                while not {"trade.closed", "account.updated"} <= await kinds(client):
                    assert time.monotonic() < deadline, fleet.tails()
                    await asyncio.sleep(0.1)
                assert "connectors.begin" in output()
    finally:
        await sim.program.kill()
