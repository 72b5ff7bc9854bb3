"""A prop house whose hub is killed while a peak is being followed."""

import asyncio
import time
from datetime import UTC, datetime
from typing import Any

import aiohttp
from processes.client import HubClient
from processes.harness import HubProcess

SERVER, LOGIN = "live-1", 7001
RULE = """\
schema: 1
id: trailing
title: Breach 100 below the highest equity
owner: tests
mode: live
key: account
anchors:
  peak: {max: account.equity}
when: [{crosses: {value: account.equity, below: peak - 100}}]
steps: [{do: event.publish, with: {type: custom.breached, data: {equity: = trigger.value, limit: = trigger.limit}}}]
"""


async def sample(hub: HubProcess, equity: str) -> None:
    """Post one sample, until a hub takes it."""
    body = {
        "account": {"server": SERVER, "login": LOGIN},
        "equity": equity,
        "at": datetime.now(UTC).isoformat(),
    }
    deadline = time.monotonic() + 30
    async with aiohttp.ClientSession() as session:
        while True:
            try:
                async with session.post(f"{hub.url}/v1/samples", json=body, headers=hub.headers) as answer:
                    if answer.status == 202:
                        return
            except aiohttp.ClientError:
                pass
            assert time.monotonic() < deadline, "no hub took the sample"
            await asyncio.sleep(0.05)


async def opened(client: HubClient) -> None:
    """Let the hub hear of the account."""
    event: dict[str, Any] = {
        "type": "trade.closed",
        "timestamp": datetime.now(UTC).isoformat(),
        "account": {"server": SERVER, "login": LOGIN},
        "data": {"deal": 1, "symbol": "EURUSD", "side": "buy", "lots": "1.00", "profit": "-5.00"},
    }
    await client.post_until_acknowledged([event])


async def stands(client: HubClient) -> str:
    answer = await client.get("/v1/workflows/trailing/why", key=f"{SERVER}:{LOGIN}")
    return " ".join(each["text"] for each in answer["now"])


async def until_it_stands(client: HubClient, word: str) -> None:
    """Wait until `hub why` says something of the limit."""
    deadline = time.monotonic() + 30
    while word not in (said := await stands(client)):
        assert time.monotonic() < deadline, f"it did not come to {word}: {said}"
        await asyncio.sleep(0.05)


async def breaches(client: HubClient) -> list[str]:
    page = await client.get("/v1/events", type="custom.breached")
    return [item["data"]["limit"] for item in page["items"]]


async def live_through_a_kill(hub: HubProcess, client: HubClient) -> None:
    """Have a peak written, kill the hub, and breach the limit that follows it."""
    await opened(client)
    await until_it_stands(client, "no sample has been seen yet")
    await sample(hub, "1000")
    await sample(hub, "2000.50")
    await until_it_stands(client, "1900.5")  # as the store has it, which the watcher writes by itself

    await hub.kill()
    await hub.start()
    await sample(hub, "1900.50")
    await sample(hub, "1900.49")

    deadline = time.monotonic() + 30
    while not await breaches(client):
        assert time.monotonic() < deadline, "the account was not breached"
        await sample(hub, "1900.49")
    assert await breaches(client) == ["1900.5"]
