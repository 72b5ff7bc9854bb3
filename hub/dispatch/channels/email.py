"""Mail over SMTP: one attempt per call, with a Message-ID that stays the same so that a second copy can be told apart.

A mail goes once: where the connection is lost after it was handed over, nobody knows whether it was taken, and it is not
sent again.
"""

import asyncio
import hashlib
import ssl
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Any, Final, final

import aiosmtplib
from pydantic import ValidationError
from typing_extensions import override

from hub.clock import Clock
from hub.dispatch.channels.email_settings import EmailSettings
from hub.dispatch.channels.html_text import text_of
from hub.dispatch.channels.mail_codes import ENHANCED, NO_SUCH_MAILBOX, NOBODY
from hub.dispatch.effects.notifier import Bounced, Declined, Later, Notifier, SendsOnce, Sent, Told, Unsure
from hub.dispatch.messages import message_id
from hub.dispatch.public_links import PublicLinks
from hub.dispatch.return_path import ReturnPath
from hub.intents.contact import NEEDS_CONSENT
from hub.intents.intent import Intent
from hub.intents.verbs import SendMail

_REASON: Final = 200
_LINE_BREAKS: Final = frozenset("\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029")
_DIALOGUE: Final = 6  # as many answers as a slow server may take its whole time for


class _Session(aiosmtplib.SMTP):
    """Knows whether the mail itself was begun to be handed over."""

    handing_over = False

    @override
    async def data(self, message: str | bytes, /, **options: Any) -> aiosmtplib.SMTPResponse:
        self.handing_over = True
        return await super().data(message, **options)


@final
class EmailChannel(Notifier, SendsOnce):
    def __init__(
        self,
        settings: EmailSettings,
        clock: Clock,
        links: PublicLinks | None = None,
        return_path: ReturnPath | None = None,
    ) -> None:
        self._return_path = return_path
        self._settings = settings
        self._clock = clock
        self._links = links
        self._domain = settings.sender.rpartition("@")[2]
        self._tls = ssl.create_default_context() if settings.tls or settings.starttls is not False else None
        if self._tls is not None and settings.ca_file is not None:
            self._tls.load_verify_locations(settings.ca_file)

    @property
    @override
    def offers(self) -> frozenset[str]:
        return frozenset({"notify.email"})

    @property
    @override
    def sends_once(self) -> bool:
        return True

    @override
    async def send(self, intent: Intent) -> Told:
        try:
            mail = SendMail.model_validate_json(intent.params)
        except ValidationError as problem:
            return Declined(f"the mail cannot be read: {problem.errors()[0]['msg']}")
        if any(not c.isprintable() or c in _LINE_BREAKS for c in mail.subject + mail.to):
            return Declined("the subject or the address holds a line break or a control character")
        try:
            message = self._message(intent, mail)
        except (ValueError, UnicodeError) as problem:
            return Declined(f"no mail can be made of this: {problem}"[:_REASON])
        back = self._return_path.of(message_id(intent.key)) if self._return_path is not None else None
        return await self._hand_over(message, mail.to, back)

    async def _hand_over(self, message: EmailMessage, address: str, back: str | None) -> Told:
        settings = self._settings
        session = _Session(
            hostname=settings.host,
            port=settings.port,
            username=settings.user,
            password=settings.password.get_secret_value() if settings.password else None,
            use_tls=settings.tls,
            start_tls=None if settings.tls else settings.starttls,
            tls_context=self._tls,
            timeout=settings.timeout_s,
        )
        taken = False
        try:
            async with asyncio.timeout(settings.timeout_s * _DIALOGUE), session:
                await session.send_message(message, sender=back)
                taken = True
        except (aiosmtplib.SMTPException, OSError, TimeoutError, ValueError) as problem:
            if not taken:  # what goes wrong while taking leave changes nothing
                return outcome_of(problem, address, handing_over=session.handing_over)
        finally:
            session.close()
        return Sent()

    def message_id(self, intent: Intent) -> str:
        return f"<{hashlib.sha256(intent.key.encode()).hexdigest()[:32]}@{self._domain}>"

    def _message(self, intent: Intent, mail: SendMail) -> EmailMessage:
        message = EmailMessage()
        message["From"] = self._settings.sender
        message["To"] = mail.to
        message["Subject"] = mail.subject
        message["Date"] = format_datetime(self._clock.now())
        message["Message-ID"] = self.message_id(intent)
        message["Auto-Submitted"] = "auto-generated"  # so that absence notes do not answer it
        if mail.category in NEEDS_CONSENT and self._links is not None:
            link = self._links.unsubscribe(message_id(intent.key))
            if link is not None:
                message["List-Unsubscribe"] = f"<{link}>"
                message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
        message.set_content(mail.text if mail.text is not None else text_of(mail.html or ""))
        if mail.html is not None:
            message.add_alternative(mail.html, subtype="html")
        return message


def outcome_of(problem: Exception, address: str, *, handing_over: bool = False) -> Told:
    """Return what an attempt that failed means: a 5xx to this mail is a no, what broke off on the way is not known."""
    match problem:
        case aiosmtplib.SMTPAuthenticationError():
            # Our own credentials are wrong: the mail is not at fault, and a person can put that right meanwhile.
            return Later(
                _said("the mail server does not accept our credentials", problem.code, problem.message)
            )
        case aiosmtplib.SMTPRecipientsRefused():
            codes = [recipient.code for recipient in problem.recipients]
            final = bool(codes) and all(code >= 500 for code in codes)
            first = problem.recipients[0] if problem.recipients else None
            if first is None or not final:
                return Later(
                    _said("the address was refused", first.code, first.message) if first else "refused"
                )
            return _refused("the address was refused", first.code, first.message, address, is_mailbox=True)
        case aiosmtplib.SMTPConnectResponseError() | aiosmtplib.SMTPHeloError():
            return Later(_said("the mail server takes no session from us", problem.code, problem.message))
        case aiosmtplib.SMTPResponseException() if problem.code >= 500:
            return _refused("the mail was refused", problem.code, problem.message, address, is_mailbox=False)
        case aiosmtplib.SMTPResponseException() if problem.code >= 400 or not handing_over:
            return Later(_said("not now", problem.code, problem.message))
        case aiosmtplib.SMTPNotSupported():
            return Declined(f"the mail server cannot take it: {problem}"[:_REASON])
        case aiosmtplib.SMTPException() | OSError() if handing_over:
            return Unsure("the connection was lost while the mail was handed over: it may have been taken")
        case aiosmtplib.SMTPTimeoutError() | TimeoutError():
            return Later("the mail server did not answer in time")
        case ssl.SSLError():
            return Later(f"no TLS with the mail server: {problem.reason}"[:_REASON])
        case aiosmtplib.SMTPException() | OSError():
            return Later(f"the mail server could not be reached: {problem}"[:_REASON])
        case _:
            return Declined(f"no mail can be made of this: {problem}"[:_REASON])


def _refused(what: str, code: int, message: str, address: str, *, is_mailbox: bool) -> Declined:
    """`is_mailbox`: it was said of the address alone, so that a bare reply tells that nobody is there."""
    reason = _said(what, code, message)
    nobody = bool(NOBODY.match(message))
    if is_mailbox and not ENHANCED.match(message):
        nobody = code in NO_SUCH_MAILBOX
    return Declined(reason, (Bounced("email", address, reason),) if nobody else ())


def _said(what: str, code: int, message: str) -> str:
    printable = "".join(c if c.isprintable() else " " for c in message)
    return f"{what}: {code} {printable}"[:_REASON]
