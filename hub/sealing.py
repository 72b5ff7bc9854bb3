"""Seals what must not lie readable in a store, its backups and its journals: ChaCha20-Poly1305 under a key the store never sees.

A ring holds one key that seals and perhaps older ones that still open, so that the key can be changed while nothing
stands still. Each text is sealed for one purpose: moved to another place it does not open.
"""

import base64
import hashlib
import os
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Final, final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from hub.errors import ConfigError, HubError

PREFIX: Final = "hubseal_"
MARK: Final = "sealed:1:"
KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12
_MOST_KEYS: Final = 16
_MOST_FILE: Final = 16 * 1024


class SealBroken(HubError):
    """A sealed text that no key of the ring opens, or that was sealed for another purpose; it never says what was in it."""


def new_key() -> str:
    """Return a new key as it is written into a file or the environment."""
    return PREFIX + base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode("ascii")


def is_sealed(text: str) -> bool:
    return text.startswith(MARK)


@final
class SealRing:
    """Of several keys the first seals and all open. `file` is read again when a text names a key that is not known yet."""

    def __init__(self, keys: Sequence[str], *, file: Path | None = None) -> None:
        self._file = file
        self._stamp = _stamp(file)
        self._take(keys)

    @classmethod
    def of_file(cls, file: Path) -> "SealRing":
        """Return the ring of a file with a key on each line. Raises ConfigError."""
        return cls(read_keys(file), file=file)

    def seal(self, text: str, purpose: str) -> str:
        nonce = os.urandom(_NONCE_BYTES)
        sealed = self._ciphers[self._first].encrypt(nonce, text.encode(), _bound(purpose))
        return f"{MARK}{self._first}:{base64.b64encode(nonce + sealed).decode('ascii')}"

    def open(self, text: str, purpose: str) -> str:
        """Return what was sealed; a text that is not sealed is what it is. Raises SealBroken."""
        if not is_sealed(text):
            return text
        name, _, encoded = text[len(MARK) :].partition(":")
        cipher = self._ciphers.get(name) or self._looked_up(name)
        if cipher is None:
            raise SealBroken(
                f"sealed under the key {name[:16]}, which is not among those of this hub: give it that key again"
            )
        try:
            sealed = base64.b64decode(encoded, validate=True)
            return cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], _bound(purpose)).decode()
        except (InvalidTag, ValueError):
            raise SealBroken("a sealed text was changed, or belongs to another place") from None

    def is_current(self, text: str) -> bool:
        """Say whether a text is sealed under the key that seals now."""
        return text.startswith(f"{MARK}{self._first}:")

    def _take(self, keys: Sequence[str]) -> None:
        if not 1 <= len(keys) <= _MOST_KEYS:
            raise ConfigError(f"a hub has 1 to {_MOST_KEYS} sealing keys, and here are {len(keys)}")
        found = [_raw(key) for key in keys]
        self._first = _name(found[0])
        self._ciphers = {_name(key): ChaCha20Poly1305(key) for key in found}

    def _looked_up(self, name: str) -> ChaCha20Poly1305 | None:
        """Look into the file again: another process seals with a key that was written there after this one began."""
        stamp = _stamp(self._file)
        if self._file is None or stamp == self._stamp:
            return None
        try:
            self._take(read_keys(self._file))
        except ConfigError:
            return None  # half written: the next look finds it whole
        self._stamp = stamp
        return self._ciphers.get(name)


def read_keys(file: Path) -> list[str]:
    """Return the keys of a file, one on each line, # for remarks. Raises ConfigError, which never repeats a key."""
    try:
        with file.open(encoding="ascii") as opened:
            text = opened.read(_MOST_FILE + 1)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"sealing.key_file {file} cannot be read ({type(error).__name__}): make one with `hub sealing new --file {file}`"
        ) from error
    lines = [line.strip() for line in text.splitlines()]
    keys = [line for line in lines if line and not line.startswith("#")]
    if not keys or len(text) > _MOST_FILE:
        raise ConfigError(f"sealing.key_file {file} holds no key: make one with `hub sealing new`")
    return keys


def _raw(key: str) -> bytes:
    try:
        raw = base64.b64decode(key.removeprefix(PREFIX), validate=True) if key.startswith(PREFIX) else b""
    except ValueError:
        raw = b""
    if len(raw) != KEY_BYTES:
        raise ConfigError(
            f"a sealing key is {PREFIX} and {KEY_BYTES} bytes in base64: make one with `hub sealing new`"
        )
    return raw


def _name(key: bytes) -> str:
    return hashlib.sha256(b"the name of a sealing key\0" + key).hexdigest()[:12]


def _bound(purpose: str) -> bytes:
    return f"hub sealing 1\0{purpose}".encode()


def _stamp(file: Path | None) -> tuple[int, int] | None:
    if file is None:
        return None
    try:
        about = file.stat()
    except OSError:
        return None
    return about.st_mtime_ns, about.st_size
