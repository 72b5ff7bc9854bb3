"""Signatures of older schemes, for receivers that verify with what they have: beside the standard ones, never instead.

In both the key is the secret's text as it was shown, `whsec_` included.
"""

import hmac
from collections.abc import Sequence

from hub.dispatch.keyring import SigningKey
from hub.dispatch.options import Scheme

STRIPE_HEADER = "Hub-Signature"
GITHUB_HEADER = "X-Hub-Signature-256"
LEGACY_HEADERS = {"stripe": STRIPE_HEADER, "github": GITHUB_HEADER}


def legacy_header(
    scheme: Scheme, keys: Sequence[SigningKey], timestamp: str, body: bytes
) -> tuple[str, str] | None:
    """Return the header of a scheme, None for the standard one; `keys` are those that are live, the newest first."""
    if scheme == "stripe":
        signed = timestamp.encode() + b"." + body
        return STRIPE_HEADER, ",".join(
            [f"t={timestamp}", *(f"v1={_hex(key.secret, signed)}" for key in keys if key.kind == "v1")]
        )
    if scheme == "github":
        # It has room for one signature. The oldest live key makes it: a receiver has the whole grace to take the new one
        # in beside it, and needs the new one from the moment the old one ends.
        oldest = next((key for key in reversed(keys) if key.kind == "v1"), None)
        return None if oldest is None else (GITHUB_HEADER, f"sha256={_hex(oldest.secret, body)}")
    return None


def _hex(secret: str, signed: bytes) -> str:
    return hmac.new(secret.encode(), signed, "sha256").hexdigest()
