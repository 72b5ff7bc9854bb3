"""A request's head, remembered: on a kept connection the next one begins with the same bytes, but for its length.

What the parser said of a head is true of every other with the same bytes, and of one with another Content-Length too: a
few digits with nothing else between. So such a head is compared instead of being parsed, which takes a tenth of the time.
"""

import re
from typing import Final, NamedTuple

from aiohttp import hdrs
from aiohttp.http import RawRequestMessage

from hub.control.keys import Principal

_END: Final = b"\r\n\r\n"
_DIGITS: Final = 5
_LENGTH: Final = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]{1,%d})[ \t]*(?=\r\n)" % _DIGITS, re.IGNORECASE)


class KnownHead(NamedTuple):
    """The bytes before the digits of Content-Length and those behind them, and who sends such requests."""

    before: bytes
    behind: bytes
    who: Principal

    def body(self, data: bytes) -> bytes | None:
        """Return the body of a request that begins with this head and is the whole of `data`, else None."""
        parts = self._parts(data)
        if parts is None:
            return None
        length, start = parts
        return data[start:] if len(data) - start == length else None

    def is_all(self, data: bytes) -> bool:
        """Return whether `data` is this head and nothing else, while a body follows."""
        parts = self._parts(data)
        return parts is not None and parts[1] == len(data) and parts[0] > 0

    def _parts(self, data: bytes) -> tuple[int, int] | None:
        """Return the length that is said of the body, and where that begins."""
        before, behind = self.before, self.behind
        if not data.startswith(before):
            return None
        start = len(before)
        stop = data.find(behind, start, start + _DIGITS + len(behind))
        digits = data[start:stop]
        if stop < 0 or not digits.isdigit():
            return None
        return int(digits), stop + len(behind)


def known_head(data: bytes, who: Principal) -> KnownHead | None:
    """Return what to remember of a request that begins with `data`, None where its length is not plain."""
    head = data[: data.find(_END) + len(_END)]
    lengths = list(_LENGTH.finditer(head))
    if len(lengths) != 1:
        return None
    start, stop = lengths[0].span(1)
    return KnownHead(head[:start], head[stop:], who)


def still_to_come(data: bytes, message: RawRequestMessage) -> int | None:
    """Return how many bytes a request lacks whose first are `data`, by what the parser said of it.

    None where that cannot be told, or where more than the request has come.
    """
    length = message.headers.get(hdrs.CONTENT_LENGTH, "0")
    if message.chunked or message.upgrade or not (length.isascii() and length.isdigit()):
        return None
    end = data.find(_END)
    left = end + len(_END) + int(length) - len(data)
    return left if end >= 0 and left >= 0 else None
