"""Messages to teams, with Apprise itself in its process, against a service that answers everything and answers nothing."""

import asyncio
import socket
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from conformance.fake_chat import FakeChat, a_chat
from pydantic import SecretStr
from structlog.testing import capture_logs

from hub.clock import ManualClock, to_us
from hub.dispatch.addresses import in_house
from hub.dispatch.channels.chat import CHAT, PAGE, ChatChannel
from hub.dispatch.channels.chat_meaning import PAUSE_US
from hub.dispatch.channels.chat_processes import ChatProcesses
from hub.dispatch.channels.chat_settings import TeamSettings
from hub.dispatch.effects.notifier import Declined, Later, Sent, Unsure
from hub.intents.intent import Intent, State

START = datetime(2026, 6, 23, 9, 0, tzinfo=UTC)
NOW = to_us(START)
TOKEN = "T0kenOfTheTeam"


def a_message(team: str, verb: str = CHAT, **params: Any) -> Intent:
    body = msgspec.json.encode({"team": team, "title": "Breach", "text": "7001 is at -5 %"} | params)
    return Intent(f"k/{team}", 1, "live-1:7001", verb, body, "w", "r", "s", "e", State.READY, NOW, NOW)


class Office:
    """Teams of one service, all over one process; a team is named as the path its messages are posted to."""

    def __init__(self, chat: FakeChat) -> None:
        self.chat = chat
        self.clock = ManualClock(START)
        self.processes = ChatProcesses(1)

    def channel(
        self, *teams: str, verb: str = CHAT, timeout_s: float = 20.0, loopback: bool = True, **urls: str
    ) -> ChatChannel:
        found = {team: f"json://user:{TOKEN}@{self.chat.host}/{team}" for team in teams} | urls
        return ChatChannel(
            verb,
            TeamSettings(teams=dict.fromkeys(found, "x"), timeout_s=timeout_s),
            {team: SecretStr(url) for team, url in found.items()},
            self.clock,
            allow_loopback=loopback,
            networks=[in_house("10.1.0.0/16")],
            processes=self.processes,
        )


@pytest.fixture
async def office() -> AsyncIterator[Office]:
    async with a_chat() as chat:
        office = Office(chat)
        yield office
        await office.processes.close()


async def test_a_team_reads_what_the_workflow_says_and_a_page_is_urgent(office: Office) -> None:
    chat, page = office.channel("risk"), office.channel("oncall", verb=PAGE)

    assert await chat.send(a_message("risk")) == Sent()
    assert await page.send(a_message("oncall", PAGE)) == Sent()

    (path, body), (_, urgent) = office.chat.taken
    assert path == "/risk"
    assert (body["title"], body["message"], body["type"]) == ("Breach", "7001 is at -5 %", "info")
    assert urgent["type"] == "failure"


async def test_every_answer_of_a_service_says_what_becomes_of_the_message(office: Office) -> None:
    expected: dict[int, type] = {
        302: Later,
        400: Declined,
        401: Later,
        403: Later,
        404: Later,
        408: Unsure,
        413: Declined,
        429: Later,
        500: Unsure,
        503: Unsure,
    }
    channel = office.channel(*(f"s{status}" for status in expected))
    for status in expected:
        office.chat.says[f"s{status}"] = [(status, {"Location": "/elsewhere", "Retry-After": "90"})]

    told = {}
    with capture_logs() as logged:
        for status in expected:
            told[status] = await channel.send(a_message(f"s{status}"))

    assert {status: type(each) for status, each in told.items()} == expected
    assert len(office.chat.taken) == len(expected), "every message went once, and no redirect was followed"
    assert told[429] == Later("answered 429: too many messages", 90_000_000)
    assert {line["team"] for line in logged} == {"s302", "s401", "s403", "s404"}
    assert not [word for word in (TOKEN, office.chat.host) if word in f"{logged}{told}"]

    # For as long as a service said, nothing is asked there; other teams are not held up.
    assert await channel.send(a_message("s429")) == Later(
        "its service takes nothing from us for now", 90_000_000
    )
    await office.clock.advance(timedelta(seconds=90))
    assert await channel.send(a_message("s429")) == Sent()


