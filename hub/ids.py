"""Identity is derived, never drawn: the same fact told twice has the same id.

A dedupe key packs into 16 bytes. A *numbered* fact (a deal, a ticket) keeps its number, so keys of one server append
to the index instead of scattering over it, and the id can be read back:

    server u16 | kind u8 | number u64 | sub: type code u8 + ordinal u32

Everything else is kind 255 with 13 bytes of sha256 of its key text. ``evt_`` and 26 base32 characters of those bytes
are the event's public id, so one unique index both dedupes and looks up.
"""

import base64
import hashlib
import struct
import zlib
from functools import lru_cache
from typing import NamedTuple

PARTITIONS = 64
HASHED = 255
_PACKED = struct.Struct(">HBQBI")
_ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"
_PAIRS = [a + b for a in _ALPHABET for b in _ALPHABET]


class NumberedKey(NamedTuple):
    """A numbered fact, unpacked: `kind` and `type_code` are those of the event catalogue."""

    server: int
    kind: int
    number: int
    type_code: int
    ordinal: int


@lru_cache(maxsize=1024)
def server_number(name: str) -> int:
    """Return the u16 a server's name stands for; two names that collide need `number:` in their configuration."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:2], "big")


def numbered(server: int, kind: int, number: int, type_code: int, ordinal: int = 0) -> bytes:
    return _PACKED.pack(server, kind, number, type_code, ordinal)


def hashed(server: int, text: str) -> bytes:
    return server.to_bytes(2, "big") + b"\xff" + hashlib.sha256(text.encode()).digest()[:13]


def short_hash(text: str) -> str:
    """Return the first 8 hexadecimal digits of sha256: enough to tell states of one entity apart."""
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def unpack(key: bytes) -> NumberedKey | None:
    """Return what a numbered key says, or None for a hashed one."""
    fields = NumberedKey(*_PACKED.unpack(key))
    return None if fields.kind == HASHED else fields


def to_id(prefix: str, key: bytes) -> str:
    """Return prefix, underscore and the key in lower-case base32 without padding."""
    # Two letters a step from a table: every event pays for its id, and the library's encoder takes five times as long.
    pairs = _PAIRS
    middle = int.from_bytes(key[5:10], "big")
    if key[2] != HASHED:
        # Of numbered keys the first five bytes are nearly always the same, and the last six often.
        return (
            f"{prefix}_{_remembered(key[:5])}"
            f"{pairs[middle >> 30]}{pairs[middle >> 20 & 1023]}{pairs[middle >> 10 & 1023]}{pairs[middle & 1023]}"
            f"{_remembered(key[10:])}"
        )
    high, low = int.from_bytes(key[:5], "big"), int.from_bytes(key[10:], "big") << 2
    return (
        f"{prefix}_{pairs[high >> 30]}{pairs[high >> 20 & 1023]}{pairs[high >> 10 & 1023]}{pairs[high & 1023]}"
        f"{pairs[middle >> 30]}{pairs[middle >> 20 & 1023]}{pairs[middle >> 10 & 1023]}{pairs[middle & 1023]}"
        f"{pairs[low >> 40]}{pairs[low >> 30 & 1023]}{pairs[low >> 20 & 1023]}{pairs[low >> 10 & 1023]}"
        f"{pairs[low & 1023]}"
    )


@lru_cache(maxsize=4096)
def _remembered(part: bytes) -> str:
    return base64.b32encode(part).decode().rstrip("=").lower()


def from_id(prefix: str, text: str) -> bytes | None:
    """Return the key behind an id, or None when the text is no such id."""
    head, _, tail = text.partition("_")
    if head != prefix or len(tail) != 26 or not tail.isascii() or tail != tail.lower():
        return None
    try:
        key = base64.b32decode(tail.upper() + "======")
    except ValueError:
        return None
    return key if to_id(prefix, key) == text else None


@lru_cache(maxsize=65536)
def partition_of(server: str, login: int) -> int:
    """Return the partition of an account: everything about one account happens in one partition, in order."""
    return zlib.crc32(f"{server}\0{login}".encode()) % PARTITIONS


def partition_of_key(key: str) -> int:
    """Return the partition of a key that is no account: a client, a group, a symbol."""
    return zlib.crc32(key.encode()) % PARTITIONS


def account_key(server: str, login: int) -> str:
    return f"{server}:{login}"


def tag_of(intent_key: str, label: str) -> str:
    """Return the comment that marks a money operation: at most 31 ASCII bytes, the token first because MT5 cuts the end.

    ``H1:`` + 16 base32 characters (the first 80 bits of the intent key's sha256) + ``:`` + a short label.
    """
    token = base64.b32encode(hashlib.sha256(intent_key.encode()).digest()[:10]).decode()
    clean = "".join(c if c.isascii() and c.isprintable() and c != ":" else "-" for c in label)
    return f"H1:{token}:{clean}"[:31]
