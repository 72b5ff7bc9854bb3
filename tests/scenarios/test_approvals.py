"""A payment that waits for two people, over a killed hub, decided at a terminal and over HTTP."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from processes.client import HubClient
from processes.harness import HubProcess
from processes.scaled import Fleet
from processes.services import Kafka, Postgres
from processes.terminal import typed

PAYOUT = """\
schema: 1
id: payout
title: Pay what two people have approved
owner: tests
mode: live
when: [{event: withdrawal.requested}]
steps:
  - id: sign_off
    approve: {permission: money.approve, quorum: 2, not_by: [= event.requested_by], within: 24h, text: "Pay {{ event.amount }}?"}
  - do: event.publish
    with: {type: custom.decided, data: {decision: = steps.sign_off.decision, by: = steps.sign_off.by}}
"""


def terminal(hub: HubProcess, key: str, *arguments: str) -> tuple[int, str, str]:
    return typed(hub, "approvals", *arguments, key=key)


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[HubProcess]:
    (tmp_path / "payout.yaml").write_text(PAYOUT, encoding="utf-8")
    process = HubProcess(tmp_path / "hub", workflows=[tmp_path / "payout.yaml"])
    async with AsyncExitStack() as stack:
        await process.start()
        stack.push_async_callback(process.stop)
        yield process


async def ask(hub: HubProcess, method: str, path: str, **more: Any) -> Any:
    async with (
        aiohttp.ClientSession(headers=hub.headers) as session,
        session.request(method, hub.url + path, **more) as response,
    ):
        return await response.json()


async def a_person(hub: HubProcess, name: str) -> str:
    made = await ask(hub, "POST", "/v1/keys", json={"name": name, "permissions": ["money.approve"]})
    return str(made["key"])


def a_request() -> dict[str, Any]:
    return {
        "type": "withdrawal.requested",
        "timestamp": datetime.now(UTC).isoformat(),
        "account": {"server": "live-1", "login": 7001},
        "data": {"request": "w1", "amount": "5000", "requested_by": "carl"},
        "dedupe_key": "w1",
    }


async def the_only_one(hub: HubProcess) -> dict[str, Any]:
    """Return what is asked, once it is."""
    deadline = time.monotonic() + 30
    while not (found := await open_ones(hub)):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)
    (asked,) = found
    return asked


async def open_ones(hub: HubProcess) -> list[dict[str, Any]]:
    return list((await ask(hub, "GET", "/v1/approvals"))["items"])


@pytest.mark.scenario
async def test_two_people_approve_over_a_killed_hub(hub: HubProcess) -> None:
    dora, emil, carl = [await a_person(hub, name) for name in ("dora", "emil", "carl")]
    async with HubClient(hub) as client:
        await client.post_until_acknowledged([a_request()])
    asked = await the_only_one(hub)

    code, out, _ = terminal(hub, dora, "show", asked["id"])
    assert code == 0
    assert "Pay 5000?" in out
    assert asked["hash"] in out
    assert terminal(hub, dora, "approve", asked["id"])[2].startswith("hub: say that you have looked at it")
    code, _, error = terminal(hub, carl, "approve", asked["id"], "--yes")
    assert code == 2
    assert "carl may not decide this" in error
    code, out, error = terminal(
        hub, dora, "approve", asked["id"], "--hash", asked["hash"], "--comment", "seen"
    )
    assert (code, error) == (0, "")
    assert out.strip() == f"{asked['id']} is open (1 of 2)"

    await hub.kill()
    await hub.start()

    async with HubClient(hub) as client:
        while "hub_approvals_open 1.0" not in await client.text("/metrics"):
            await asyncio.sleep(0.05)
    code, out, _ = terminal(hub, emil, "list", "--json")
    assert [row["votes"][0]["name"] for row in json.loads(out)] == ["dora"]
    assert "has approved already" in terminal(hub, dora, "approve", asked["id"], "--yes")[2]
    code, out, _ = terminal(hub, emil, "approve", asked["id"], "--yes", "--json")
    assert (code, json.loads(out)["state"]) == (0, "approved")
    assert "nobody decides it any more" in terminal(hub, emil, "decline", asked["id"])[2]

    events = (await ask(hub, "GET", "/v1/events?type=custom.decided,action.approved"))["items"]
    assert {event["type"]: event["data"] for event in events}["custom.decided"] == {
        "decision": "approved",
        "by": "dora, emil",
    }
    assert await open_ones(hub) == []
    code, out, _ = terminal(hub, emil, "list", "--state", "any")
    assert "dora: approve, emil: approve" in out


@pytest.mark.scenario
async def test_what_is_decided_at_one_process_is_done_by_the_one_that_owns_it(
    tmp_path: Path, postgres_server: Postgres, kafka_server: Kafka
) -> None:
    (tmp_path / "payout.yaml").write_text(PAYOUT, encoding="utf-8")
    prefix = f"test-approvals-{time.monotonic_ns()}"
    rules = [tmp_path / "payout.yaml"]
    async with Fleet(tmp_path / "fleet", postgres_server, kafka_server, prefix, workflows=rules) as fleet:
        door = await fleet.start("door", "api")
        await fleet.start("engine-1", "engine")
        async with HubClient(door) as client:
            await client.post_until_acknowledged([a_request()])
        asked = await the_only_one(door)
        dora, emil = [await a_person(door, name) for name in ("dora", "emil")]
        assert await says(door, dora, asked) in {200, 202}

        await fleet.kill("engine-1")
        assert await says(door, emil, asked) == 202  # on disk, for whoever owns it next
        await fleet.start("engine-2", "engine")

        deadline = time.monotonic() + 60
        while await open_ones(door):
            assert time.monotonic() < deadline, fleet.tails()
            await asyncio.sleep(0.05)
        decided = await ask(door, "GET", f"/v1/approvals/{asked['id']}")
        assert decided["state"] == "approved"
        assert [vote["name"] for vote in decided["votes"]] == ["dora", "emil"]


async def says(hub: HubProcess, key: str, asked: dict[str, Any]) -> int:
    body = {"decision": "approve", "hash": asked["hash"]}
    async with (
        aiohttp.ClientSession(headers={"X-API-Key": key}) as session,
        session.post(f"{hub.url}/v1/approvals/{asked['id']}/decision", json=body) as response,
    ):
        return response.status
