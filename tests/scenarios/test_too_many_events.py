"""A workflow that publishes too often is stopped by its breaker, though nothing it does is sent to a manager."""

import asyncio
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from processes.client import HubClient
from processes.harness import HubProcess

WITHIN = 30.0
CHATTY = """schema: 1
id: chatty
title: Tell of every close
mode: live
when: [{event: trade.closed}]
trip: {more_than: 5, risk: notify, within: 1h}
steps: [{do: event.publish, with: {type: custom.seen}}]
"""


def a_close(deal: int) -> dict[str, Any]:
    return {
        "type": "trade.closed",
        "timestamp": datetime.now(UTC).isoformat(),
        "account": {"server": "live-1", "login": 7001},
        "data": {"deal": deal, "symbol": "EURUSD", "side": "buy", "lots": "1"},
    }


@pytest.mark.scenario
async def test_what_it_publishes_trips_it_and_then_it_goes_on_in_shadow(tmp_path: Path) -> None:
    (tmp_path / "chatty.yaml").write_text(CHATTY)
    hub = HubProcess(tmp_path / "hub", workflows=[tmp_path / "chatty.yaml"])
    await hub.start()
    try:
        async with HubClient(hub) as client:
            await client.post_until_acknowledged([a_close(deal) for deal in range(1, 9)])
            deadline = time.monotonic() + WITHIN
            while (listed := (await client.get("/v1/workflows"))["items"][0])["mode"] != "shadow":
                assert time.monotonic() < deadline, listed
                await asyncio.sleep(0.05)
            await client.post_until_acknowledged([a_close(9)])
            while "shadow" not in {item["state"] for item in await actions(client)}:
                assert time.monotonic() < deadline
                await asyncio.sleep(0.05)
            published = (await client.get("/v1/events", type="custom.seen"))["items"]
            tripped = (await client.get("/v1/events", type="workflow.tripped"))["items"]
    finally:
        await hub.stop()

    assert len(published) == 8
    assert len(tripped) == 1
    assert "more events were published" in tripped[0]["data"]["because"]


async def actions(client: HubClient) -> list[dict[str, Any]]:
    return list((await client.get("/v1/actions", workflow="chatty"))["items"])
