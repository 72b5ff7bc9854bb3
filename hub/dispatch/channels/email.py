"""Mail over SMTP: one attempt per call, with a Message-ID that stays the same so that a second copy can be told apart."""

import hashlib
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Self, final

import aiosmtplib
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator
from typing_extensions import override

from hub.clock import Clock
from hub.dispatch.effects.notifier import Declined, Later, Notifier, Sent, Told
from hub.intents.intent import Intent
from hub.intents.verbs import Address, SendMail

_REASON = 200
_LINE_BREAKS = frozenset("\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029")


class EmailSettings(BaseModel):
    """`starttls`: True requires it, False forbids it, None takes it where it is offered. `tls` is TLS from the start."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = Field(min_length=1, max_length=253)
    port: int = Field(default=587, ge=1, le=65535)
    sender: Address
    starttls: bool | None = None
    tls: bool = False
    user: str | None = None
    password: SecretStr | None = None
    timeout_s: float = Field(default=20.0, gt=0, le=120)

    @model_validator(mode="after")
    def _password_needs_tls(self) -> Self:
        if not self.sender.isascii():
            raise ValueError("sender must be an ASCII address")
        if (self.user is None) != (self.password is None):
            raise ValueError("user and password go together: give both or neither")
        if self.password is not None and not (self.tls or self.starttls):
            raise ValueError("a password is only sent over TLS: set starttls: true or tls: true")
        return self


@final
class EmailChannel(Notifier):
    def __init__(self, settings: EmailSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._domain = settings.sender.rpartition("@")[2]

    @property
    @override
    def offers(self) -> frozenset[str]:
        return frozenset({"notify.email"})

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
        settings = self._settings
        try:
            await aiosmtplib.send(
                message,
                hostname=settings.host,
                port=settings.port,
                username=settings.user,
                password=settings.password.get_secret_value() if settings.password else None,
                use_tls=settings.tls,
                start_tls=None if settings.tls else settings.starttls,
                timeout=settings.timeout_s,
            )
        except (aiosmtplib.SMTPException, OSError, ValueError) as problem:
            return outcome_of(problem)
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
        message.set_content(mail.text)
        if mail.html is not None:
            message.add_alternative(mail.html, subtype="html")
        return message


def outcome_of(problem: Exception) -> Told:
    """Return what an attempt that failed means: a 5xx to this mail is a no, everything else passes."""
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
            reason = _said("the address was refused", first.code, first.message) if first else "refused"
            return Declined(reason) if final else Later(reason)
        case aiosmtplib.SMTPTimeoutError():
            return Later("the mail server did not answer in time")
        case aiosmtplib.SMTPConnectResponseError() | aiosmtplib.SMTPHeloError():
            return Later(_said("the mail server takes no session from us", problem.code, problem.message))
        case aiosmtplib.SMTPResponseException() if problem.code >= 500:
            return Declined(_said("the mail was refused", problem.code, problem.message))
        case aiosmtplib.SMTPResponseException():
            return Later(_said("not now", problem.code, problem.message))
        case aiosmtplib.SMTPNotSupported():
            return Declined(f"the mail server cannot take it: {problem}"[:_REASON])
        case aiosmtplib.SMTPException() | OSError():
            return Later(f"the mail server could not be reached: {problem}"[:_REASON])
        case _:
            return Declined(f"no mail can be made of this: {problem}"[:_REASON])


def _said(what: str, code: int, message: str) -> str:
    printable = "".join(c if c.isprintable() else " " for c in message)
    return f"{what}: {code} {printable}"[:_REASON]
