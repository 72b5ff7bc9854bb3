"""An endpoint's signing keys: the newest, and those that were replaced and sign beside it until their time is over.

One key alone is written as it is, `whsec_…` or `whsk_…`; several are a small JSON document. Both stand in one place, which
is written only from what was read there.
"""

import hashlib
from collections.abc import Sequence
from datetime import timedelta
from typing import Final, Literal

import msgspec

from hub.clock import MICROSECOND
from hub.dispatch import signing
from hub.dispatch.signing_v1a import PRIVATE, PrivateKey, generate_private, parse_private
from hub.errors import ConfigError

GRACE: Final = timedelta(hours=24)
LONGEST_GRACE: Final = timedelta(days=7)
MOST_OLD: Final = 10

KeyKind = Literal["v1", "v1a"]
Signer = signing.Secret | PrivateKey


class RotationRefused(ConfigError):
    """Too many old keys are still live."""


class SigningKey(msgspec.Struct, frozen=True, omit_defaults=True):
    """`until` in µs is when a key that was replaced signs no more; the newest has none."""

    secret: str
    until: int | None = None

    @property
    def kind(self) -> KeyKind:
        return "v1a" if self.secret.startswith(PRIVATE) else "v1"

    @property
    def id(self) -> str:
        """Return a name that says nothing of the key and stays the same wherever it is stored."""
        return "key_" + hashlib.sha256(b"the name of a signing key\0" + self.secret.encode()).hexdigest()[:12]

    @property
    def public(self) -> str | None:
        return parse_private(self.secret).public if self.kind == "v1a" else None


class Keyring(msgspec.Struct, frozen=True):
    """The newest key first."""

    keys: tuple[SigningKey, ...]

    @property
    def newest(self) -> SigningKey:
        return self.keys[0]

    def live(self, now_us: int) -> tuple[SigningKey, ...]:
        """Return the keys that sign now, the newest first."""
        return tuple(key for key in self.keys if key.until is None or key.until > now_us)

    def next_change(self, now_us: int) -> int | None:
        """Return when the next of them signs no more."""
        return min((key.until for key in self.live(now_us) if key.until is not None), default=None)


_decode = msgspec.json.Decoder(Keyring).decode


def keyring_of(text: str) -> Keyring:
    """Return the keys an endpoint's secret holds. Raises SecretInvalid."""
    if not text.startswith("{"):
        return Keyring((SigningKey(text),))
    try:
        found = _decode(text)
    except msgspec.DecodeError as error:
        raise signing.SecretInvalid("the endpoint's keys cannot be read") from error
    if not found.keys:
        raise signing.SecretInvalid("the endpoint has no keys")
    return found


def text_of(ring: Keyring) -> str:
    return ring.newest.secret if len(ring.keys) == 1 else msgspec.json.encode(ring).decode()


def rotated(ring: Keyring, new: str, *, now_us: int, grace: timedelta) -> Keyring:
    """Return the keys with a new one; the newest till now signs beside it for as long as the grace is.

    Raises RotationRefused while too many old keys are live: to drop one would break who still verifies with it.
    """
    until = now_us + grace // MICROSECOND
    before = [
        SigningKey(
            key.secret, until if key.until is None else min(key.until, now_us + LONGEST_GRACE // MICROSECOND)
        )
        for key in ring.live(now_us)
    ]
    # Without a grace a key got into wrong hands: nothing of what was before signs any longer.
    old = tuple(key for key in before if grace and key.until is not None and key.until > now_us)
    if len(old) > MOST_OLD:
        raise RotationRefused(
            f"{MOST_OLD} old keys of this endpoint still sign: wait until one of them is over, or give a grace of 0"
        )
    return Keyring((SigningKey(new), *old))


def generate(kind: KeyKind) -> str:
    return generate_private() if kind == "v1a" else signing.generate_secret()


def signer_of(secret: str) -> Signer:
    """Return what signs with a key. Raises SecretInvalid."""
    return parse_private(secret) if secret.startswith(PRIVATE) else signing.parse_secret(secret)


def signers_of(keys: Sequence[SigningKey]) -> tuple[Signer, ...]:
    return tuple(signer_of(key.secret) for key in keys)
