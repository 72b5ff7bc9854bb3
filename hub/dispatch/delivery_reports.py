"""What a mail server reports of a mail it could not deliver after it had taken it (RFC 3464), read from its mail.

Servers differ in what they fill in. Read is what Postfix, Exim and Exchange agree on: the groups of the machine's part,
and of the mail that came back its head. Anybody can send such a mail, so it is taken apart here, level by level and only
so far: a parser of whole mails makes an object of every blank line.
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
_ENHANCED: Final = re.compile(r"(?<![\d.])([245])\.(\d{1,3})\.(\d{1,3})(?![\d.])", re.ASCII)
_REPLY: Final = re.compile(r"(?<!\d)([245]\d\d)(?=[ \-]|$)", re.ASCII)
_SAYS_NOTHING: Final = re.compile(r"[245]\.(?:0\.0|5\.0)", re.ASCII)
_CAME_TO: Final = ("To", "Delivered-To", "X-Original-To", "Envelope-To", "X-Envelope-To")
_HEADS: Final = frozenset(
    {"text/rfc822-headers", "message/rfc822", "message/global-headers", "message/global"}
)
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
class _Part:
    """A mail, or a part of one: `kind` is its media type, `content` what stands below its head."""

    head: Message
    kind: str
    content: bytes

    def text(self) -> bytes:
        """Return the beginning of the content as it was before it was encoded."""
        whole = Message()
        if "Content-Transfer-Encoding" in self.head:
            whole["Content-Transfer-Encoding"] = _field(self.head["Content-Transfer-Encoding"])
        whole.set_payload(self.content[:LONGEST_HEAD].decode("latin-1"))
        found = whole.get_payload(decode=True)
        return found if isinstance(found, bytes) else b""


def read_report(mail: bytes) -> DeliveryReport | None:
    """Return what a mail reports; None for one that is no report of a delivery."""
    try:
        whole = _part(mail.replace(b"\r\n", b"\n"))
        if whole.kind != "multipart/report":
            return None
        parts = _parts(whole)
        status = next((part for part in parts if part.kind.endswith("delivery-status")), None)
        if status is None:
            return None
        returned = next((_returned(part) for part in parts if part.kind in _HEADS), Message())
        words = next((part.text() for part in parts if part.kind == "text/plain"), b"")
        return DeliveryReport(
            tuple(_recipients(status)),
            " ".join([*_fields(whole.head, *_CAME_TO), *_fields(returned, "Return-Path")]),
            _field(returned.get("Message-ID", "")),
            b"RCPT TO" in words.upper(),
        )
    except (ValueError, LookupError, TypeError, AttributeError):
        return None  # the library means well with every mail, and still stumbles over some made to that end


def _parse(head: bytes) -> Message:
    return _parse_whole(b"\n".join(head.split(b"\n", MOST_LINES)[:MOST_LINES]))


def _part(text: bytes) -> _Part:
    head, _, content = (b"\n" + text).partition(b"\n\n")  # a part may have no head at all
    parsed = _parse(head[1 : LONGEST_HEAD + 1])
    return _Part(parsed, _media(parsed).get_content_type(), content)


def _media(head: Message) -> Message:
    """Return the one field that says what a part is, no longer than such a field is."""
    media = Message()
    media["Content-Type"] = _field(head.get("Content-Type", "text/plain"))
    return media


def _parts(whole: _Part) -> list[_Part]:
    boundary = _media(whole.head).get_boundary()
    if not boundary:
        return []
    pieces = (b"\n" + whole.content).split(b"\n--" + boundary.encode("utf-8", "replace"), MOST_PARTS + 1)
    return [_part(piece.partition(b"\n")[2]) for piece in pieces[1 : MOST_PARTS + 1]]


def _returned(part: _Part) -> Message:
    """Return the head of the mail that came back."""
    text = part.text()
    return _parse(text.lstrip(b"\n").partition(b"\n\n")[0])


def _recipients(status: _Part) -> Iterator[Recipient]:
    for block in status.text().split(b"\n\n", MOST_GROUPS)[:MOST_GROUPS]:
        group = _parse(block.lstrip(b"\n"))
        if "Action" not in group:
            continue
        said = _field(group.get("Diagnostic-Code", ""))
        reply = _REPLY.search(said)
        yield Recipient(
            address=_address(group.get("Final-Recipient", "")),
            original=_address(group.get("Original-Recipient", "")),
            action=_field(group["Action"]).lower(),
            code=_code(_field(group.get("Status", "")), said),
            reply=reply[1] if reply is not None else "",
            said=said,
        )


def _code(status: str, said: str) -> str:
    """Return the code that says most: what the last server said wins over a field that says only that it failed."""
    own, heard = _ENHANCED.search(status), _ENHANCED.search(said)
    if own is not None and not _SAYS_NOTHING.fullmatch(own[0]):
        return own[0]
    return heard[0] if heard is not None else own[0] if own is not None else ""


def _address(field: object) -> str:
    """Return the address of a field such as `rfc822; ann@example.com`."""
    return _field(field).rpartition(";")[2].strip().strip("<>").strip()


def _fields(head: Message, *names: str) -> Iterator[str]:
    for name in names:
        yield from (_field(each) for each in head.get_all(name, [])[:4])


def _field(value: object) -> str:
    """Return a field in one line, of printable characters."""
    text = " ".join(str(value)[:LONGEST_FIELD].split())
    return "".join(c if c.isprintable() else " " for c in text)
