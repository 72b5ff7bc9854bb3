"""Mail through a real SMTP server."""

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email import message_from_bytes, policy

import msgspec
import pytest
from aiosmtpd.smtp import SMTP
from pydantic import ValidationError

from hub.clock import ManualClock
from hub.dispatch.channels.email import EmailChannel
from hub.dispatch.channels.email_settings import EmailSettings
from hub.dispatch.effects.notifier import Declined, Later, Sent
from hub.intents.intent import Intent, State

CLOCK = ManualClock(datetime(2026, 6, 23, 9, 0, tzinfo=UTC))


class Mailbox:
    def __init__(self):
        self.mails = []
        self.rcpt_answer = "250 OK"
        self.data_answer = "250 OK"

    async def handle_RCPT(self, server, session, envelope, address, options):
        if self.rcpt_answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return self.rcpt_answer

    async def handle_DATA(self, server, session, envelope):
        if self.data_answer.startswith("250"):
            self.mails.append(message_from_bytes(envelope.content, policy=policy.default))
        return self.data_answer


def an_intent(key="w/live-1:1001/t/e/mail", **params):
    fields = {"to": "trader1001@example.com", "subject": "Your bonus", "text": "Hello\nthere"} | params
    return Intent(
        key=key,
        partition=1,
        account="live-1:1001",
        verb="notify.email",
        params=msgspec.json.encode(fields),
        workflow="w",
        run="r",
        step="mail",
        caused_by="evt_1",
        state=State.READY,
        at=0,
        due=0,
    )


@asynccontextmanager
async def a_mail_server():
    mailbox = Mailbox()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(mailbox, hostname="mail", loop=loop), "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        settings = EmailSettings(
            host="127.0.0.1", port=port, sender="hub@broker.example", starttls=False, timeout_s=5
        )
        yield mailbox, EmailChannel(settings, CLOCK)


async def test_a_mail_arrives_with_an_id_that_stays_the_same():
    async with a_mail_server() as (mailbox, channel):
        intent = an_intent(subject="Über 20 lots")

        first, second = await channel.send(intent), await channel.send(intent)

        assert (first, second) == (Sent(), Sent())
        one, two = mailbox.mails
        assert one["Message-ID"] == two["Message-ID"] == channel.message_id(intent)
        assert one["Message-ID"] != channel.message_id(an_intent("another"))
        assert (one["To"], one["From"], one["Subject"]) == (
            "trader1001@example.com",
            "hub@broker.example",
            "Über 20 lots",
        )
        assert one.get_content().split() == ["Hello", "there"]


@pytest.mark.parametrize("subject", ["a\r\nBcc: x@y.example", "a\nb", "a\x00b", "a\u2028b", "a\x0bb"])
async def test_a_subject_with_a_line_break_is_refused_and_nothing_is_sent(subject):
    async with a_mail_server() as (mailbox, channel):
        assert isinstance(await channel.send(an_intent(subject=subject)), Declined)
        assert mailbox.mails == []


@pytest.mark.parametrize(
    "to", ["a@b.example\r\nBcc: x@y", "a@b.example,c@d.example", "nobody", "a b@c.example"]
)
async def test_an_address_that_is_more_than_one_is_refused(to):
    async with a_mail_server() as (mailbox, channel):
        assert isinstance(await channel.send(an_intent(to=to)), Declined)
        assert mailbox.mails == []


@pytest.mark.parametrize(
    ("where", "answer", "kind"),
    [
        ("rcpt_answer", "550 no such mailbox", Declined),
        ("rcpt_answer", "450 greylisted", Later),
        ("data_answer", "554 looks like spam", Declined),
        ("data_answer", "451 try later", Later),
    ],
)
async def test_4xx_is_for_later_and_5xx_is_no(where, answer, kind):
    async with a_mail_server() as (mailbox, channel):
        setattr(mailbox, where, answer)

        told = await channel.send(an_intent())

        assert isinstance(told, kind)
        assert answer[:3] in told.reason


async def test_a_server_that_is_not_there_is_for_later():
    settings = EmailSettings(host="127.0.0.1", port=1, sender="hub@broker.example", timeout_s=1)

    assert isinstance(await EmailChannel(settings, CLOCK).send(an_intent()), Later)


def test_a_password_is_only_sent_over_tls():
    with pytest.raises(ValidationError, match="starttls"):
        EmailSettings(host="mail", sender="hub@broker.example", starttls=False, user="u", password="p")


async def test_a_mail_in_html_has_its_text_beside_it():
    async with a_mail_server() as (server, channel):
        await channel.send(an_intent(html="<p>Hello <b>there</b></p>"))

        mail = server.mails[0]
        assert [part.get_content_type() for part in mail.iter_parts()] == ["text/plain", "text/html"]
        assert [part.get_content().split("\r\n") for part in mail.iter_parts()] == [
            ["Hello", "there", ""],
            ["<p>Hello <b>there</b></p>", ""],
        ]
