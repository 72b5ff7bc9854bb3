"""What a mail server reports of a mail it could not deliver after it had taken it (RFC 3464), read from its mail.

Servers differ in what they fill in. Read is what Postfix, Exim and Exchange agree on: the groups of the machine's part,
and of the mail that came back its head.
"""

from collections.abc import Iterator
from email.message import Message
from typing import Final

from hub.dispatch.report_parts import (
    CAME_TO,
    MOST_GROUPS,
    MOST_PARTS,
    DeliveryReport,
    Part,
    Recipient,
    code_of,
    field,
    fields,
    media,
    parse,
    part,
    reply_in,
    returned,
)

_HEADS: Final = frozenset(
    {"text/rfc822-headers", "message/rfc822", "message/global-headers", "message/global"}
)


def read_report(mail: bytes) -> DeliveryReport | None:
    """Return what a mail reports; None for one that is no report of a delivery."""
    try:
        whole = part(mail.replace(b"\r\n", b"\n"))
        if whole.kind != "multipart/report":
            return None
        parts = _parts(whole)
        status = next((each for each in parts if each.kind.endswith("delivery-status")), None)
        if status is None:
            return None
        came_back = next((returned(each.text()) for each in parts if each.kind in _HEADS), Message())
        words = next((each.text() for each in parts if each.kind == "text/plain"), b"")
        return DeliveryReport(
            tuple(_recipients(status)),
            " ".join([*fields(whole.head, *CAME_TO), *fields(came_back, "Return-Path")]),
            field(came_back.get("Message-ID", "")),
            b"RCPT TO" in words.upper(),
        )
    except (ValueError, LookupError, TypeError, AttributeError):
        return None  # the library means well with every mail, and still stumbles over some made to that end


def _parts(whole: Part) -> list[Part]:
    boundary = media(whole.head).get_boundary()
    if not boundary:
        return []
    pieces = (b"\n" + whole.content).split(b"\n--" + boundary.encode("utf-8", "replace"), MOST_PARTS + 1)
    return [part(piece.partition(b"\n")[2]) for piece in pieces[1 : MOST_PARTS + 1]]


def _recipients(status: Part) -> Iterator[Recipient]:
    for block in status.text().split(b"\n\n", MOST_GROUPS)[:MOST_GROUPS]:
        group = parse(block.lstrip(b"\n"))
        if "Action" not in group:
            continue
        said = field(group.get("Diagnostic-Code", ""))
        yield Recipient(
            address=_address(group.get("Final-Recipient", "")),
            original=_address(group.get("Original-Recipient", "")),
            action=field(group["Action"]).lower(),
            code=code_of(field(group.get("Status", "")), said),
            reply=reply_in(said),
            said=said,
        )


def _address(named: object) -> str:
    """Return the address of a field such as `rfc822; ann@example.com`."""
    return field(named).rpartition(";")[2].strip().strip("<>").strip()
