"""A running hub is asked why, and its own log is told to another version beside it: with the real commands."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from processes.client import HubClient
from processes.harness import HubProcess
from processes.terminal import typed

RULE = """\
schema: 1
id: big-day
title: Tell of accounts that trade much in a day
owner: tests
mode: live
key: account
aggregates:
  lots: {{from: trade.closed, sum: event.lots, window: {{sliding: 1d}}}}
when: [{{id: volume, becomes: lots > {lots}}}]
steps: [{{do: event.publish, with: {{type: custom.big_day, data: {{lots: = lots}}}}}}]
"""
BEGINS = datetime.now(UTC) - timedelta(minutes=10)


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[HubProcess]:
    (tmp_path / "rule.yaml").write_text(RULE.format(lots=20), encoding="utf-8")
    process = HubProcess(tmp_path / "hub", workflows=[tmp_path / "rule.yaml"])
    async with AsyncExitStack() as stack:
        await process.start()
        stack.push_async_callback(process.stop)
        yield process


def terminal(hub: HubProcess, *arguments: str) -> tuple[int, str]:
    return typed(hub, *arguments)[:2]


def a_trade(deal: int, login: int, lots: str) -> dict[str, Any]:
    return {
        "type": "trade.closed",
        "timestamp": (BEGINS + timedelta(seconds=deal)).isoformat(),
        "account": {"server": "live-1", "login": login},
        "data": {"deal": deal, "symbol": "EURUSD", "side": "buy", "lots": lots},
    }


async def until_decided(hub: HubProcess, key: str) -> dict[str, Any]:
    """Return why, once something was decided for a key."""
    deadline = time.monotonic() + 30
    while True:
        code, out = await asyncio.to_thread(terminal, hub, "why", "big-day", key, "--json")
        said: dict[str, Any] = json.loads(out)
        if code == 0 and said["decided"]:
            return said
        assert time.monotonic() < deadline
        await asyncio.sleep(0.1)


@pytest.mark.scenario
async def test_a_plain_no_is_explained_and_the_log_is_told_to_another_version(
    hub: HubProcess, tmp_path: Path
) -> None:
    trades = [a_trade(1, 7001, "9.5"), a_trade(2, 7001, "8"), a_trade(3, 7002, "21"), a_trade(4, 7001, "1")]
    async with HubClient(hub) as client:
        await client.post_until_acknowledged(trades)
    fired = await until_decided(hub, "live-1:7002")
    assert fired["decided"][0]["outcome"] == "fired"

    code, out = terminal(hub, "why", "big-day", "live-1:7001", "--at", datetime.now(UTC).isoformat())
    assert code == 0
    assert "no: volume: lots > 20 is false (18.5 > 20)" in out
    assert "lots: 18.5 of 20, more than 1.5 to go" in out

    code, out = terminal(hub, "backtest", "big-day", "--data", str(hub.data), "--json")
    assert code == 0
    assert json.loads(out)["actions"] == {"event.publish": 1}

    (tmp_path / "next.yaml").write_text(RULE.format(lots=15), encoding="utf-8")
    page = tmp_path / "report.html"
    code, out = terminal(
        hub, "backtest", str(tmp_path / "next.yaml"), "--data", str(hub.data), "--html", str(page)
    )
    assert code == 0
    assert "1 only with" in out
    assert "live-1:7001" in page.read_text(encoding="utf-8")

    code, out = terminal(
        hub, "diff", "big-day", str(tmp_path / "next.yaml"), "--data", str(hub.data), "--from", "2020-01-01"
    )
    assert code == 1
    assert "+ Starts each time lots becomes greater than 15" in out
    assert "live-1:7001" in out
