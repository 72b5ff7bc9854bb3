"""Somebody edits the workflow files of a running hub: what is right is live a moment later, what is wrong takes nothing away."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from chaos.town import MT4, closes
from processes.client import HubClient
from processes.harness import HubProcess

WITHIN = 30.0
LOGIN = 1000
VOLUME = """schema: 1
id: volume
title: Tell of volume
mode: live
aggregates:
  lots: {{from: trade.closed, sum: event.lots, window: lifetime}}
when: [{{event: trade.closed, where: lots >= {lots}}}]
steps: [{{do: event.publish, with: {{type: custom.volume, data: {{lots: = lots}}}}}}]
"""
SMALL = """schema: 1
id: small
title: Tell of small trades
mode: live
when: [{event: trade.closed, where: event.lots < 100}]
steps: [{do: event.publish, with: {type: custom.small}}]
"""


@asynccontextmanager
async def a_hub(folder: Path) -> AsyncIterator[tuple[HubProcess, HubClient, Path]]:
    files = folder / "rules"
    files.mkdir()
    (files / "small.yaml").write_text(SMALL)
    hub = HubProcess(folder, workflows=[files])
    await hub.start()
    try:
        async with HubClient(hub) as client:
            yield hub, client, files
    finally:
        await hub.stop()


async def listed(client: HubClient, version: dict[str, str], *, unlike: str = "") -> dict[str, Any]:
    """Return what the hub says of its workflows, once these are live; `unlike`: and one is another than this."""
    deadline = time.monotonic() + WITHIN
    while True:
        told = await client.get("/v1/workflows")
        live = {item["id"]: item for item in told["items"]}
        if live.keys() == version.keys() and all(live[name]["version"] != unlike for name in live):
            return {**told, "live": live}
        assert time.monotonic() < deadline, told
        await asyncio.sleep(0.1)


async def told_of(client: HubClient, kind: str, count: int) -> list[Any]:
    """Return the events of a type, once there are so many."""
    deadline = time.monotonic() + WITHIN
    while True:
        found = [each async for each in client.pages("/v1/events", type=kind)]
        if len(found) >= count:
            assert len(found) == count, found
            return found
        assert time.monotonic() < deadline, f"{len(found)} of {count} {kind}"
        await asyncio.sleep(0.1)


async def trade(client: HubClient, lots: str, number: int) -> None:
    (event,) = closes(1, [LOGIN], number, first=number)
    event["data"]["lots"] = lots
    await client.post_until_acknowledged([event])


@pytest.mark.scenario
@pytest.mark.timeout(240)
async def test_a_new_file_counts_what_was_and_a_bad_one_changes_nothing(tmp_path: Path) -> None:
    async with a_hub(tmp_path) as (hub, client, files):
        await trade(client, "12", 1)
        await told_of(client, "custom.small", 1)

        # A new workflow knows of the trades before it.
        (files / "volume.yaml").write_text(VOLUME.format(lots=20))
        await listed(client, {"small": "", "volume": ""})
        await counted(client)
        await trade(client, "13", 2)
        (event,) = await told_of(client, "custom.volume", 1)
        assert event["data"] == {"lots": "25"}
        assert event["account"]["server"] == MT4

        # A typing error takes nothing away, also over a restart, and is named with its place.
        (files / "volume.yaml").write_text(VOLUME.format(lots=20).replace("when:", "wehn:"))
        deadline = time.monotonic() + WITHIN
        wrong = "volume.yaml:7:1: error: unknown key `wehn`; did you mean when?"
        while wrong not in str(problems := (await client.get("/v1/workflows"))["problems"]):
            assert time.monotonic() < deadline, problems
            await asyncio.sleep(0.1)
        await hub.kill()
        await hub.start()
        said = hub.program.output()
        assert "volume stays live as it was: its file cannot be used" in said
        assert "2 workflows, 2 live; 0 sources" in said
        await trade(client, "1", 3)
        assert (await told_of(client, "custom.volume", 2))[-1]["data"] == {"lots": "26"}

        # What is put right is live again, and an aggregate that did not change keeps its value.
        before = (await listed(client, {"small": "", "volume": ""}))["live"]["volume"]["version"]
        (files / "volume.yaml").write_text(VOLUME.format(lots=27))
        await listed(client, {"small": "", "volume": ""}, unlike=before)
        await trade(client, "1", 4)
        assert (await told_of(client, "custom.volume", 3))[-1]["data"] == {"lots": "27"}

        # A file that is deleted ends its workflow, and no other.
        (files / "volume.yaml").unlink()
        await listed(client, {"small": ""})
        await trade(client, "1", 5)
        await told_of(client, "custom.small", 5)
        await told_of(client, "custom.volume", 3)


async def counted(client: HubClient) -> None:
    """Return once new aggregates have counted the log."""
    deadline = time.monotonic() + WITHIN
    while "hub_engine_counting 0.0" not in await client.text("/metrics"):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.1)
