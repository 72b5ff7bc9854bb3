"""How the hub sends mail."""

import re
from pathlib import Path
from typing import Final, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from hub.dispatch.return_path import LONGEST_BOX
from hub.intents.verbs import Address

_BOX: Final = re.compile(rf"[A-Za-z0-9.-]{{1,{LONGEST_BOX}}}@[A-Za-z0-9.-]+", re.ASCII)


class EmailSettings(BaseModel):
    """TLS is a must unless `starttls` says otherwise: False does without, None takes it where it is offered.

    `return_path` is where mails that cannot be delivered come back to; left out, they come back to the sender.
    `tls` is TLS from the start. `ca_file` holds the authorities to trust beside the system's, for a server of one's own.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    host: str = Field(min_length=1, max_length=253)
    port: int = Field(default=587, ge=1, le=65535)
    sender: Address
    starttls: bool | None = True
    tls: bool = False
    ca_file: Path | None = None
    user: str | None = None
    password: SecretStr | None = None
    timeout_s: float = Field(default=20.0, gt=0, le=120)
    return_path: Address | None = None

    @model_validator(mode="after")
    def _password_needs_tls(self) -> Self:
        if not self.sender.isascii():
            raise ValueError("sender must be an ASCII address")
        if self.return_path is not None and not _BOX.fullmatch(self.return_path):
            raise ValueError(
                f"return_path must be an ASCII address with at most {LONGEST_BOX} letters, digits, dots and dashes before the @"
            )
        if (self.user is None) != (self.password is None):
            raise ValueError("user and password go together: give both or neither")
        if self.password is not None and not (self.tls or self.starttls):
            raise ValueError("a password is only sent over TLS: set starttls: true or tls: true")
        return self
