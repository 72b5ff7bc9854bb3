"""Mails that came back, over the interface and from the terminal as a mail server calls it."""

import asyncio
import io
import json
import os
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from conformance.api_bench import ApiBench, an_api
from conformance.delivery_report_mails import POSTFIX, a_mail
from processes.harness import HUB
from pydantic import SecretStr

from hub.commands.bounces import hand_on
from hub.control.keys import Scope
from hub.dispatch.contacts import Asked
from hub.dispatch.messages import message_id
from hub.dispatch.return_path import ReturnPath
from hub.errors import ConfigError
from hub.events.records import decode_envelope

NAME = message_id("i1")
BACK = ReturnPath("bounces@broker.example", [SecretStr("s" * 40)]).of(NAME)
MAIL = a_mail(POSTFIX, message_id="<x@y>", back=BACK)
AS_MAIL = {"Content-Type": "message/rfc822"}


@pytest.fixture
async def api() -> AsyncIterator[ApiBench]:
    async with an_api() as bench:
        fields = ("i1", "email", "ann@example.com", "c1", "live-1:7001", "service")
        await bench.contacts.admit(Asked(*fields, at=bench.clock.now_us(), template="w/mail"))
        yield bench


async def test_a_mail_that_came_back_ends_its_message_and_closes_its_address(api: ApiBench) -> None:
    status, said, _ = await api.ask(
        "POST", "/v1/mail/bounces", scope=Scope.MAIL_REPORT, data=MAIL, headers=AS_MAIL
    )

    assert status == 200
    assert (said["taken"], said["message"], said["code"], said["closed"]) == (True, NAME, "5.1.1", True)
    (listed,) = (await api.ask("GET", "/v1/clients/c1/messages"))[1]["items"]
    assert (listed["outcome"], listed["status"], listed["error"]) == ("bounced", "bounced", "5.1.1")
    (closed,) = (await api.ask("GET", "/v1/suppressions"))[1]["items"]
    assert (closed["address"], closed["channel"]) == ("ann@example.com", "email")
    assert [decode_envelope(row.body).type for row in api.rows()] == ["notification.bounced"]


@pytest.mark.parametrize(
    ("scope", "headers", "body", "status"),
    [
        (Scope.EVENTS_WRITE, AS_MAIL, MAIL, 403),
        (None, AS_MAIL, MAIL, 401),
        (Scope.MAIL_REPORT, {"Content-Type": "text/plain"}, MAIL, 415),
        (Scope.MAIL_REPORT, AS_MAIL, b"x" * ((1 << 20) + 1), 413),
        (Scope.MAIL_REPORT, AS_MAIL, b"", 200),
        (Scope.MAIL_REPORT, AS_MAIL, b"\0\xff" * 1_000, 200),
    ],
    ids=["scope", "no key", "type", "large", "empty", "no mail"],
)
async def test_what_is_no_mail_that_came_back_changes_nothing(
    api: ApiBench, scope: Scope | None, headers: dict[str, str], body: bytes, status: int
) -> None:
    found, said, _ = await api.ask(
        "POST", "/v1/mail/bounces", scope=scope, data=io.BytesIO(body), headers=headers
    )

    assert found == status
    assert status != 200 or said["taken"] is False
    assert api.rows() == []


async def test_a_mail_server_pipes_it_in(api: ApiBench) -> None:
    done = await asyncio.to_thread(
        subprocess.run,
        [HUB, "bounce", "--url", api.url],
        env={**os.environ, "HUB_KEY": a_key(api)},
        input=MAIL,
        capture_output=True,
        timeout=60,
        check=False,
    )

    said = done.stdout.decode()
    assert done.returncode == 0
    assert said.startswith(f"{NAME} came back: smtp; 550 5.1.1")
    assert said.endswith("nothing is sent to its address any more\n")


async def test_a_person_names_a_file_and_hears_what_is_wrong_with_it(
    api: ApiBench, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "mail.eml"
    file.write_bytes(b"Subject: I am away\n\nBack on Monday")

    assert await asyncio.to_thread(hand_on, file, api.url, a_key(api), as_json=True) == 0
    assert json.loads(capsys.readouterr().out)["taken"] is False
    # Nobody there, or nobody who can write: the mail server keeps it and tries again.
    assert await asyncio.to_thread(hand_on, file, "http://127.0.0.1:9", a_key(api), as_json=True) == 75
    with pytest.raises(ConfigError, match="cannot be read"):
        await asyncio.to_thread(hand_on, tmp_path / "none", api.url, a_key(api), as_json=True)
    file.write_bytes(b"x" * ((1 << 20) + 1))
    with pytest.raises(ConfigError, match="larger"):
        await asyncio.to_thread(hand_on, file, api.url, a_key(api), as_json=True)


def a_key(api: ApiBench) -> str:
    return api.headers(Scope.MAIL_REPORT)["Authorization"].removeprefix("Bearer ")
