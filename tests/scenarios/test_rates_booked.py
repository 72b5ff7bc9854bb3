"""Money in dollars for an account in euros, over a hub that is killed while it waits for a rate."""

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

PRIZE = """\
schema: 1
id: prize
title: Give a prize to whoever closes a trade
owner: tests
mode: live
params: {prize: {type: money, default: 50, currency: USD}}
when: [{event: trade.closed}]
limit: {max: 9, every: 1d}
steps: [{id: pay, do: credit.grant, with: {amount: = params.prize}}]
"""
HEADER = "currency,rate,at\n"


def a_trade(deal: int, login: int = 7001) -> dict[str, Any]:
    return {
        "type": "trade.closed",
        "timestamp": datetime.now(UTC).isoformat(),
        "account": {"server": "live-1", "login": login, "currency": "EUR"},
        "data": {"deal": deal, "symbol": "EURUSD", "side": "buy", "lots": "1"},
    }


async def until(client: HubClient, path: str, count: int) -> list[dict[str, Any]]:
    deadline = time.monotonic() + 40
    while True:
        found = list((await client.get(path))["items"])
        if len(found) >= count:
            return found
        assert time.monotonic() < deadline, found
        await asyncio.sleep(0.05)


@pytest.mark.scenario
async def test_a_prize_in_dollars_waits_for_its_rate_over_a_kill_and_is_booked_once(tmp_path: Path) -> None:
    rates, workflow = tmp_path / "rates.csv", tmp_path / "prize.yaml"
    rates.write_text(HEADER, encoding="utf-8")
    workflow.write_text(PRIZE, encoding="utf-8")
    config = {"base_currency": "USD", "rates_file": str(rates)}
    hub = HubProcess(tmp_path / "hub", workflows=[workflow], config=config)
    await hub.start()
    try:
        async with HubClient(hub) as client:
            await client.post_until_acknowledged([a_trade(1)])
            (waiting,) = await until(client, "/v1/workflows/prize/runs", 1)
            assert waiting["state"] == "running"
            told = await client.get("/v1/workflows/prize/why", key="live-1:7001")
            assert "no rate of EUR is known" in json.dumps(told)
            await hub.kill()
            rates.write_text(f"{HEADER}EUR,1.0842,\n", encoding="utf-8")
            await hub.start()
            (paid,) = await until(client, "/v1/actions", 1)
            await client.post_until_acknowledged([a_trade(2)])
            every = await until(client, "/v1/actions", 2)
    finally:
        await hub.stop()

    assert paid["params"]["amount"] == "46.12"  # 50 / 1.0842 = 46.1169…
    converted = paid["params"]["$converted"]
    assert (converted["amount"], converted["currency"], converted["rate"]) == (
        "50",
        "USD",
        "0.922339051835",
    )
    assert len({each["key"] for each in every}) == 2


@pytest.mark.scenario
async def test_whichever_process_decides_an_account_learns_the_rate(
    tmp_path: Path, postgres_server: Postgres, kafka_server: Kafka
) -> None:
    rules = tmp_path / "workflows"
    rules.mkdir()
    (rules / "prize.yaml").write_text(PRIZE, encoding="utf-8")
    prefix = f"test-{tmp_path.name[:40]}-{time.monotonic_ns()}"
    config = {"base_currency": "USD", "rates": {"EUR": "1.25"}}
    async with Fleet(
        tmp_path, postgres_server, kafka_server, prefix, config=config, workflows=[rules]
    ) as fleet:
        door = await fleet.start("door", "api", "ingest")
        await asyncio.gather(fleet.start("engine-1", "engine"), fleet.start("engine-2", "engine"))
        async with HubClient(door) as client:
            await client.post_until_acknowledged([a_trade(n, login=7000 + n) for n in range(1, 21)])
            await until(client, "/v1/actions", 20)
            await fleet.processes["engine-2"].kill()
            await client.post_until_acknowledged([a_trade(n, login=7000 + n) for n in range(21, 41)])
            every = await until(client, "/v1/actions?limit=100", 40)

    assert {each["params"]["amount"] for each in every} == {"40.00"}
    assert len({each["key"] for each in every}) == len(every) == 40
