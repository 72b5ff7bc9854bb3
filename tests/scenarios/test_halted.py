"""A person starts payments, halts everything, lets it go on; a workflow that pays too often is stopped, over restarts too."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from chaos import town
from processes.client import HubClient
from processes.harness import HubProcess, SimProcess
from processes.terminal import ran

WITHIN = 30.0
GOODWILL = """schema: 1
id: goodwill
title: Give credit that support asks for
mode: live
when: [{manual: {inputs: {amount: {type: number}}}}]
limit: {max: 100, every: 1d}
trip: {more_than: 2, risk: money, within: 1h}
steps: [{id: pay, do: credit.grant, with: {amount: = trigger.inputs.amount}}]
"""


@asynccontextmanager
async def a_desk(folder: Path) -> AsyncIterator[tuple[HubProcess, HubClient, SimProcess]]:
    files = folder / "rules"
    files.mkdir()
    (files / "goodwill.yaml").write_text(GOODWILL)
    sim = SimProcess(folder, rate=0)
    await sim.start()
    hub = HubProcess(folder, config=town.configuration(sim), workflows=[files])
    try:
        await hub.start()
        async with HubClient(hub) as client:
            yield hub, client, sim
    finally:
        await hub.stop()
        await sim.stop()


async def command(hub: HubProcess, *arguments: str) -> tuple[int, Any]:
    """Run a command of this hub; return its exit code and its JSON, or what it said was wrong."""
    code, out, err = await asyncio.to_thread(ran, *arguments, "--json", "--url", hub.url, "--key", hub.key)
    return code, json.loads(out) if code == 0 else err


async def states(client: HubClient) -> list[str]:
    found = await client.get("/v1/actions", workflow="goodwill")
    return sorted(item["state"] for item in found["items"])


async def credits_given(sim: SimProcess) -> int:
    async with aiohttp.ClientSession() as session:
        return sum(each.kind == "credit" for each in await town.ledger(town.Control(sim, session)))


async def become(client: HubClient, *wanted: str) -> None:
    deadline = time.monotonic() + WITHIN
    while (found := await states(client)) != sorted(wanted):
        assert time.monotonic() < deadline, found
        await asyncio.sleep(0.05)


async def known(hub: HubProcess, login: int) -> None:
    """Wait until the engine has heard of the account: before that nothing is started for it."""
    deadline = time.monotonic() + WITHIN
    url = f"{hub.url}/v1/accounts/{town.MT4}/{login}"
    async with aiohttp.ClientSession(headers=hub.headers) as session:
        while True:
            async with session.get(url) as answer:
                if answer.status == 200 and (await answer.json())["account"] is not None:
                    return
            assert time.monotonic() < deadline
            await asyncio.sleep(0.1)


@pytest.mark.scenario
async def test_a_person_starts_halts_resumes_and_resets(tmp_path: Path) -> None:
    async with a_desk(tmp_path) as (hub, client, sim):
        login = sim.on("mt4")[0].login
        key = f"{town.MT4}:{login}"
        await client.post_until_acknowledged(town.closes(2, [login], 1))
        await known(hub, login)

        async def pay(once: str) -> Any:
            body = {"key": key, "inputs": {"amount": 5}, "idempotency_key": once}
            async with (
                aiohttp.ClientSession(headers=hub.headers) as session,
                session.post(f"{hub.url}/v1/workflows/goodwill/start", json=body) as answer,
            ):
                assert answer.status == 202, await answer.text()
                return await answer.json()

        assert (await command(hub, "halt", "--because", "wrong prices"))[0] == 0
        code, asked = await command(
            hub, "workflows", "start", "goodwill", key, "--input", "amount=5", "--once", "one"
        )
        assert (code, asked["duplicate"]) == (0, False)
        await become(client, "ready")
        await hub.kill()
        await hub.start()
        await asyncio.sleep(2)  # long enough for whatever would not ask first
        assert await states(client) == ["ready"]
        assert await credits_given(sim) == 0

        assert (await command(hub, "resume", "--because", "mended"))[0] == 0
        await become(client, "applied")
        assert (await pay("one"))["duplicate"] is True
        assert await credits_given(sim) == 1

        for once in ("two", "three"):
            await pay(once)
            await become(client, *["applied"] * 2, *(["rejected"] if once == "three" else []))
        told = await client.get("/v1/events", type="workflow.tripped")
        assert len(told["items"]) == 1

        await hub.kill()
        await hub.start()
        await pay("four")
        await become(client, "applied", "applied", "rejected", "shadow")
        _, listed = await command(hub, "workflows", "list")
        assert "more than 2" in listed[0]["stopped"]

        code, said = await command(hub, "workflows", "start", "goodwill", key, "--input", "amount=much")
        assert code == 2
        assert "inputs.amount: it is a plain number" in said

        assert (await command(hub, "workflows", "reset", "goodwill", "--because", "looked"))[0] == 0
        deadline = time.monotonic() + WITHIN
        while (await client.get("/v1/workflows"))["items"][0]["mode"] != "live":
            assert time.monotonic() < deadline
            await asyncio.sleep(0.1)
        await pay("five")
        await become(client, "applied", "applied", "applied", "rejected", "shadow")
        metrics = await client.text("/metrics")
        assert 'hub_switched_off{what="actions"} 0.0' in metrics
