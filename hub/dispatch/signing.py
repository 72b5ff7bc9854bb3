"""Standard Webhooks signatures, scheme v1: keys, the three headers, and a verifier that only ever says SignatureInvalid."""

import base64
import binascii
import hmac
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from hub.clock import SECOND_US, to_us
from hub.errors import ConfigError, HubError

PREFIX = "whsec_"
KEY_BYTES_MIN = 24
KEY_BYTES_MAX = 64
TOLERANCE = timedelta(minutes=5)

ID_HEADER = "webhook-id"
TIMESTAMP_HEADER = "webhook-timestamp"
SIGNATURE_HEADER = "webhook-signature"

_SIGNATURE_BYTES = 32
_SIGNATURE_TEXT = 44  # of 32 bytes in base64
_MAX_ID = 256
_MAX_SIGNATURES = 2048  # characters: some forty signatures, where a rotation needs two


class SecretInvalid(ConfigError):
    """A signing secret nobody can sign with; the message never repeats it."""


class SignatureInvalid(HubError):
    """The request was not signed with this secret, or not now."""


class Secret:
    """A parsed whsec_ secret: the keyed HMAC is made once, every signature starts from a copy of it."""

    __slots__ = ("_keyed",)

    def __init__(self, key: bytes) -> None:
        if not KEY_BYTES_MIN <= len(key) <= KEY_BYTES_MAX:
            raise SecretInvalid(
                f"a signing secret holds {KEY_BYTES_MIN} to {KEY_BYTES_MAX} bytes, this one {len(key)}: "
                "let the hub make one, or encode 32 random bytes in base64 after whsec_"
            )
        self._keyed = hmac.new(key, digestmod="sha256")

    def digest(self, message_id: str, timestamp: str, body: bytes) -> bytes:
        mac = self._keyed.copy()
        mac.update(f"{message_id}.{timestamp}.".encode())
        mac.update(body)
        return mac.digest()

    def signature(self, message_id: str, timestamp: str, body: bytes) -> str:
        digest = self.digest(message_id, timestamp, body)
        return "v1," + binascii.b2a_base64(digest, newline=False).decode("ascii")


def parse_secret(text: str) -> Secret:
    """Return the key behind whsec_ and base64. Raises SecretInvalid."""
    if not text.startswith(PREFIX):
        raise SecretInvalid(f"a signing secret begins with {PREFIX}: put that before the base64 text")
    encoded = text[len(PREFIX) :]
    try:
        # Padding is often lost when a secret is copied; nothing else about the text is forgiven.
        key = base64.b64decode(encoded.rstrip("=") + "=" * (-len(encoded.rstrip("=")) % 4), validate=True)
    except ValueError:
        raise SecretInvalid(f"what follows {PREFIX} is not base64: copy the secret again") from None
    return Secret(key)


def generate_secret() -> str:
    return PREFIX + base64.b64encode(secrets.token_bytes(32)).decode("ascii")


class Signer(Protocol):
    def signature(self, message_id: str, timestamp: str, body: bytes) -> str:
        """Return one entry of the signature header."""


def signature_header(signers: Sequence[Signer], message_id: str, timestamp: str, body: bytes) -> str:
    """Return one signature per live secret, separated by spaces: during a rotation receivers accept either."""
    return " ".join([signer.signature(message_id, timestamp, body) for signer in signers])


def verify(
    secret: Secret,
    headers: Mapping[str, str],
    body: bytes,
    now: datetime,
    tolerance: timedelta = TOLERANCE,
) -> None:
    """Return if the request was signed with the secret within the tolerance. Raises SignatureInvalid, nothing else.

    Header names are looked up in lower case; pass a mapping that ignores case where the sender chooses it.
    """
    message_id, timestamp, presented = signed_at(headers, now, tolerance)
    expected = secret.digest(message_id, timestamp, body)
    matched = False
    for entry in presented.split(" "):
        given = _decoded(entry)
        if given is not None:
            matched |= hmac.compare_digest(given, expected)
    if not matched:
        raise SignatureInvalid(f"{SIGNATURE_HEADER} holds no v1 signature made with this secret")


def signed_at(headers: Mapping[str, str], now: datetime, tolerance: timedelta) -> tuple[str, str, str]:
    """Return id, timestamp and signatures of a request that was signed now. Raises SignatureInvalid."""
    message_id = _header(headers, ID_HEADER, _MAX_ID)
    timestamp = _header(headers, TIMESTAMP_HEADER, 12)
    presented = _header(headers, SIGNATURE_HEADER, _MAX_SIGNATURES)
    # One spelling per moment: "+1", "01", " 1", "1.0" and other alphabets' digits would all sign differently elsewhere.
    if not timestamp.isdigit() or (len(timestamp) > 1 and timestamp[0] == "0"):
        raise SignatureInvalid(f"{TIMESTAMP_HEADER} is not plain Unix seconds")
    if abs(int(timestamp) * SECOND_US - to_us(now)) > tolerance // timedelta(microseconds=1):
        raise SignatureInvalid(
            f"{TIMESTAMP_HEADER} is more than {int(tolerance.total_seconds())} s away from now: "
            "an old message told again, or a clock that is wrong"
        )
    return message_id, timestamp, presented


def _header(headers: Mapping[str, str], name: str, longest: int) -> str:
    value = headers.get(name)
    if not isinstance(value, str) or not value:
        raise SignatureInvalid(f"{name} is missing")
    if len(value) > longest or not value.isascii() or not value.isprintable():
        raise SignatureInvalid(f"{name} is longer than {longest} characters, or not plain ASCII")
    return value


def _decoded(entry: str) -> bytes | None:
    """Return the signature of a v1 entry; None for another version or anything that is no such signature."""
    version, comma, text = entry.partition(",")
    if version != "v1" or not comma or len(text) != _SIGNATURE_TEXT:
        return None
    try:
        decoded = base64.b64decode(text, validate=True)
    except ValueError:
        return None
    # Base64 leaves two spare bits here: without this check four texts would pass for one signature.
    canonical = len(decoded) == _SIGNATURE_BYTES and base64.b64encode(decoded).decode("ascii") == text
    return decoded if canonical else None
