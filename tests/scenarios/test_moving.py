"""A broker outgrows one machine: the hub that ran in a folder goes on as processes on Kafka and PostgreSQL."""

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from conformance.backends import SqliteBackend
from moving_kit import carry, live_in, tell
from processes.client import HubClient
from processes.harness import HubProcess
from processes.program import eventually
from processes.receiver import VerifyingReceiver
from processes.scaled import Fleet
from processes.services import Kafka, Postgres
from processes.terminal import ran

from hub.bus.kafka.client import producer
from hub.bus.kafka.settings import KafkaSettings
from hub.bus.log import InputKind
from hub.clock import SystemClock
from hub.errors import ConfigError
from hub.moving.inbox import prepare
from hub.testing import a_trade_closed

RULES = {
    "volume": """
schema: 1
id: volume
title: Ten lots in a life
mode: live
aggregates:
  total: {from: trade.closed, sum: event.lots, window: lifetime}
when:
  - becomes: total >= 10
steps:
  - id: tell
    do: event.publish
    with: {type: custom.ten_lots, data: {total: = total}}
""",
    "quiet": """
schema: 1
id: quiet
title: Nobody traded for a while
mode: live
aggregates:
  lately: {from: trade.closed, count: true, window: {sliding: 20s}}
when:
  - becomes: lately < 1
steps:
  - id: tell
    do: event.publish
    with: {type: custom.quiet, data: {}}
""",
}
OLD = {"delivering": {"schedule": [12, 12, 12, 12]}}


def closed(deal: int, login: int = 7001) -> dict[str, Any]:
    return {
        "type": "trade.closed",
        "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "account": {"server": "live-1", "login": login},
        "data": {
            "deal": deal,
            "position": deal,
            "symbol": "EURUSD",
            "side": "buy",
            "lots": "1.00",
            "profit": "1.00",
        },
    }


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    folder = tmp_path / "workflows"
    folder.mkdir()
    for name, text in RULES.items():
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
async def fleet(
    tmp_path: Path, rules: Path, postgres_server: Postgres, kafka_server: Kafka
) -> AsyncIterator[Fleet]:
    prefix = f"moving-{time.monotonic_ns()}"
    async with Fleet(
        tmp_path / "new", postgres_server, kafka_server, prefix, config=OLD, workflows=[rules]
    ) as fleet:
        yield fleet


async def hub(*arguments: object) -> tuple[int, str, str]:
    """Run a command of the hub; return how it ended and what it said."""
    return await asyncio.to_thread(ran, *map(str, arguments))


@pytest.mark.scenario
async def test_a_hub_that_moved_is_the_same_hub(tmp_path: Path, rules: Path, fleet: Fleet) -> None:
    old = HubProcess(tmp_path / "old", config=OLD, workflows=[rules])
    # The last is of an account that trades no more: that it is quiet, a timer of the old hub says in the new one.
    trades = [*(closed(deal) for deal in range(1, 6)), closed(6, login=7002)]
    async with VerifyingReceiver(refusing=1.0) as crm:
        ids = await live(old, crm, trades)
        await move(old, tmp_path / "new" / "hub.yaml")

        fleet.key = old.key
        new = await fleet.start("all")
        async with HubClient(new) as client:
            assert await client.post_until_acknowledged(trades) == ids
            await eventually(
                lambda: set(ids) <= set(crm.accepted), within=60, what="what waited was sent again"
            )
            more = await client.post_until_acknowledged([closed(deal) for deal in range(7, 12)])
            told = await eventually_told(crm, "custom.ten_lots")

            assert orjson.loads(told)["data"]["total"] in {"10", "10.00"}
            account = [event async for event in client.pages("/v1/events", account="live-1:7001")]
            trades_told = [event for event in account if event["type"] == "trade.closed"]
            assert {event["id"] for event in trades_told} == {*ids[:-1], *more}
            assert sorted(event["sequence"] for event in account) == list(range(1, len(account) + 1))
            await eventually_told(crm, "custom.quiet")
            assert await tell(fleet.dsn, f"SELECT FROM input WHERE kind = {InputKind.TIMER:d}")
    assert crm.complaints == []


async def live(old: HubProcess, crm: VerifyingReceiver, trades: Sequence[dict[str, Any]]) -> list[str]:
    """Run a hub until each of these was refused once and waits to be sent again; return what they are called."""
    await old.start()
    async with HubClient(old) as client:
        _, secret = await client.create_endpoint(crm.url, ["*"])
        crm.trust(secret)
        ids = await client.post_until_acknowledged(trades)
        await eventually(lambda: len(crm.verified) == len(ids), within=20, what="every event was tried")
        await decided(client)
    assert await old.stop() == 0
    assert not crm.accepted
    return ids


