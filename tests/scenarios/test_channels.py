"""A client, told by mail, by text message and on his phone by one workflow, of a real hub of either shape: and what comes back."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiosmtpd.smtp import SMTP
from conformance.delivery_report_mails import POSTFIX, a_mail
from conformance.fake_chat import FakeChat, a_chat
from conformance.fake_fcm import FakeFcm, an_fcm
from conformance.fake_twilio import SID, TOKEN, FakeTwilio, a_twilio
from processes.client import HubClient
from processes.harness import HubProcess
from processes.scaled import Fleet
from processes.terminal import typed

from hub.engine.message_files import read_messages

PUBLIC = "https://hub.broker.example"
SECRET = "link-secret-of-a-scenario-and-long-enough"
WORKFLOW = """\
schema: 1
id: welcome
title: Tell a client of a deposit on every channel
owner: tests
mode: live
key: account
when: [{event: balance.deposited}]
steps:
  - id: mail
    do: notify.email
    with: {to: = client.email, template: thanks, vars: {amount: = event.amount}, category: marketing}
  - id: text
    do: notify.sms
    with: {to: = client.phone, text: "Thank you, {{ client.first_name }}", expires: 1h}
  - id: phone
    do: notify.push
    with: {to: = client.id, text: "Thank you", expires: 10m}
  - id: team
    do: notify.chat
    with: {team: sales, title: Deposit, text: "{{ client.first_name }}: {{ event.amount }}"}