async def test_what_never_ends_is_ended_and_not_sent_again(office: Office) -> None:
    channel = office.channel("breaks", "hangs", "trickles", "large", "risk", timeout_s=0.4)

    told = [await channel.send(a_message(team)) for team in ("breaks", "hangs", "trickles")]

    assert [type(each) for each in told] == [Unsure, Unsure, Unsure]
    assert [path for path, _ in office.chat.taken] == ["/breaks", "/hangs", "/trickles"]
    assert await channel.send(a_message("trickles")) == Later(
        "its service takes nothing from us for now", PAUSE_US
    )
    # A process that was killed is followed by another one.
    assert await channel.send(a_message("large")) == Sent()
    assert await channel.send(a_message("risk")) == Sent()


async def test_nothing_but_http_to_open_addresses_leaves_the_process(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", f"http://{office.chat.host}")
    monkeypatch.setenv("https_proxy", f"http://{office.chat.host}")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        datagrams.bind(("127.0.0.1", 0))
        datagrams.settimeout(0)
        urls = {
            "metadata": f"jsons://{TOKEN}@169.254.169.254/latest",
            "inside": f"jsons://{TOKEN}@10.2.0.1/x",
            "datagram": f"rsyslog://127.0.0.1:{datagrams.getsockname()[1]}/user?token={TOKEN}",
            "mail": f"mailto://u:{TOKEN}@{office.chat.host}?from=a@example.com&to=b@example.com&smtp=127.0.0.1",
            "unknown": f"nosuchthing://{TOKEN}@{office.chat.host}",
        }
        strict = {"plain": f"json://{office.chat.host}", "here": f"jsons://{office.chat.host}"}
        channel, public = office.channel(**urls), office.channel(**strict, loopback=False)

        with capture_logs() as logged:
            told = {team: await channel.send(a_message(team)) for team in urls}
            told |= {team: await public.send(a_message(team)) for team in strict}

        with pytest.raises(BlockingIOError):
            datagrams.recv(1)
    reasons = {team: each.reason for team, each in told.items() if isinstance(each, Later)}
    assert reasons.keys() == told.keys()
    inside = "its host leads to an address that is not public and not in delivering.allow_networks"
    assert [reasons[team] for team in ("metadata", "inside", "here")] == [inside] * 3
    assert "not reached over HTTP" in reasons["datagram"]
    assert "not reached over HTTP" in reasons["mail"]
    assert "none that Apprise understands" in reasons["unknown"]
    assert "https only" in reasons["plain"]
    assert office.chat.taken == []
    assert TOKEN not in f"{told}{logged}"


async def test_a_token_stands_in_no_argument_environment_or_text_of_the_process(office: Office) -> None:
    channel = office.channel("risk")
    await channel.send(a_message("risk"))

    process, _ = office.processes._idle[0]
    about = Path(f"/proc/{process.pid}")
    seen = await asyncio.to_thread(
        lambda: (about / "cmdline").read_bytes() + (about / "environ").read_bytes()
    )

    assert TOKEN.encode() not in seen
    assert b"HUB_" not in seen
    assert TOKEN not in f"{channel.__dict__}"


async def test_a_message_that_cannot_be_sent_asks_nobody(office: Office) -> None:
    channel = office.channel("risk")
    wrong = [
        a_message("sales"),
        a_message("risk", to="ann"),
        a_message("risk", text=" "),
        a_message("risk", text="x" * 16_385),
        a_message("risk", expires="2026-06-23T08:59:59Z"),
    ]

    told = [await channel.send(each) for each in wrong]

    assert all(isinstance(each, Declined) for each in told)
    assert "risk are there" in str(told[0])
    assert "expired" in str(told[4])
    assert office.processes._idle == []
