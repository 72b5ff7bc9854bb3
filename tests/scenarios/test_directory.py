"""A file of clients, three workflows that all want to write, and one person who gets two mails: also over a killed hub."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from email import message_from_bytes
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiosmtpd.smtp import SMTP
from processes.client import HubClient
from processes.harness import HubProcess
from processes.terminal import typed

OFFER = """\
schema: 1
id: offer-{number}
title: Offer something after a deposit
owner: tests
mode: live
key: {key}
when: [{{event: balance.deposited, where: event.amount_base > 100}}]
steps:
  - do: notify.email
    with: {{to: = client.email, subject: "Offer {number}", text: "Dear {{{{ client.first_name }}}}", category: marketing}}
"""
CLIENTS = (
    "id,email,first_name,consent_marketing,accounts\n"
    "c1,ann@example.com,Ann,true,live-1:7001 live-1:7002\n"
    "c2,bob@example.com,Bob,,live-1:8001\n"
    "c3,not an address,Eve,true,\n"
)


class Mailbox:
    """Counts messages by their ids: one whose answer was lost may come again, and is the same message then."""

    def __init__(self) -> None:
        self._known: set[str] = set()
        self.to: Counter[str] = Counter()

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        message = str(message_from_bytes(envelope.content)["Message-ID"])
        assert message != "None"
        if message not in self._known:
            self._known.add(message)
            self.to.update(envelope.rcpt_tos)
        return "250 OK"


@pytest.fixture
async def mailbox() -> AsyncIterator[tuple[Mailbox, int]]:
    found, loop = Mailbox(), asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(found, hostname="mail", loop=loop), "127.0.0.1", 0)
    async with server:
        yield found, server.sockets[0].getsockname()[1]


@pytest.fixture
async def hub(tmp_path: Path, mailbox: tuple[Mailbox, int]) -> AsyncIterator[HubProcess]:
    paths = []
    for number, key in enumerate(("account", "client", "account"), start=1):
        paths.append(tmp_path / f"offer-{number}.yaml")
        paths[-1].write_text(OFFER.format(number=number, key=key), encoding="utf-8")
    config = {
        "base_currency": "USD",
        "rates": {"EUR": "1.10"},
        "contact_policy": {"marketing": {"max": 2, "every": "7d"}},
        "mail": {"host": "127.0.0.1", "port": mailbox[1], "sender": "hub@broker.example", "starttls": False},
    }
    process = HubProcess(tmp_path / "hub", workflows=paths, config=config)
    async with AsyncExitStack() as stack:
        await process.start()
        stack.push_async_callback(process.stop)
        yield process


def terminal(hub: HubProcess, *arguments: str) -> tuple[int, str]:
    return typed(hub, *arguments)[:2]


def a_deposit(login: int, ticket: int, amount: str = "100", currency: str = "EUR") -> dict[str, Any]:
    return {
        "type": "balance.deposited",
        "timestamp": datetime.now(UTC).isoformat(),
        "account": {"server": "live-1", "login": login, "currency": currency},
        "data": {"ticket": ticket, "amount": amount},
    }


async def messages(hub: HubProcess, count: int) -> list[dict[str, Any]]:
    """Return all messages once there are so many and none of them waits."""
    deadline = time.monotonic() + 40
    async with aiohttp.ClientSession(headers=hub.headers) as session:
        while True:
            async with session.get(hub.url + "/v1/actions?limit=100") as response:
                found = list((await response.json())["items"])
            if len(found) >= count and all(each["state"] not in {"ready", "sending"} for each in found):
                return found
            assert time.monotonic() < deadline, [(each["key"], each["state"]) for each in found]
            await asyncio.sleep(0.05)


@pytest.mark.scenario
async def test_a_client_is_written_to_twice_whatever_asks_for_more(
    hub: HubProcess, mailbox: tuple[Mailbox, int], tmp_path: Path
) -> None:
    file = tmp_path / "clients.csv"
    file.write_text(CLIENTS, encoding="utf-8")

    code, out = terminal(hub, "clients", "import", str(file), "--json")
    told = json.loads(out)
    assert (code, told["accepted"], told["rejected"]) == (1, 2, 1)
    assert told["refusals"][0]["line"] == 4
    assert told["refusals"][0]["errors"][0]["field"] == "email"

    async with HubClient(hub) as client:
        await client.post_until_acknowledged([a_deposit(7001, 1), a_deposit(7002, 2), a_deposit(8001, 3)])
        first = await messages(hub, 9)
        await hub.kill()
        await hub.start()
        await client.post_until_acknowledged([a_deposit(7001, 4), a_deposit(7001, 5, "100", "USD")])
        every = await messages(hub, 12)

    states = Counter(each["state"] for each in first)
    assert states == {"delivered": 2, "suppressed": 7}
    assert Counter(each["state"] for each in every) == {"delivered": 2, "suppressed": 10}
    assert mailbox[0].to == {"ann@example.com": 2}
    assert {each["reason"].partition(":")[0] for each in every if each["state"] == "suppressed"} == {
        "contact policy",
        "client.consent_marketing is missing",
    }
