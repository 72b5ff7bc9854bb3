"""A rule with a mistake is put right while its runs are open: they go over at a terminal, over a killed hub."""

import asyncio
import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from processes.client import HubClient
from processes.harness import HubProcess
from processes.scaled import Fleet
from processes.services import Kafka, Postgres
from processes.terminal import typed

WITHIN = 30.0
RULE = """\
schema: 1
id: notice
title: Tell of a deposit once it was traded with
owner: tests
mode: live
when: [{id: money, event: deposit.completed}]
steps:
"""
PAUSE = "  - {id: traded, wait: {event: trade.opened, timeout: 30d, on_timeout: stop}}\n"
TOLD = "  - {do: event.publish, with: {type: custom.told, data: {said: %s}}}\n"
ASKS = "  - {id: sign_off, approve: {permission: money.approve, within: 24h}}\n"


def terminal(hub: HubProcess, *arguments: str) -> tuple[int, str, str]:
    return typed(hub, "runs", *arguments)


def an_event(name: str, number: int, **data: Any) -> dict[str, Any]:
    return {
        "type": name,
        "timestamp": datetime.now(UTC).isoformat(),
        "account": {"server": "live-1", "login": 7001, "currency": "USD"},
        "data": data,
        "dedupe_key": f"n{number}",
    }


def a_deposit() -> dict[str, Any]:
    return an_event("deposit.completed", 1, request="d1", amount="100", currency="USD")


def a_trade() -> dict[str, Any]:
    return an_event("trade.opened", 2, symbol="EURUSD", side="buy", lots="1", price="1.1", position=5)


async def until_there_are(client: HubClient, path: str, count: int) -> list[dict[str, Any]]:
    deadline = time.monotonic() + WITHIN
    while len(found := (await client.get(path))["items"]) < count:
        assert time.monotonic() < deadline, found
        await asyncio.sleep(0.05)
    return list(found)


async def edit(client: HubClient, file: Path, text: str) -> None:
    """Write the file, and wait until what it says is live."""
    before = (await client.get("/v1/workflows"))["items"][0]["version"]
    await asyncio.to_thread(file.write_text, text, encoding="utf-8")
    deadline = time.monotonic() + WITHIN
    while (await client.get("/v1/workflows"))["items"][0]["version"] == before:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


@pytest.mark.scenario
async def test_open_runs_go_over_to_the_text_that_was_put_right(tmp_path: Path) -> None:
    file = tmp_path / "notice.yaml"
    file.write_text(RULE + PAUSE + TOLD % "wrong", encoding="utf-8")
    hub = HubProcess(tmp_path / "hub", workflows=[file])
    await hub.start()
    try:
        async with HubClient(hub) as client:
            await client.post_until_acknowledged([a_deposit()])
            (run,) = await until_there_are(client, "/v1/runs?state=running&workflow=notice", 1)
            assert terminal(hub, "migrate", "notice")[:2] == (0, "no run is of an older version\n")
            await edit(client, file, RULE + "  - {id: lock, do: account.disable}\n" + PAUSE + TOLD % "right")

            code, out, error = terminal(hub, "migrate", "notice", "--dry-run", "--json")
            assert (code, error) == (0, "")
            (told,) = json.loads(out)
            assert (told["state"], told["left_out"]) == ("would move", ["lock (account.disable)"])
            assert (await client.get(f"/v1/runs/{run['id']}"))["version"] == run["version"]

            code, out, _ = terminal(hub, "migrate", "notice", "--run", run["id"])
            assert code == 0
            assert "moved" in out
            assert "1 moved, 0 did not" in out

        await hub.kill()
        await hub.start()

        async with HubClient(hub) as client:
            assert (await client.get(f"/v1/runs/{run['id']}"))["version"] == told["live"]
            code, out, _ = terminal(hub, "show", run["id"])
            assert code == 0
            assert "went over from version" in out
            await client.post_until_acknowledged([a_trade()])
            (event,) = await until_there_are(client, "/v1/events?type=custom.told", 1)
            assert event["data"] == {"said": "right"}
            assert (await client.get("/v1/actions"))["items"][0]["verb"] == "event.publish"
            code, out, _ = terminal(hub, "list", "--workflow", "notice", "--json")
            assert [(row["id"], row["state"]) for row in json.loads(out)] == [(run["id"], "done")]
            why = (await client.get("/v1/workflows/notice/why?key=live-1:7001"))["decided"]
            assert "moved" in {reason["outcome"] for reason in why}
    finally:
        await hub.stop()


@pytest.mark.scenario
async def test_what_stays_makes_the_exit_code_one(tmp_path: Path) -> None:
    file = tmp_path / "notice.yaml"
    file.write_text(RULE + ASKS + TOLD % "wrong", encoding="utf-8")
    hub = HubProcess(tmp_path / "hub", workflows=[file])
    await hub.start()
    try:
        async with HubClient(hub) as client:
            await client.post_until_acknowledged([a_deposit()])
            await until_there_are(client, "/v1/runs?state=running", 1)
            await edit(client, file, RULE + ASKS + TOLD % "right")

        for arguments in (("--dry-run",), ()):
            code, out, _ = terminal(hub, "migrate", "notice", *arguments)
            assert code == 1
            assert "it waits for an approval (step sign_off)" in out
        code, _, error = terminal(hub, "migrate", "nothing")
        assert code == 2
        assert "there is no workflow `nothing`" in error
    finally:
        await hub.stop()


@pytest.mark.scenario
async def test_what_is_ordered_at_one_process_is_done_by_the_one_that_owns_the_run(
    tmp_path: Path, postgres_server: Postgres, kafka_server: Kafka
) -> None:
    file = tmp_path / "notice.yaml"
    file.write_text(RULE + PAUSE + TOLD % "wrong", encoding="utf-8")
    prefix = f"test-runs-{time.monotonic_ns()}"
    async with Fleet(tmp_path / "fleet", postgres_server, kafka_server, prefix, workflows=[file]) as fleet:
        door = await fleet.start("door", "api")
        await fleet.start("engine-1", "engine")
        async with HubClient(door) as client:
            await client.post_until_acknowledged([a_deposit()])
            (run,) = await until_there_are(client, "/v1/runs?state=running", 1)
            await edit(client, file, RULE + PAUSE + TOLD % "right")

            code, out, error = terminal(door, "migrate", "notice", "--json")
            assert error == ""
            assert [each["run"] for each in json.loads(out)] == [run["id"]]
            assert code in {0, 1}  # `ordered` where the engine had other things to do
            live = json.loads(out)[0]["live"]
            deadline = time.monotonic() + WITHIN
            while (await client.get(f"/v1/runs/{run['id']}"))["version"] != live:
                assert time.monotonic() < deadline
                await asyncio.sleep(0.05)

            await client.post_until_acknowledged([a_trade()])
            (event,) = await until_there_are(client, "/v1/events?type=custom.told", 1)
            assert event["data"] == {"said": "right"}
