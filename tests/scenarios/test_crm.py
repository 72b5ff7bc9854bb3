"""A deposit is told to a CRM by a real hub: once, also where an answer is lost."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from conformance.fake_hubspot import TOKEN, FakeHubSpot, a_hubspot
from processes.client import HubClient
from processes.harness import HubProcess

WORKFLOW = """\
schema: 1
id: crm-deposits
title: Tell the CRM of deposits
mode: live
key: account
when: [{event: balance.deposited}]
steps:
  - id: contact
    do: crm.upsert
    with: {id: = client.id, record: {email: = client.email, deposited: = event.amount}}
    timeout: 1m
  - do: crm.note
    with: {id: = client.id, text: "Deposited {{ event.amount }}, record {{ steps.contact.after.id }}"}
"""


class Town:
    def __init__(self, hub: HubProcess, hubspot: FakeHubSpot) -> None:
        self.hub, self.hubspot = hub, hubspot

    async def actions(
        self, client: HubClient, until: Callable[[dict[str, str]], bool], *, but: str = ""
    ) -> dict[str, dict[str, Any]]:
        """Return what was asked for by verb, the newest of each `but` one, once their states are as they are to be."""
        deadline = time.monotonic() + 30
        while True:
            items = (await client.get("/v1/actions"))["items"]
            found = {item["verb"]: item for item in reversed(items)}
            states = {verb: item["state"] for verb, item in found.items()}
            if all(item["key"] != but for item in found.values()) and until(states):
                return found
            assert time.monotonic() < deadline, found
            await asyncio.sleep(0.05)


@pytest.fixture
async def town(tmp_path: Path) -> AsyncIterator[Town]:
    workflow, token = tmp_path / "crm-deposits.yaml", tmp_path / "token"
    workflow.write_text(WORKFLOW, encoding="utf-8")
    token.write_text(TOKEN + "\n", encoding="utf-8")
    async with AsyncExitStack() as stack:
        hubspot = await stack.enter_async_context(a_hubspot())
        client = {
            "type": "contacts",
            "id": "hub_client_id",
            "fields": {"deposited": {"name": "last_deposit", "type": "number"}},
        }
        sales = {
            "kind": "hubspot",
            "token_file": str(token),
            "url": hubspot.url,
            "objects": {"client": client},
        }
        config = {"delivering": {"allow_loopback_endpoints": True}, "crm": {"sales": sales}}
        hub = HubProcess(tmp_path / "hub", workflows=[workflow], config=config)
        await hub.start()
        stack.push_async_callback(hub.stop)
        yield Town(hub, hubspot)


def a_deposit(ticket: int) -> dict[str, Any]:
    return {
        "type": "balance.deposited",
        "timestamp": datetime.now(UTC).isoformat(),
        "account": {"server": "live-1", "login": 7001, "currency": "USD"},
        "data": {"ticket": ticket, "amount": "100.50"},
    }


@pytest.mark.scenario
async def test_a_deposit_is_in_the_crm_once_and_a_note_whose_answer_was_lost_is_parked(town: Town) -> None:
    person = {"email": "ann@example.com", "accounts": ["live-1:7001"]}
    async with (
        aiohttp.ClientSession(headers=town.hub.headers) as session,
        session.put(town.hub.url + "/v1/clients/c1", json=person) as response,
    ):
        assert response.status < 300
    async with HubClient(town.hub) as client:
        await client.post_until_acknowledged([a_deposit(1)])
        told = await town.actions(client, lambda states: states.get("crm.note") == "delivered")
        assert told["crm.upsert"]["reason"] == "record 151 was made"
        record = {"hub_client_id": "c1", "email": "ann@example.com", "last_deposit": "100.50"}
        assert town.hubspot.records == {("contacts", "c1"): record}

        town.hubspot.loses, town.hubspot.takes_first = "notes", True
        await client.post_until_acknowledged([a_deposit(2)])
        lost = await town.actions(client, lambda states: states["crm.note"] == "parked")
        town.hubspot.loses = ""
        await client.post_until_acknowledged([a_deposit(3)])
        await town.actions(
            client, lambda states: states["crm.note"] == "delivered", but=lost["crm.note"]["key"]
        )

    assert "it may have been taken" in lost["crm.note"]["reason"]
    notes = [properties["hs_note_body"] for _, properties in town.hubspot.added]
    assert notes == ["Deposited 100.50, record 151"] * 3
    assert TOKEN not in (town.hub.data.parent / "hub.log").read_text(encoding="utf-8")
