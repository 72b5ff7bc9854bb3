"""A hub of several processes: what is posted to one is decided by another and sent by a third, in order, and once."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from chaos.peaks import RULE, live_through_a_kill
from processes.client import HubClient
from processes.program import eventually
from processes.receiver import VerifyingReceiver
from processes.scaled import Fleet
from processes.services import Kafka, Postgres

SERVER = "live-1"


def closed(deal: int, login: int) -> dict[str, Any]:
    return {
        "type": "trade.closed",
        "timestamp": "2026-06-23T09:00:00.123Z",
        "account": {"server": SERVER, "login": login},
        "data": {
            "deal": deal,
            "position": deal,
            "symbol": "EURUSD",
            "side": "buy",
            "lots": "1.00",
            "profit": "-5.00",
        },
    }


CLIENTS = """\
schema: 1
id: active-client
title: A client has closed forty trades, whatever the accounts
owner: tests
mode: live
key: client
aggregates:
  n: {from: trade.closed, count: true, window: lifetime}
when: [{becomes: n >= 40}]
steps: [{do: event.publish, with: {type: custom.active_client, data: {client: = client.id, n: = n}}}]
"""


DECLARED = """\
schema: 1
event: custom.active_client
version: 2
about: A client has closed forty trades.
fields: {client: string, n: decimal}
"""


def belongs(login: int, client: str) -> dict[str, Any]:
    return {
        "type": "client.linked",
        "timestamp": datetime.now(UTC).isoformat(),
        "account": {"server": SERVER, "login": login},
        "data": {"client": client, "changed": {}},
        "dedupe_key": f"{client}-{login}",
    }


def told(kind: str, **data: Any) -> dict[str, Any]:
    return {"type": kind, "timestamp": datetime.now(UTC).isoformat(), "data": data}


@pytest.fixture
async def fleet(tmp_path: Path, postgres_server: Postgres, kafka_server: Kafka) -> AsyncIterator[Fleet]:
    prefix = f"test-{tmp_path.name[:40]}-{time.monotonic_ns()}"
    rules = tmp_path / "workflows"
    rules.mkdir()
    (rules / "active-client.yaml").write_text(CLIENTS, encoding="utf-8")
    (rules / "active-client-event.yaml").write_text(DECLARED, encoding="utf-8")
    (rules / "trailing.yaml").write_text(RULE, encoding="utf-8")
    async with Fleet(tmp_path, postgres_server, kafka_server, prefix, workflows=[rules]) as fleet:
        yield fleet


@pytest.mark.scenario
async def test_one_process_of_every_role_is_a_hub(fleet: Fleet) -> None:
    hub = await fleet.start("all")
    async with HubClient(hub) as client, VerifyingReceiver() as crm:
        _, secret = await client.create_endpoint(crm.url, ["trade.*"])
        crm.trust(secret)
        ids = await client.post_until_acknowledged([closed(n, 1000 + n % 7) for n in range(1, 101)])

        await eventually(lambda: len(crm.verified) == 100, within=30, what="all events were delivered")
        assert set(crm.verified) == set(ids)
        assert crm.complaints == []


@pytest.mark.scenario
async def test_a_killed_engine_is_replaced_and_nothing_is_lost_or_out_of_order(fleet: Fleet) -> None:
    door = await fleet.start("door", "api", "ingest")
    await asyncio.gather(
        fleet.start("engine-1", "engine"),
        fleet.start("engine-2", "engine"),
        fleet.start("sender-1", "dispatch"),
        fleet.start("sender-2", "dispatch"),
    )
    async with HubClient(door) as client, VerifyingReceiver() as crm:
        _, secret = await client.create_endpoint(crm.url, ["trade.*"])
        crm.trust(secret)
        ids: list[str] = []
        for batch in range(20):
            events = [closed(batch * 25 + n, 1000 + n) for n in range(1, 26)]
            ids += await client.post_until_acknowledged(events)
            if batch == 8:
                await fleet.processes["engine-1"].kill()
            if batch == 14:
                await fleet.processes["sender-1"].kill()

        await eventually(
            lambda: len(crm.verified) == 500,
            within=60,
            what="all events were delivered although an engine died",
        )
        assert set(crm.verified) == set(ids)
        assert crm.complaints == []
        by_account: dict[int, list[tuple[int, int]]] = {}
        for body in crm.bodies.values():
            event = orjson.loads(body)
            by_account.setdefault(event["account"]["login"], []).append(
                (event["sequence"], event["data"]["deal"])
            )
        for told in by_account.values():
            assert [sequence for sequence, _ in sorted(told)] == list(range(1, 21))
            assert [deal for _, deal in sorted(told)] == sorted(deal for _, deal in told)


@pytest.mark.scenario
async def test_what_a_killed_process_of_every_role_had_sent_and_not_written_is_sent_by_the_other(
    fleet: Fleet,
) -> None:
    first = await fleet.start("first")
    await fleet.start("second")
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(HubClient(first))
        receivers = [await stack.enter_async_context(VerifyingReceiver()) for _ in range(4)]
        for receiver in receivers:  # each process owns some, and sends to them what it decides itself
            _, secret = await client.create_endpoint(receiver.url, ["trade.*"])
            receiver.trust(secret)
        ids = await client.post_until_acknowledged([closed(n, 1000 + n) for n in range(1, 201)])
        await fleet.kill("second")
        ids += await client.post_until_acknowledged([closed(n, 1000 + n) for n in range(201, 401)])

        for receiver in receivers:
            await eventually(
                lambda of=receiver: len(of.verified) == 400,
                within=60,
                what="all events were delivered although the process that sent them died",
            )
            assert set(receiver.verified) == set(ids)
            assert receiver.complaints == []


@pytest.mark.scenario
async def test_a_client_is_followed_over_accounts_that_different_processes_decide(fleet: Fleet) -> None:
    door = await fleet.start("door", "api", "ingest", "dispatch")
    await asyncio.gather(fleet.start("engine-1", "engine"), fleet.start("engine-2", "engine"))
    async with HubClient(door) as client, VerifyingReceiver() as crm:
        # The door knows what is declared, and so do the engines: they read `n` out of a text to compare it.
        _, secret = await client.create_endpoint(crm.url, ["custom.active_client"], where="data.n >= 40")
        crm.trust(secret)
        with pytest.raises(AssertionError, match=r"data\.n.*should be a decimal"):
            await client.post_until_acknowledged([told("custom.active_client", client="a", n="x")])
        owners = {1000 + n: f"client-{n % 10}" for n in range(50)}
        await client.post_until_acknowledged([belongs(login, name) for login, name in owners.items()])
        for turn in range(8):
            deals = [closed(turn * 50 + n, login) for n, login in enumerate(owners, 1)]
            await client.post_until_acknowledged(deals)
            if turn == 4:
                await fleet.processes["engine-2"].kill()

        await eventually(lambda: len(crm.verified) == 10, within=60, what="every client was told of")
        said = [orjson.loads(body)["data"] for body in crm.bodies.values()]
        assert sorted((each["client"], each["n"]) for each in said) == [
            (f"client-{n}", "40") for n in range(10)
        ]
        assert crm.complaints == []


@pytest.mark.scenario
async def test_a_killed_owner_is_followed_by_one_that_knows_the_peak(fleet: Fleet) -> None:
    hub = await fleet.start("all")
    async with HubClient(hub) as client:
        await live_through_a_kill(hub, client)
