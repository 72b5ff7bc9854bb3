"""Mail over TLS, with a way out of it, and told apart: nobody there, not now, and nobody knows."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiosmtpd.smtp import SMTP
from conformance.raw_server import raw_server
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pydantic import SecretStr

from hub.clock import ManualClock
from hub.dispatch.channels.email import EmailChannel
from hub.dispatch.channels.email_settings import EmailSettings
from hub.dispatch.effects.notifier import Bounced, Declined, Later, Sent, Unsure
from hub.dispatch.messages import message_id
from hub.dispatch.public_links import PublicLinks, PublicSettings
from hub.dispatch.return_path import ReturnPath
from hub.intents.intent import Intent, State

START = datetime(2026, 6, 23, 9, 0, tzinfo=UTC)
TO = "ann@example.com"
LINKS = PublicLinks(PublicSettings(url="https://hub.broker.example", link_secret="s" * 40))


def a_mail(key: str = "w/live-1:1001/t/e/mail", **params: Any) -> Intent:
    fields = {"to": TO, "subject": "Your bonus", "text": "Hello"} | params
    body = msgspec.json.encode({name: value for name, value in fields.items() if value is not None})
    return Intent(key, 1, "live-1:1001", "notify.email", body, "w", "r", "mail", "e1", State.READY, 0, 0)


class Mailbox:
    """Answers as told; breaks the connection off once it has the mail, or before, if it is to."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.came_from: list[str] = []
        self.rcpt = "250 OK"
        self.data = "250 OK"
        self.breaks_off_at = ""

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        if self.breaks_off_at == "rcpt":
            server.transport.abort()
        if self.rcpt.startswith("250"):
            envelope.rcpt_tos.append(address)
        return self.rcpt

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self.came_from.append(envelope.mail_from)
        self.mails.append(message_from_bytes(envelope.content, policy=policy.default))
        if self.breaks_off_at == "data":
            server.transport.abort()
        return self.data


@asynccontextmanager
async def a_server(mailbox: Mailbox, **options: Any) -> AsyncIterator[int]:
    from_start = options.pop("ssl", None)
    loop = asyncio.get_running_loop()

    made: list[SMTP] = []

    def make() -> SMTP:
        made.append(SMTP(mailbox, hostname="mail", loop=loop, **options))
        return made[-1]

    server = await loop.create_server(make, "127.0.0.1", 0, ssl=from_start)
    async with server:
        yield server.sockets[0].getsockname()[1]
        for each in made:  # what broke off in a handshake it leaves open
            for transport in (each.transport, each._original_transport):
                if transport is not None:
                    # Before Python 3.11.3 one that was lost in its handshake already has nothing to abort.
                    with contextlib.suppress(AttributeError):
                        transport.abort()
        for _ in range(5):
            await asyncio.sleep(0)


def channel(port: int, links: PublicLinks | None = LINKS, **more: Any) -> EmailChannel:
    back = more.pop("back", None)
    fields = {"host": "127.0.0.1", "port": port, "sender": "hub@broker.example", "timeout_s": 5} | more
    return EmailChannel(EmailSettings(**fields), ManualClock(START), links, back)


