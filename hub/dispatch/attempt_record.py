"""What is kept of an attempt beside its outcome: what was said, to whom, what came back and how long each step took.

An endpoint's part of it is encoded once. Secrets are never kept: of a signature the keys' names, of any other secret
header that there was one; and of the URL the host alone, because paths and queries of webhooks are often secrets.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Final

import msgspec
import yarl

from hub.dispatch import signing

MOST_HEADERS: Final = 64
MOST_BYTES: Final = 4 * 1024  # of an answer's headers, names and values
LONGEST_VALUE: Final = 512
_SECRET = re.compile(r"auth|cookie|token|secret|passw|credential|session|signature|api-?key", re.IGNORECASE)
_HIDDEN: Final = "(hidden)"
_SIGNED = frozenset({signing.SIGNATURE_HEADER, "x-hub-signature-256", "x-hub-signature", "stripe-signature"})

RawHeaders = Sequence[tuple[bytes, bytes]]


class Seen(msgspec.Struct, array_like=True, gc=False):
    """What the transport saw of it, in µs; the steps of making a connection are None where a kept one was taken.

    `first_byte_us` counts from when the whole request was written.
    """

    address: str = ""
    tls: str = ""
    dns_us: int | None = None
    connect_us: int | None = None
    tls_us: int | None = None
    first_byte_us: int | None = None
    headers: RawHeaders = ()
    left_out: int = 0  # headers of the answer that were not kept
    reused: bool = False


class Asked(msgspec.Struct, array_like=True, gc=False):
    """What every request of an endpoint says; a value of None differs from request to request."""

    method: str
    host: str
    headers: Sequence[tuple[str, str | None]]
    signed_by: Sequence[str]


class _Written(msgspec.Struct, array_like=True, gc=False):
    asked: msgspec.Raw
    size: int
    seen: Seen | None


class Record(msgspec.Struct, array_like=True, gc=False):
    """`size` is the sent body's, in bytes."""

    asked: Asked
    size: int
    seen: Seen | None


_encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(Record)


def asked(
    url: yarl.URL,
    headers: Mapping[str, str],
    *,
    keys: Iterable[str] = (),
    secret_headers: Collection[str] = (),
    signature_headers: Sequence[str] = (signing.SIGNATURE_HEADER,),
) -> msgspec.Raw:
    """Return an endpoint's part of its attempts' records, encoded. `headers` are those that are always the same, `keys` the names of those it is signed with."""
    hidden = {name.lower() for name in secret_headers}
    said: list[tuple[str, str | None]] = [
        (name, _HIDDEN if name.lower() in hidden or _is_secret(name) else value[:LONGEST_VALUE])
        for name, value in headers.items()
    ]
    said += [(name, None) for name in (signing.ID_HEADER, signing.TIMESTAMP_HEADER, *signature_headers)]
    host = url.host_port_subcomponent or ""
    return msgspec.Raw(_encode(Asked("POST", host, said, list(keys))))


def written(asked: msgspec.Raw, size: int, seen: Seen | None) -> bytes:
    """Return a record as it is stored: a few µs, because every attempt pays them."""
    return _encode(_Written(asked, size, seen))


def read(stored: bytes) -> Record | None:
    """Return a stored record; None where there is none, as of attempts before there were records."""
    if not stored:
        return None
    try:
        return _decoder.decode(stored)
    except msgspec.DecodeError:
        return None


def kept_headers(raw: RawHeaders) -> tuple[RawHeaders, int]:
    """Return as much of an answer's headers as is kept, secrets hidden, and how many are left out."""
    names = b"\n".join([name for name, _ in raw])
    values = b"".join([value for _, value in raw])
    # Nearly every answer is as short as one value may be, and has the same names as the one before.
    if (
        len(names) <= LONGEST_VALUE
        and len(values) <= LONGEST_VALUE
        and len(raw) <= MOST_HEADERS
        and not _has_secret(names)
    ):
        return raw, 0
    return _shortened(raw)


def _shortened(raw: RawHeaders) -> tuple[RawHeaders, int]:
    kept: list[tuple[bytes, bytes]] = []
    size = 0
    for name, value in raw:
        shown = _HIDDEN.encode() if _has_secret(name[:LONGEST_VALUE]) else value[:LONGEST_VALUE]
        size += len(name) + len(shown)
        if size > MOST_BYTES or len(kept) == MOST_HEADERS:
            break
        kept.append((name, shown))
    return kept, len(raw) - len(kept)


def request_headers(record: Record, event_id: str, at_us: int) -> list[tuple[str, str]]:
    """Return the headers that went out with an attempt, in their order, without what is secret."""
    asked = record.asked
    differs = {
        signing.ID_HEADER: event_id,
        signing.TIMESTAMP_HEADER: str(at_us // 1_000_000),
        **dict.fromkeys(_SIGNED, f"(signed with {', '.join(asked.signed_by) or 'no key'})"),
    }
    said = [("Host", asked.host)]
    said += [
        (name, differs.get(name.lower(), _HIDDEN) if value is None else value)
        for name, value in asked.headers
    ]
    return [*said, ("Content-Length", str(record.size))]


def answer_headers(seen: Seen) -> list[tuple[str, str]]:
    """Return an answer's headers as text that is safe to show."""
    return [(_plain(name), _plain(value)) for name, value in seen.headers]


def _plain(text: bytes) -> str:
    return "".join(c if c.isprintable() else "\ufffd" for c in text.decode("utf-8", "replace"))


def _is_secret(name: str) -> bool:
    return _SECRET.search(name) is not None


@lru_cache(1024)
def _has_secret(names: bytes) -> bool:
    return _is_secret(names.decode("latin-1"))
