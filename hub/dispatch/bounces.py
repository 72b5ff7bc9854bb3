"""Mails that came back after they were taken: which message it was, and whether anybody is at its address."""

import re
from dataclasses import dataclass
from typing import Final, final

from hub.clock import Clock
from hub.dispatch.channels.mail_codes import NO_SUCH_MAILBOX, NOBODY
from hub.dispatch.delivery_reports import read_report
from hub.dispatch.effects.aftermath import Aftermath
from hub.dispatch.effects.notifier import Bounced
from hub.dispatch.messages import BOUNCED, Message, Messages, Report
from hub.dispatch.plain_reports import read_plain_report
from hub.dispatch.report_parts import FAILED, DeliveryReport, Recipient
from hub.dispatch.return_path import ReturnPath
from hub.intents.contact import plain_address

LARGEST: Final = 1 << 20
_REASON: Final = 200


@dataclass(frozen=True, slots=True)
class CameBack:
    """`closed`: nothing is sent to the address any more."""

    message: str
    code: str
    reason: str
    closed: bool


@dataclass(frozen=True, slots=True)
class Ignored:
    reason: str


@final
class Bounces:
    """`sender` is whom mails are from; `return_path` is where they come back to, if that is set up."""

    def __init__(
        self,
        sender: str,
        return_path: ReturnPath | None,
        messages: Messages,
        aftermath: Aftermath,
        clock: Clock,
    ) -> None:
        domain = re.escape(sender.rpartition("@")[2].lower())
        self._own_id = re.compile(rf"<([0-9a-f]{{32}})@{domain}>")
        self._return_path = return_path
        self._messages = messages
        self._aftermath = aftermath
        self._clock = clock

    async def take(self, mail: bytes) -> CameBack | Ignored:
        """Take in a mail that came back; told twice it is the same. Raises StoreUnavailable."""
        report = read_report(mail) or read_plain_report(mail)
        if report is None:
            return Ignored(
                "it is no report of a delivery: multipart/report with message/delivery-status, or as qmail and old Exim write"
            )
        name, sure = self._message_of(report)
        known = await self._messages.get(name) if name is not None else None
        if known is None or known.channel != "email":
            return Ignored("it is of no mail of this hub")
        failed = _failed(report, known)
        if failed is None:
            return Ignored("it tells of no recipient that failed: of a delay or a delivery")
        reason = f"came back: {failed.said or failed.code or 'no reason given'}"[:_REASON]
        closed = sure and _is_of(failed, known) and _nobody(failed, at_address=report.at_address)
        # Before it is kept, as with text messages: told again after a crash, it is no news any more.
        if closed:
            await self._aftermath.heard(Bounced("email", known.address, reason), known.id)
        code = failed.code or failed.reply
        await self._messages.reported(known.id, Report(known.ref, BOUNCED, code, self._clock.now_us()))
        return CameBack(known.id, code, reason, closed)

    def _message_of(self, report: DeliveryReport) -> tuple[str | None, bool]:
        """Return the message a report is of, and whether that is sure enough to close an address."""
        if self._return_path is not None:
            signed = self._return_path.message_of(report.came_to)
            if signed is not None:
                return signed, True
        found = self._own_id.search(report.message_id.lower())
        return (f"msg_{found[1]}" if found is not None else None), self._return_path is None


def _failed(report: DeliveryReport, known: Message) -> Recipient | None:
    """Return who failed: whom the mail was for, or else somebody it was passed on to."""
    failed = [each for each in report.recipients if each.action == FAILED]
    return next((each for each in failed if _is_of(each, known)), failed[0] if failed else None)


def _is_of(recipient: Recipient, known: Message) -> bool:
    named = {plain_address(recipient.address), plain_address(recipient.original)}
    return plain_address(known.address) in named


def _nobody(failed: Recipient, *, at_address: bool) -> bool:
    """Return whether there is nobody at the address, by the same codes as where a server says it at once."""
    if NOBODY.match(failed.code):
        return True
    bare = not failed.code or failed.code.endswith(".0.0")
    return bare and at_address and failed.reply.isdigit() and int(failed.reply) in NO_SUCH_MAILBOX