async def decided(client: HubClient) -> None:
    """Return once the engine has decided everything there is in the log."""
    deadline = time.monotonic() + 20
    while True:
        told = dict(re.findall(r"^(hub_\w+) (\S+)$", await client.text("/metrics"), re.MULTILINE))
        if float(told["hub_engine_decided_total"]) >= float(told["hub_log_rows_total"]):
            return
        assert time.monotonic() < deadline, told
        await asyncio.sleep(0.05)


async def move(old: HubProcess, to: Path) -> None:
    ended, said, errors = await hub("migrate", "--data", old.data, "--to", to, "--json")
    assert ended == 0, errors
    moved = {table["table"]: table["rows"] for table in json.loads(said)["tables"]}
    assert (moved["waiting"], moved["attempt"], moved["api_key"]) == (6, 6, 1)
    assert moved["timer"] > 0
    ended, said, errors = await hub("migrate", "--data", old.data, "--to", to)
    assert (ended, "already: nothing to do" in said) == (0, True), errors
    ended, _, errors = await hub("run", "--data", old.data, "--port", 0)
    assert (ended, "was moved to postgresql://" in errors) == (2, True)


async def eventually_told(crm: VerifyingReceiver, kind: str) -> bytes:
    await eventually(lambda: kind in crm.types.values(), within=60, what=f"{kind} was told")
    return next(crm.bodies[name] for name, what in crm.types.items() if what == kind)


@pytest.mark.scenario
async def test_a_table_that_differs_ends_the_move_with_1_and_is_named(tmp_path: Path, fleet: Fleet) -> None:
    await live_in(tmp_path / "old")
    await carry(tmp_path / "old", fleet.dsn, finish=False)
    await tell(fleet.dsn, "UPDATE intent SET due = due + 1 WHERE key = 'i1'")

    ended, said, _ = await hub("migrate", "--data", tmp_path / "old", "--to", tmp_path / "new" / "hub.yaml")

    assert ended == 1
    assert "not moved: intent of postgresql://" in said
    assert [line.split()[0] for line in said.splitlines() if line.endswith("DIFFERS")] == ["intent"]


@pytest.mark.scenario
async def test_a_rehearsal_says_what_moved_and_leaves_the_folder_as_it_was(
    tmp_path: Path, fleet: Fleet
) -> None:
    await live_in(tmp_path / "old")
    to = tmp_path / "new" / "hub.yaml"

    ended, said, errors = await hub("migrate", "--data", tmp_path / "old", "--to", to, "--keep")

    assert ended == 0, errors
    assert "every table says the same on both sides" in said
    another = await SqliteBackend(tmp_path / "another").open()
    await another.log.append([a_trade_closed()])
    await another.close()
    ended, _, errors = await hub("migrate", "--data", tmp_path / "another", "--to", to)
    assert (ended, "is not empty" in errors) == (2, True)
    assert not (tmp_path / "old" / "MOVED").exists()


@pytest.mark.scenario
async def test_topics_that_hold_records_of_another_hub_are_refused(kafka_server: Kafka) -> None:
    settings = KafkaSettings.model_validate(
        {"servers": kafka_server.bootstrap, "prefix": f"used-{time.monotonic_ns()}", "replication": 1}
    )
    topics = await prepare(settings, SystemClock())
    sender = producer(settings.connecting(), safe=True)
    await sender.start()
    await (await sender.send(topics[0], b"a fact", partition=17))
    await sender.stop()

    with pytest.raises(ConfigError, match=rf"there are records in {topics[0]}, "):
        await prepare(settings, SystemClock())


@pytest.mark.parametrize(
    "arguments", [["--data", "x"], ["--to", "x"], ["--data", "x", "--to", "x", "--config", "x"]]
)
async def test_half_a_move_is_misuse(arguments: list[str]) -> None:
    ended, _, errors = await hub("migrate", *arguments)

    assert (ended, "hub migrate --data DIR --to hub.yaml" in errors) == (2, True)


@pytest.mark.parametrize("address", ["127.0.0.1:1/hub", "[not an address"])
async def test_a_database_that_cannot_be_reached_is_told_without_its_password(
    tmp_path: Path, address: str
) -> None:
    await live_in(tmp_path / "old")
    to = tmp_path / "hub.yaml"
    store = {"postgres": f"postgresql://hub:geheim@{address}"}
    to.write_text(
        json.dumps({"store": store, "bus": {"kafka": {"servers": "127.0.0.1:1"}}}), encoding="utf-8"
    )

    ended, said, errors = await hub("migrate", "--data", tmp_path / "old", "--to", to)

    assert ended == 2
    assert errors.startswith("hub: ")
    assert "geheim" not in said + errors
    assert "Traceback" not in errors
