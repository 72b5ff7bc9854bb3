"""The pieces of mails that report a delivery, and how far any of them is looked at.

Anybody can send such a mail, so it is taken apart here, level by level and only so far: a parser of whole mails makes an
object of every blank line.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import Message
from email.parser import BytesHeaderParser
from email.policy import compat32
from typing import Final

MOST_PARTS: Final = 16
MOST_GROUPS: Final = 64
LONGEST_HEAD: Final = 32 * 1024
MOST_LINES: Final = 500  # of a head
LONGEST_FIELD: Final = 1_000
FAILED: Final = "failed"
CAME_TO: Final = ("To", "Delivered-To", "X-Original-To", "Envelope-To", "X-Envelope-To")
_ENHANCED: Final = re.compile(r"(?<![\d.])([245])\.(\d{1,3})\.(\d{1,3})(?![\d.])", re.ASCII)
_REPLY: Final = re.compile(r"(?<!\d)([245]\d\d)(?=[ \-]|$)", re.ASCII)
_SAYS_NOTHING: Final = re.compile(r"[245]\.(?:0\.0|5\.0)", re.ASCII)
_parse_whole: Final = BytesHeaderParser(policy=compat32).parsebytes


@dataclass(frozen=True, slots=True)
class Recipient:
    """`code` is the enhanced status code, "" where none is told; `reply` that of the server that refused, `said` its words."""

    address: str
    original: str
    action: str
    code: str
    reply: str
    said: str


@dataclass(frozen=True, slots=True)
class DeliveryReport:
    """`came_to` are the addresses the report itself was sent to; `message_id` is that of the mail it is of.

    `at_address`: its words say that it was the address that was refused, before the mail.
    """

    recipients: tuple[Recipient, ...]
    came_to: str
    message_id: str
    at_address: bool


@dataclass(frozen=True, slots=True)
class Part:
    """A mail, or a part of one: `kind` is its media type, `content` what stands below its head."""

    head: Message
    kind: str
    content: bytes

    def text(self) -> bytes:
        """Return the beginning of the content as it was before it was encoded."""
        whole = Message()
        if "Content-Transfer-Encoding" in self.head:
            whole["Content-Transfer-Encoding"] = field(self.head["Content-Transfer-Encoding"])
        whole.set_payload(self.content[:LONGEST_HEAD].decode("latin-1"))
        found = whole.get_payload(decode=True)
        return found if isinstance(found, bytes) else b""


def parse(head: bytes) -> Message:
    """Return the fields of a head, of its first lines."""
    return _parse_whole(b"\n".join(head.split(b"\n", MOST_LINES)[:MOST_LINES]))


def part(text: bytes) -> Part:
    head, _, content = (b"\n" + text).partition(b"\n\n")  # a part may have no head at all
    parsed = parse(head[1 : LONGEST_HEAD + 1])
    return Part(parsed, media(parsed).get_content_type(), content)


def media(head: Message) -> Message:
    """Return the one field that says what a part is, no longer than such a field is."""
    found = Message()
    found["Content-Type"] = field(head.get("Content-Type", "text/plain"))
    return found


def returned(text: bytes) -> Message:
    """Return the head of the mail that came back."""
    return parse(text.lstrip(b"\n").partition(b"\n\n")[0])


def reply_in(said: str) -> str:
    """Return the code of a server's reply, "" where there is none."""
    found = _REPLY.search(said)
    return found[1] if found is not None else ""


def code_of(status: str, said: str) -> str:
    """Return the code that says most: what the last server said wins over a field that says only that it failed."""
    own, heard = _ENHANCED.search(status), _ENHANCED.search(said)
    if own is not None and not _SAYS_NOTHING.fullmatch(own[0]):
        return own[0]
    return heard[0] if heard is not None else own[0] if own is not None else ""


def fields(head: Message, *names: str) -> Iterator[str]:
    for name in names:
        yield from (field(each) for each in head.get_all(name, [])[:4])


def field(value: object) -> str:
    """Return a field in one line, of printable characters."""
    text = " ".join(str(value)[:LONGEST_FIELD].split())
    return "".join(c if c.isprintable() else " " for c in text)