"""
THANKS = """\
schema: 1
language: en
subject: Thank you
text: Thank you
"""
THANKS_IN_GERMAN = """\
schema: 1
subject: "{{ client.first_name }}: danke"
html: "<p>Dear <b>{{ client.first_name }}</b>, danke für {{ amount }}</p>"
"""
AS_MAIL = {"Content-Type": "message/rfc822"}
CHAT_TOKEN = "T0kenOfTheTeam"
PHONE, OLD_PHONE = "phone:" + "a" * 100, "old:" + "b" * 100


class Mailbox:
    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.came_from: list[str] = []

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        if address.startswith("nobody"):
            return "550 5.1.1 no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self.came_from.append(envelope.mail_from)
        self.mails.append(message_from_bytes(envelope.content, policy=policy.default))
        return "250 OK"


class Town:
    def __init__(
        self, hub: HubProcess, mailbox: Mailbox, twilio: FakeTwilio, fcm: FakeFcm, chat: FakeChat, words: Path
    ) -> None:
        self.words, self.chat = words, chat
        self.hub, self.mailbox, self.twilio, self.fcm = hub, mailbox, twilio, fcm

    async def ask(self, method: str, path: str, **body: Any) -> Any:
        async with (
            aiohttp.ClientSession(headers=self.hub.headers) as session,
            session.request(method, self.hub.url + path, **body) as response,
        ):
            assert response.status < 300, await response.text()
            return await response.json() if "json" in response.content_type else await response.text()

    async def workflows_know(self, address: str) -> None:
        """Return once the account's page shows it: workflows hear of a client a moment after the directory took it."""
        deadline = time.monotonic() + 30
        while (await self.ask("GET", "/v1/accounts/live-1/7001"))["client"]["email"] != address:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)

    async def messages(self, until: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Return the client's messages by channel, the newest of each, once they are as they are to be."""
        deadline = time.monotonic() + 30
        while True:
            items = (await self.ask("GET", "/v1/clients/c1/messages"))["items"]
            found = {item["channel"]: item for item in reversed(items)}
            if len(found) == 3 and until(found):
                return found
            assert time.monotonic() < deadline, found
            await asyncio.sleep(0.05)


@pytest.fixture(params=["one machine", "PostgreSQL and Kafka"])
async def town(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Town]:
    workflow = tmp_path / "welcome.yaml"
    workflow.write_text(WORKFLOW, encoding="utf-8")
    words = tmp_path / "templates"
    words.mkdir()
    (words / "thanks.yaml").write_text(THANKS, encoding="utf-8")
    (words / "thanks.de.yaml").write_text(THANKS_IN_GERMAN, encoding="utf-8")
    mailbox, loop = Mailbox(), asyncio.get_running_loop()
    async with AsyncExitStack() as stack:
        twilio = await stack.enter_async_context(a_twilio())
        fcm = await stack.enter_async_context(an_fcm())
        chat = await stack.enter_async_context(a_chat())
        server = await loop.create_server(lambda: SMTP(mailbox, hostname="m", loop=loop), "127.0.0.1", 0)
        await stack.enter_async_context(server)
        key = tmp_path / "firebase.json"
        key.write_text(fcm.account(), encoding="utf-8")
        port = server.sockets[0].getsockname()[1]
        config = {
            "delivering": {"allow_loopback_endpoints": True},
            "public": {"url": PUBLIC, "link_secret": SECRET},
            "mail": {
                "host": "127.0.0.1",
                "port": port,
                "sender": "hub@broker.example",
                "return_path": "bounces@broker.example",
                "starttls": False,
            },
            "sms": {"account_sid": SID, "auth_token": TOKEN, "sender": "+35722000000", "url": twilio.url},
            "push": {"service_account_file": str(key), "url": fcm.url},
            "chat": {"teams": {"sales": "sales_chat"}},
            "secrets": {"sales_chat": f"json://user:{CHAT_TOKEN}@{chat.host}/sales"},
        }
        if request.param == "one machine":
            hub = HubProcess(tmp_path / "hub", workflows=[workflow], config=config)
            await hub.start()
            stack.push_async_callback(hub.stop)
        else:
            servers = (request.getfixturevalue(f"{name}_server") for name in ("postgres", "kafka"))
            prefix = f"channels-{time.monotonic_ns()}"
            fleet = Fleet(tmp_path / "fleet", *servers, prefix, config=config, workflows=[workflow])
            hub = await (await stack.enter_async_context(fleet)).start("all")
        yield Town(hub, mailbox, twilio, fcm, chat, words)


def a_deposit(ticket: int) -> dict[str, Any]:
    return {
        "type": "balance.deposited",
        "timestamp": datetime.now(UTC).isoformat(),
        "account": {"server": "live-1", "login": 7001, "currency": "USD"},
        "data": {"ticket": ticket, "amount": "100"},
    }


def terminal(hub: HubProcess, *arguments: str) -> tuple[int, str]:
    code, printed, complained = typed(hub, *arguments)
    return code, printed + complained


@pytest.mark.scenario
async def test_a_client_is_told_on_every_channel_and_what_comes_back_is_heard(town: Town) -> None:
    person = {
        "email": "ann@example.com",
        "phone": "+35799000001",
        "first_name": "Ann",
        "consent_marketing": True,
        "language": "de-CH",
        "accounts": ["live-1:7001"],
    }
    await town.ask("PUT", "/v1/clients/c1", json=person)
    for token in (OLD_PHONE, PHONE):
        await town.ask("PUT", "/v1/clients/c1/devices", json={"token": token, "platform": "android"})
    town.fcm.says[OLD_PHONE] = ["unregistered"]

    async with HubClient(town.hub) as client:
        await client.post_until_acknowledged([a_deposit(1)])
        ended = await town.messages(lambda found: all(m["outcome"] == "delivered" for m in found.values()))

        version = read_messages([town.words]).sound["thanks"].version
        # Each stands with its client, with what it was made of.
        assert {channel: m["template"] for channel, m in ended.items()} == {
            "email": f"thanks.de@{version}",
            "sms": "welcome/text",
            "push": "welcome/phone",
        }
        assert len({m["version"] for m in ended.values()}) == 1
        assert ended["sms"]["ref"] == town.twilio.taken[0]["sid"]
        mail = town.mailbox.mails[0]
        assert "Dear Ann" in mail.get_body(("plain",)).get_content()
        assert mail["Subject"] == "Ann: danke"
        assert "<b>Ann</b>, danke für 100" in mail.get_body(("html",)).get_content()
        assert 3_500 < int(town.twilio.taken[0]["ValidityPeriod"]) <= 3_600
        assert list(town.fcm.shown) == [PHONE]
        devices = (await town.ask("GET", "/v1/clients/c1/devices"))["items"]
        assert len(devices) == 1
        # The team reads of it too, and that is no contact of the client's.
        deadline = time.monotonic() + 30
        while not town.chat.taken:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)
        assert {"title": "Deposit", "message": "Ann: 100"}.items() <= town.chat.taken[0][1].items()

        # The provider tells what became of the text message; anybody else does not.
        async with aiohttp.ClientSession() as outside:
            assert await town.twilio.tell(outside, town.hub.url, PUBLIC, 0, "delivered") == 204
            forged = town.twilio.taken[0]["StatusCallback"].replace(PUBLIC, town.hub.url)
            head = {"X-Twilio-Signature": "forged"}
            async with outside.post(forged, data={"MessageStatus": "failed"}, headers=head) as answer:
                assert answer.status == 403

            # One click, as a mail program makes it.
            link = str(mail["List-Unsubscribe"]).strip("<>").replace(PUBLIC, town.hub.url)
            async with outside.post(link, data={"List-Unsubscribe": "One-Click"}) as answer:
                assert answer.status == 200
        told = await town.messages(lambda found: "status" in found["sms"])
        assert told["sms"]["status"] == "delivered"

        await client.post_until_acknowledged([a_deposit(2)])
        last = await town.messages(
            lambda found: len(town.twilio.taken) == 2 and found["email"]["outcome"] != "ready"
        )
        assert (last["email"]["outcome"], last["email"]["reason"]) == (
            "suppressed",
            "suppressed: unsubscribed",
        )
        assert len(town.mailbox.mails) == 1

        # Nobody is at his new address: nothing is tried there again.
        await town.ask("PUT", "/v1/clients/c1", json=person | {"email": "nobody@example.com"})
        await town.workflows_know("nobody@example.com")
        await client.post_until_acknowledged([a_deposit(3)])
        await town.messages(lambda found: found["email"]["outcome"] == "exhausted")
        await client.post_until_acknowledged([a_deposit(4)])
        last = await town.messages(lambda found: found["email"]["outcome"] == "suppressed")
        assert last["email"]["reason"].startswith("suppressed: bounced: the address was refused: 550")

        # A mail that was taken comes back: anybody can claim that, and only the way it came from shows that it is so.
        await town.ask("PUT", "/v1/clients/c1", json=person | {"email": "gone@example.com"})
        await town.workflows_know("gone@example.com")
        await client.post_until_acknowledged([a_deposit(5)])
        last = await town.messages(
            lambda found: (
                found["email"]["address"] == "gone@example.com" and found["email"]["outcome"] == "delivered"
            )
        )
        back, own_id = town.mailbox.came_from[-1], town.mailbox.mails[-1]["Message-ID"]
        assert back.startswith("bounces+")
        for came_to, closed in (("bounces@broker.example", False), (back, True)):
            mail = a_mail(POSTFIX, to="gone@example.com", back=came_to, message_id=str(own_id))
            said = await town.ask("POST", "/v1/mail/bounces", data=mail, headers=AS_MAIL)
            assert (said["taken"], said["message"], said["closed"]) == (True, last["email"]["id"], closed)
        last = await town.messages(lambda found: found["email"]["outcome"] == "bounced")
        assert (last["email"]["status"], last["email"]["error"]) == ("bounced", "5.1.1")

    # Of several processes, one tells of it and another writes it into the log.
    deadline = time.monotonic() + 30
    while len(events := (await town.ask("GET", "/v1/events?type=notification.*"))["items"]) < 4:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)
    assert [event["type"] for event in events] == [
        "notification.token_invalidated",
        "notification.unsubscribed",
        "notification.bounced",
        "notification.bounced",
    ]
    code, out = terminal(town.hub, "clients", "messages", "c1", "--json")
    listed = json.loads(out)
    assert (code, len(listed)) == (0, 15)
    code, out = terminal(town.hub, "clients", "messages", "c1")
    assert f"thanks.de@{version} (" in out
    assert terminal(town.hub, "clients", "devices", "c1", "--remove", devices[0]["id"])[0] == 0
    assert terminal(town.hub, "clients", "devices", "c1")[1] == "c1 has no device that takes push messages\n"
    log = (town.hub.data.parent / "hub.log").read_text(encoding="utf-8")
    assert not [
        word for word in (TOKEN + ":", SECRET, CHAT_TOKEN, "PRIVATE KEY", "ya29.", PHONE) if word in log
    ]


@pytest.mark.scenario
async def test_a_text_message_whose_answer_was_lost_is_parked_also_over_a_killed_hub(town: Town) -> None:
    await town.ask(
        "PUT",
        "/v1/clients/c1",
        json={
            "email": "ann@example.com",
            "phone": "+35799000001",
            "first_name": "Ann",
            "consent_marketing": True,
            "accounts": ["live-1:7001"],
        },
    )
    town.twilio.breaks_off = town.twilio.takes_first = True

    async with HubClient(town.hub) as client:
        await client.post_until_acknowledged([a_deposit(1)])
        deadline = time.monotonic() + 30
        while not any(
            m["outcome"] == "parked" for m in (await town.ask("GET", "/v1/clients/c1/messages"))["items"]
        ):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)
        town.twilio.breaks_off = False
        await town.hub.kill()
        await town.hub.start()

        async with aiohttp.ClientSession() as outside:
            assert await town.twilio.tell(outside, town.hub.url, PUBLIC, 0, "delivered") == 204

    message = next(
        m for m in (await town.ask("GET", "/v1/clients/c1/messages"))["items"] if m["channel"] == "sms"
    )
    assert (message["outcome"], message["status"]) == ("parked", "delivered")
    assert len(town.twilio.taken) == 1
