"""Addresses by which the outside reaches this hub: links in mails, and where channels tell what became of a message.

A link names a message by an id that tells nothing, and is signed: whoever holds it may do the one thing it is for.
"""

import hmac
import re
from hashlib import sha256
from typing import Annotated, Final, Self, final
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

UNSUBSCRIBE: Final = "/v1/unsubscribe/"
SMS_REPORT: Final = "/v1/callbacks/sms/"
_SHORTEST: Final = 32
_TOKEN: Final = re.compile(r"(msg_[0-9a-f]{32})\.([0-9a-f]{40})", re.ASCII)


class PublicSettings(BaseModel):
    """`url` is where a proxy lets the outside in; `link_secret` signs links, and those of `old_link_secrets` go on working."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    url: Annotated[str, Field(max_length=512)]
    link_secret: SecretStr | None = None
    old_link_secrets: Annotated[tuple[SecretStr, ...], Field(max_length=8)] = ()

    @field_validator("url")
    @classmethod
    def _is_an_origin(cls, url: str) -> str:
        parts = urlsplit(url)
        plain = parts.scheme == "http" and parts.hostname in {"127.0.0.1", "localhost"}
        if not (parts.scheme == "https" or plain) or not parts.hostname or not url.isascii():
            raise ValueError("write https:// and the name the outside knows this hub by")
        if parts.username or parts.query or parts.fragment:
            raise ValueError("it holds no user, no ? and no #")
        return url.rstrip("/")

    @model_validator(mode="after")
    def _secrets_are_long(self) -> Self:
        for secret in (self.link_secret, *self.old_link_secrets):
            if secret is not None and len(secret.get_secret_value()) < _SHORTEST:
                raise ValueError(f"a link_secret has at least {_SHORTEST} characters")
        return self

    @property
    def link_secrets(self) -> tuple[SecretStr, ...]:
        """Return what signs, and what did before; nothing where nothing signs."""
        return () if self.link_secret is None else (self.link_secret, *self.old_link_secrets)

    @property
    def host(self) -> str:
        return (urlsplit(self.url).hostname or "").lower()


@final
class PublicLinks:
    def __init__(self, settings: PublicSettings) -> None:
        self._url = settings.url
        secrets = [settings.link_secret] if settings.link_secret is not None else []
        self._secrets = [s.get_secret_value().encode() for s in (*secrets, *settings.old_link_secrets)]
        self._signs = settings.link_secret is not None

    def unsubscribe(self, message_id: str) -> str | None:
        """Return the link by which whoever gets a message says that he wants no more; None where links are not signed."""
        if not self._signs:
            return None
        return f"{self._url}{UNSUBSCRIBE}{message_id}.{_signature(self._secrets[0], message_id)}"

    def message_of(self, token: str) -> str | None:
        """Return the id of the message a link is of; None for one this hub did not make."""
        found = _TOKEN.fullmatch(token)
        if found is None:
            return None
        message_id, given = found.groups()
        fits = [hmac.compare_digest(_signature(secret, message_id), given) for secret in self._secrets]
        return message_id if any(fits) else None

    def sms_report(self, message_id: str) -> str:
        """Return where a provider of text messages tells what became of one."""
        return f"{self._url}{SMS_REPORT}{message_id}"


def _signature(secret: bytes, message_id: str) -> str:
    return hmac.new(secret, b"unsubscribe\0" + message_id.encode(), sha256).hexdigest()[:40]
