"""A dispatcher that slept through its lease with a payment in its hand; and without the fence, the accounting tells."""

import asyncio
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from chaos import town
from chaos.accounting import MONEY, Effect, breaches
from chaos.fleet_town import FleetTown, Servers, open_town
from processes.harness import HUB
from processes.services import Kafka, Postgres

UNFENCED = (sys.executable, str(Path(__file__).with_name("unfenced.py")))
ROLES = {"door": ("api", "ingest"), "engine": ("engine",), "sender-1": ("dispatch",)}
# Of its way to the database, one way: long enough to stop a process between a commit and the news of it.
LATENCY = 0.06
WITHIN = 20.0


async def sleeping_with_a_payment_in_its_hand(fleet: FleetTown) -> list[str]:
    """Stop a dispatcher between noting that it sends and sending; wake it when another has paid. Return what was broken."""
    client, control = fleet.client, fleet.control
    await town.connected(client, control, fleet.sim, mt_remote_sessions=2)
    state = await control.get("/sim/state")
    login = next(account["login"] for account in state["accounts"] if account["platform"] == "mt4")
    events = town.closes(1, [login], seed=1)
    fleet.ways["sender-1"].latency = LATENCY
    acknowledged = await client.post_until_acknowledged(events)
    await fleet.sees("SELECT true FROM intent WHERE state = 'sending'", within=WITHIN)
    fleet.fleet.pause("sender-1")
    assert await payments(fleet) == [], "it was stopped too late to have the payment in its hand"
    await fleet.start("sender-2", "dispatch")
    await settled(fleet)
    fleet.fleet.resume("sender-1")
    awake = fleet.fleet.processes["sender-1"].program
    deadline = time.monotonic() + WITHIN
    while "action.server_of_another" not in awake.output() and len(await payments(fleet)) < 2:
        assert time.monotonic() < deadline, "it woke up and neither let go nor paid"
        await asyncio.sleep(0.05)
    await town.drained(client, fleet.receiver, set(acknowledged), within=WITHIN)
    return breaches(
        await town.records(
            client,
            control,
            fleet.receiver,
            acknowledged=frozenset(acknowledged),
            expected=town.expected_effects(events),
            told={},
        )
    )


async def payments(fleet: FleetTown) -> list[Effect]:
    return [effect for effect in await town.ledger(fleet.control) if effect.kind == "credit"]


async def settled(fleet: FleetTown) -> None:
    deadline = time.monotonic() + WITHIN
    while {action.state for action in await town.asked(fleet.client) if action.verb in MONEY} != {"applied"}:
        assert time.monotonic() < deadline, "the second dispatcher did not pay"
        await asyncio.sleep(0.1)


async def broken_by(hub: Sequence[str], folder: Path, servers: Servers) -> list[str]:
    async with open_town(folder, servers, rate=1, roles=ROLES, hub=hub) as fleet:
        return await sleeping_with_a_payment_in_its_hand(fleet)


@pytest.mark.chaos
async def test_a_dispatcher_that_slept_through_its_lease_does_not_pay_again(
    tmp_path: Path, postgres_server: Postgres, kafka_server: Kafka
) -> None:
    assert await broken_by((HUB,), tmp_path, Servers(postgres_server, kafka_server)) == []


@pytest.mark.chaos
async def test_without_the_fence_it_pays_again_and_the_accounting_tells(
    tmp_path: Path, postgres_server: Postgres, kafka_server: Kafka
) -> None:
    broken = await broken_by(UNFENCED, tmp_path, Servers(postgres_server, kafka_server))

    assert len(broken) == 1
    assert "is in the broker's ledger 2 times, not 1" in broken[0]
