"""Where a mail that cannot be delivered goes back to: an address that names the message, and is signed.

Whoever gets a mail knows its Message-ID, and might guess that of somebody else's. What closes an address must not be
guessed, or anybody could close the way to anybody.
"""

import hmac
import re
from collections.abc import Iterable
from hashlib import sha256
from typing import Final, final

from pydantic import SecretStr

LONGEST_BOX: Final = 14  # with what is added the part before the @ stays within 64
_NAME: Final = re.compile(r"msg_([0-9a-f]{32})", re.ASCII)


@final
class ReturnPath:
    """`address` is a mailbox such as bounces@example.com, of which a mail server takes bounces+ANYTHING@example.com too."""

    def __init__(self, address: str, secrets: Iterable[SecretStr]) -> None:
        box, _, domain = address.lower().rpartition("@")
        self._box, self._domain = box, domain
        self._secrets = [secret.get_secret_value().encode() for secret in secrets]
        self._tagged = re.compile(
            rf"(?<![a-z0-9.+_-]){re.escape(box)}\+([0-9a-f]{{32}})([0-9a-f]{{16}})@{re.escape(domain)}(?![a-z0-9.-])"
        )

    def of(self, message_id: str) -> str:
        """Return where a message comes back to."""
        found = _NAME.fullmatch(message_id)
        assert found is not None
        name = found[1]
        return f"{self._box}+{name}{_signature(self._secrets[0], name)}@{self._domain}"

    def message_of(self, text: str) -> str | None:
        """Return the id of the message whose address stands in a text; None where this hub signed none that is there."""
        for name, given in self._tagged.findall(text.lower()):
            # All are tried: how long it takes tells nothing.
            fits = [hmac.compare_digest(_signature(secret, name), given) for secret in self._secrets]
            if any(fits):
                return f"msg_{name}"
        return None


def _signature(secret: bytes, name: str) -> str:
    return hmac.new(secret, b"bounce\0" + name.encode(), sha256).hexdigest()[:16]
