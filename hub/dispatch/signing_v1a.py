"""Standard Webhooks signatures, scheme v1a: ed25519, so that a receiver holds nothing a forger could use."""

import base64
import binascii
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final, final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from hub.dispatch.signing import TOLERANCE, SecretInvalid, SignatureInvalid, signed_at

PRIVATE: Final = "whsk_"
PUBLIC: Final = "whpk_"
_KEY_BYTES: Final = 32
_SIGNATURE_BYTES: Final = 64


@final
class PrivateKey:
    """A parsed whsk_ key: the private half, and the public one after it."""

    __slots__ = ("_key", "public_bytes")

    def __init__(self, private: bytes) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(private)
        self.public_bytes: Final = self._key.public_key().public_bytes_raw()

    @property
    def public(self) -> str:
        return PUBLIC + base64.b64encode(self.public_bytes).decode("ascii")

    def signature(self, message_id: str, timestamp: str, body: bytes) -> str:
        signed = self._key.sign(f"{message_id}.{timestamp}.".encode() + body)
        return "v1a," + binascii.b2a_base64(signed, newline=False).decode("ascii")


def parse_private(text: str) -> PrivateKey:
    """Return the key behind whsk_ and base64. Raises SecretInvalid, which never repeats it."""
    both = _decoded(text, PRIVATE, 2 * _KEY_BYTES)
    key = PrivateKey(both[:_KEY_BYTES])
    if key.public_bytes != both[_KEY_BYTES:]:
        raise SecretInvalid("the two halves of this key do not belong together: copy it again")
    return key


def generate_private() -> str:
    key = Ed25519PrivateKey.generate()
    both = key.private_bytes_raw() + key.public_key().public_bytes_raw()
    return PRIVATE + base64.b64encode(both).decode("ascii")


def verify_v1a(
    public: str, headers: Mapping[str, str], body: bytes, now: datetime, tolerance: timedelta = TOLERANCE
) -> None:
    """Return if the request was signed with the key of this public half, and now. Raises SignatureInvalid."""
    key = Ed25519PublicKey.from_public_bytes(_decoded(public, PUBLIC, _KEY_BYTES))
    message_id, timestamp, presented = signed_at(headers, now, tolerance)
    signed = f"{message_id}.{timestamp}.".encode() + body
    for entry in presented.split(" "):
        version, _, text = entry.partition(",")
        if version != "v1a":
            continue
        try:
            given = base64.b64decode(text, validate=True)
            if len(given) == _SIGNATURE_BYTES:
                key.verify(given, signed)
                return
        except (ValueError, InvalidSignature):
            continue
    raise SignatureInvalid("webhook-signature holds no v1a signature made with this key")


def _decoded(text: str, prefix: str, size: int) -> bytes:
    if not text.startswith(prefix):
        raise SecretInvalid(f"this key begins with {prefix}: put that before the base64 text")
    try:
        decoded = base64.b64decode(text[len(prefix) :], validate=True)
    except ValueError:
        raise SecretInvalid(f"what follows {prefix} is not base64: copy the key again") from None
    if len(decoded) != size:
        raise SecretInvalid(f"after {prefix} come {size} bytes in base64, here are {len(decoded)}")
    return decoded