@pytest.fixture
async def mailbox() -> AsyncIterator[tuple[Mailbox, Callable[..., EmailChannel]]]:
    box = Mailbox()
    async with a_server(box) as port:
        yield box, lambda **more: channel(port, starttls=False, **more)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file with a key and the certificate of a mail server on this machine."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mail of a test")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(
            x509.KeyUsage(
                digital_signature=True,
                key_cert_sign=True,
                crl_sign=True,
                content_commitment=False,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path_factory.mktemp("tls") / "mail.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return file


def server_side(certificate: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    return context


async def test_a_server_without_tls_gets_no_mail_unless_somebody_said_so() -> None:
    box = Mailbox()
    async with a_server(box) as port:
        told = await channel(port).send(a_mail())

        assert not isinstance(told, Sent)
        assert box.mails == []
        assert await channel(port, starttls=None).send(a_mail()) == Sent()


async def test_mail_goes_over_starttls_to_whom_an_authority_vouches_for(certificate: Path) -> None:
    box = Mailbox()
    async with a_server(box, tls_context=server_side(certificate), require_starttls=True) as port:
        stranger = await channel(port).send(a_mail())
        trusted = await channel(port, ca_file=certificate).send(a_mail())

        assert isinstance(stranger, Later)
        assert trusted == Sent()
        assert len(box.mails) == 1


async def test_mail_goes_over_tls_from_the_start(certificate: Path) -> None:
    box = Mailbox()
    async with a_server(box, ssl=server_side(certificate)) as port:
        assert await channel(port, tls=True, ca_file=certificate).send(a_mail()) == Sent()
        assert not isinstance(await channel(port, tls=True).send(a_mail()), Sent)
        assert len(box.mails) == 1


async def test_marketing_has_a_way_out_that_takes_one_click_and_tells_nothing(
    mailbox: tuple[Mailbox, Callable[..., EmailChannel]],
) -> None:
    box, make = mailbox
    await make().send(a_mail(category="marketing"))

    mail = box.mails[0]
    link = str(mail["List-Unsubscribe"]).strip("<>")
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert link.startswith("https://hub.broker.example/v1/unsubscribe/")
    assert LINKS.message_of(link.rpartition("/")[2]) == message_id(a_mail().key)
    assert not any(word in link for word in ("1001", "ann", "live-1", "w/"))


@pytest.mark.parametrize("category", ["service", "transactional", "security", None])
async def test_what_is_no_marketing_has_none(
    mailbox: tuple[Mailbox, Callable[..., EmailChannel]], category: str | None
) -> None:
    box, make = mailbox
    await make().send(a_mail(category=category))
    await make(links=None).send(a_mail(category="marketing"))

    assert [mail["List-Unsubscribe"] for mail in box.mails] == [None, None]


async def test_a_mail_in_html_alone_has_text_made_of_it(
    mailbox: tuple[Mailbox, Callable[..., EmailChannel]],
) -> None:
    box, make = mailbox
    html = "<style>p{}</style><p>Hello <b>Ann</b></p><p>See <a href='https://broker.example/x'>here</a></p>"
    await make().send(a_mail(text=None, html=html))

    parts = {part.get_content_type(): part.get_content() for part in box.mails[0].iter_parts()}
    assert parts["text/plain"].replace("\r\n", "\n") == "Hello Ann\n\nSee here (https://broker.example/x)\n"
    assert "<b>Ann</b>" in parts["text/html"]


async def test_a_mail_that_says_nothing_is_not_sent(
    mailbox: tuple[Mailbox, Callable[..., EmailChannel]],
) -> None:
    box, make = mailbox

    assert isinstance(await make().send(a_mail(text=None)), Declined)
    assert box.mails == []


@pytest.mark.parametrize(
    ("where", "answer", "bounces"),
    [
        ("rcpt", "550 no such user", True),
        ("rcpt", "550 5.1.1 user unknown", True),
        ("rcpt", "550 5.1.10 null mx", True),
        ("rcpt", "550 5.2.1 mailbox disabled", True),
        ("rcpt", "553 mailbox name not allowed", True),
        ("rcpt", "550 5.7.1 your address is on a list", False),
        ("rcpt", "552 5.2.2 mailbox full", False),
        ("rcpt", "554 go away", False),
        ("data", "550 5.1.1 user unknown", True),
        ("data", "550 looks like spam", False),
        ("data", "554 5.7.1 looks like spam", False),
    ],
)
async def test_only_an_address_nobody_is_at_bounces(
    mailbox: tuple[Mailbox, Callable[..., EmailChannel]], where: str, answer: str, bounces: bool
) -> None:
    box, make = mailbox
    setattr(box, where, answer)

    told = await make().send(a_mail())

    assert isinstance(told, Declined)
    assert told.news == ((Bounced("email", TO, told.reason),) if bounces else ())


@pytest.mark.parametrize(("where", "kind"), [("rcpt", Later), ("data", Unsure)])
async def test_a_connection_lost_after_the_mail_was_handed_over_leaves_it_unknown(
    mailbox: tuple[Mailbox, Callable[..., EmailChannel]], where: str, kind: type[object]
) -> None:
    box, make = mailbox
    box.breaks_off_at = where

    assert isinstance(await make().send(a_mail()), kind)
    assert len(box.mails) == (where == "data")


async def test_a_server_that_never_answers_the_mail_leaves_it_unknown() -> None:
    ended = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail\r\n")
        while line := await reader.readline():
            if line.upper().startswith(b"DATA"):
                writer.write(b"354 go on\r\n")
                await reader.readuntil(b"\r\n.\r\n")
                await reader.read()  # until the other side gives up
                break
            writer.write(b"250 OK\r\n")
        writer.close()
        await writer.wait_closed()
        ended.set()

    async with raw_server(serve) as port:
        told = await channel(port, starttls=False, timeout_s=0.3).send(a_mail())
        await asyncio.wait_for(ended.wait(), 5)

    assert isinstance(told, Unsure)


async def test_a_mail_that_cannot_be_delivered_comes_back_to_an_address_of_its_own(
    mailbox: tuple[Mailbox, Callable[..., EmailChannel]],
) -> None:
    box, make = mailbox
    back = ReturnPath("bounces@broker.example", [SecretStr("s" * 40)])

    await make(back=back).send(a_mail())
    await make().send(a_mail())

    name = message_id(a_mail().key)
    assert box.came_from == [back.of(name), "hub@broker.example"]
    assert back.message_of(box.came_from[0]) == name
    assert [mail["From"] for mail in box.mails] == ["hub@broker.example"] * 2
