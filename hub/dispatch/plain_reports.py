"""Reports of mails that came back written for people: those of qmail (QSBMF), and of Exim before 4.83.

Both say who failed in a way that was meant to be read by programs as well: qmail in the layout of its paragraphs, Exim in a
field of the head. What neither says is taken for not said: of a reason without a code nothing follows for the address.
"""

import re
from collections.abc import Iterator, Sequence
from email.message import Message
from typing import Final

from hub.dispatch.report_parts import (
    CAME_TO,
    FAILED,
    LONGEST_FIELD,
    MOST_GROUPS,
    DeliveryReport,
    Recipient,
    code_of,
    field,
    fields,
    part,
    reply_in,
    returned,
)

_QMAIL: Final = b"Hi. This is the "
_QMAIL_WHO: Final = re.compile(rb"<([^\n]{1,320})>:[ \t]*(?:\n|\Z)")
_QMAIL_HEARD: Final = "Remote host said:"
_QMAIL_ADDRESS: Final = "does not like recipient"
_EXIM_COPY: Final = re.compile(rb"^------ This is a copy of [^\n]*\n(?:------[^\n]*\n)*", re.MULTILINE)
_EXIM_ADDRESS: Final = re.compile(r"after RCPT TO\b", re.IGNORECASE)
_EXIM_HEARD: Final = "]: "  # behind the host: an address of a host is no reply
_EXIM_FROM: Final = re.compile(r"\((?:ultimately )?generated from ([^\s()]{3,320})\)")


def read_plain_report(mail: bytes) -> DeliveryReport | None:
    """Return what a mail reports; None for one that is no such report."""
    try:
        whole = part(mail.replace(b"\r\n", b"\n"))
        if whole.kind != "text/plain":
            return None
        words = whole.text().lstrip(b"\n")
        read = _of_qmail(words) if words.startswith(_QMAIL) else _of_exim(whole.head, words)
        if read is None:
            return None
        recipients, at_address, copy = read
        came_back = returned(copy)
        return DeliveryReport(
            tuple(recipients),
            " ".join([*fields(whole.head, *CAME_TO), *fields(came_back, "Return-Path")]),
            field(came_back.get("Message-ID", "")),
            at_address,
        )
    except (ValueError, LookupError, TypeError, AttributeError):
        return None  # as with other reports: the library stumbles over some that are made to that end


_Read = tuple[Sequence[Recipient], bool, bytes]


def _of_qmail(words: bytes) -> _Read | None:
    """Read paragraphs: one of greeting, one for each recipient, one that begins with a hyphen, and the mail."""
    recipients: list[Recipient] = []
    at_address = False
    paragraphs = words.split(b"\n\n", MOST_GROUPS)
    for number, paragraph in enumerate(paragraphs):
        if paragraph.startswith(b"-"):
            return recipients, at_address, b"\n\n".join(paragraphs[number + 1 :])
        who = _QMAIL_WHO.match(paragraph)
        if who is not None:
            said = _text(paragraph[who.end() :])
            heard = said.partition(_QMAIL_HEARD)[2]
            recipients.append(_failed(_text(who[1]), "", said, heard))
            at_address = at_address or _QMAIL_ADDRESS in said
    return (recipients, at_address, b"") if recipients else None


def _of_exim(head: Message, words: bytes) -> _Read | None:
    """Read who failed from the head, and what is said of each below his address."""
    if not field(head.get("Auto-Submitted", "")).lower().startswith("auto-"):
        return None
    named = [each.strip() for text in fields(head, "X-Failed-Recipients") for each in text.split(",")]
    addresses = [each for each in named if each][:MOST_GROUPS]
    if not addresses:
        return None
    found = _EXIM_COPY.search(words)
    above, copy = (words[: found.start()], words[found.end() :]) if found is not None else (words, b"")
    blocks = dict(_blocks(above))
    recipients: list[Recipient] = []
    at_address = False
    for address in addresses:
        said = blocks.get(address.lower(), "")
        original = _EXIM_FROM.search(said)
        heard = said.partition(_EXIM_HEARD)[2]
        recipients.append(_failed(address, original[1] if original is not None else "", said, heard))
        at_address = at_address or _EXIM_ADDRESS.search(said) is not None
    return recipients, at_address, copy


def _blocks(text: bytes) -> Iterator[tuple[str, str]]:
    """Yield addresses, which stand two blanks in, with what stands below each, four blanks in."""
    address, said = "", list[bytes]()
    for line in [*text.split(b"\n", 4 * MOST_GROUPS)[: 4 * MOST_GROUPS], b""]:
        if line.startswith(b"    ") and address:
            said.append(line)
            continue
        if address:
            yield address, _text(b"\n".join(said))
        address, said = (_text(line).lower() if line.startswith(b"  ") else ""), []


def _failed(address: str, original: str, said: str, heard: str) -> Recipient:
    return Recipient(
        address=address,
        original=original,
        action=FAILED,
        code=code_of("", said),
        reply=reply_in(heard.strip()),
        said=said,
    )


def _text(raw: bytes) -> str:
    return field(raw[:LONGEST_FIELD].decode("utf-8", "replace"))
