"""One connection to a receiver: it asks, and listens to the whole answer, a little at a time and only so far.

aiohttp's parser reads whatever is sent, one for as long as the connection lives. Whoever asked is told once, when the
answer is there or cannot come any more: nothing of an answer waits for a turn of its own. What arrives unasked is no
answer, and neither may be what follows it: the connection ends there.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple, final

import aiohttp
from aiohttp.base_protocol import BaseProtocol
from aiohttp.helpers import EMPTY_BODY_STATUS_CODES
from aiohttp.http import HttpProcessingError, HttpResponseParser, RawResponseMessage
from aiohttp.streams import StreamReader
from typing_extensions import override

from hub.clock import Clock
from hub.dispatch.answer import Answer
from hub.dispatch.attempt_record import RawHeaders
from hub.dispatch.bounded_protocol import (
    AT_A_TIME,
    LONGEST_LINE,
    MOST_HEADERS,
    MOST_INFORMATIONAL,
    MOST_RECEIVED,
    Chatter,
)

READ_AT_MOST: Final = 64 * 1024  # of a body
KEEP: Final = 1024

_INFORMATIONAL: Final = range(100, 200)
_SWITCHING_PROTOCOLS: Final = 101
_NEVER_FULL: Final = 1 << 30
_LONGEST_FAMILIAR: Final = 1024
_MOST_FAMILIAR: Final = 512


class OutOfTurn(aiohttp.ServerDisconnectedError):
    """The receiver sent something before it was asked: that is no answer, and what follows it may be none either."""


class Whole(NamedTuple):
    """What an answer came to that arrived in one piece, after which the connection was as before."""

    status: int
    headers: Mapping[str, str]
    raw: RawHeaders
    kept: bytes


@final
class Familiar:
    """Answers that were heard before, byte for byte: within a second most receivers say the same to everything."""

    def __init__(self) -> None:
        self._known: dict[bytes, Whole] = {}
        self.get: Callable[[bytes], Whole | None] = self._known.get

    def __len__(self) -> int:
        return len(self._known)

    def learn(self, said: bytes, whole: Whole) -> None:
        if len(self._known) >= _MOST_FAMILIAR:
            self._known.clear()
        self._known[said] = whole


@final
class _Unhindered(BaseProtocol):
    """What the parser's streams hold up when they are full. They never are: they are emptied piece by piece."""

    @override
    def pause_reading(self) -> None: ...

    @override
    def resume_reading(self, resume_parser: bool = True) -> None: ...


@final
class Line(asyncio.Protocol):
    """`lines` holds those that are open, this one among them; `keep` is told of one that may be asked again."""

    address: str = ""
    tls: str = ""
    kept_since: float = 0.0
    keep: Callable[["Line"], None] | None = None

    def __init__(self, clock: Clock, lines: set["Line"], familiar: Familiar) -> None:
        self._monotonic = clock.monotonic
        self._lines = lines
        self._familiar = familiar
        self.gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._parser: HttpResponseParser | None = None
        self._transport: asyncio.Transport | None = None
        self._usable = True
        self._answer: Answer | None = None
        self._left = self._size = self._informational = 0
        self._payload: StreamReader | None = None

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's is one in all but name
        self._transport = transport  # type: ignore[assignment]
        self._lines.add(self)

    @property
    def transport(self) -> asyncio.Transport | None:
        return self._transport

    def may_be_asked(self) -> bool:
        transport = self._transport
        return self._usable and transport is not None and not transport.is_closing()

    def ask(self, request: bytes, answer: Answer) -> None:
        """Write the request of somebody who is told by `answer.over`. Raises ServerDisconnectedError before it is written."""
        if not self._usable:
            raise OutOfTurn
        transport = self._transport
        if transport is None or transport.is_closing():
            raise aiohttp.ServerDisconnectedError
        answer.peer = self
        self._answer = answer
        transport.write(request)
        answer.sent = self._monotonic()

    def hang_up(self) -> None:
        """End the connection; whoever still waits for an answer is not told."""
        self._answer = self._payload = None
        self._usable = False
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        self.hang_up()
        if self._transport is not None:
            self._transport.abort()

    @override
    def data_received(self, data: bytes) -> None:
        answer = self._answer
        if answer is None:
            self.hang_up()
            return
        if answer.first_byte is None:
            now = answer.first_byte = self._monotonic()
            whole = self._familiar.get(data)
            if whole is not None:
                answer.status, answer.headers, answer.raw, answer.kept = whole
                self._over(None, now)
                return
            self._left = MOST_RECEIVED
            self._size = self._informational = 0
            if self._parser is None:
                self._parser = _parser()
            self._listen(answer, data)
            if self._answer is None and len(data) <= _LONGEST_FAMILIAR:
                self._learn(answer, data)
        else:
            self._listen(answer, data)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._lines.discard(self)
        self.gone.set_result(None)
        self._transport = None
        answer, payload, parser = self._answer, self._payload, self._parser
        if answer is not None:
            broken: Exception | None = None
            if parser is not None:
                try:
                    parser.feed_eof()
                except Exception as problem:
                    broken = aiohttp.ClientPayloadError(str(problem))
            if answer.status is None or payload is None:
                self._fail(_lost(exc))
            elif payload.is_eof():
                self._usable = False
                self._over(None, self._monotonic())  # it ends where the connection does
            else:
                self._fail(broken or aiohttp.ClientPayloadError())
        self._usable = False

    def _listen(self, answer: Answer, data: bytes) -> None:
        """Take in a part of the answer: the parser makes an object of every chunk and every announcement in it."""
        left = self._left
        self._left = left - len(data)
        if len(data) <= AT_A_TIME and len(data) <= left:
            self._feed(answer, data)
            return
        for start in range(0, min(len(data), left), AT_A_TIME):
            if self._answer is None:
                self.hang_up()  # what comes after an answer is not asked for
                return
            self._feed(answer, data[start : min(start + AT_A_TIME, left)])
        if self._left < 0 and self._answer is not None:
            self._cut(answer)

    def _feed(self, answer: Answer, part: bytes) -> None:
        parser = self._parser
        assert parser is not None, "made when the answer began"
        try:
            messages, upgraded, _ = parser.feed_data(part)
        except Exception as problem:
            self._fail(_malformed(problem))
            return
        for message, payload in messages:
            if not self._heard(answer, message, payload):
                return
        if upgraded:
            self._usable = False
        stream = self._payload
        if stream is not None:
            self._read(answer, stream)

    def _heard(self, answer: Answer, message: RawResponseMessage, payload: StreamReader) -> bool:
        """Take an answer's head; return whether to go on."""
        if answer.status is not None:
            self._usable = False  # a second answer
            return True
        if message.code in _INFORMATIONAL and message.code != _SWITCHING_PROTOCOLS:
            self._informational += 1
            if self._informational > MOST_INFORMATIONAL:
                self._fail(Chatter(message="more announcements than answers need"))
                return False
            return True
        answer.status, answer.headers, answer.raw = message.code, message.headers, message.raw_headers
        if message.should_close:
            self._usable = False
        self._payload = payload
        return True

    def _read(self, answer: Answer, stream: StreamReader) -> None:
        """Read what there is of the body, keeping only the first KiB."""
        if answer.status in EMPTY_BODY_STATUS_CODES:
            self._usable = self._usable and stream.is_eof() and self._is_at_rest()
            self._over(None, self._monotonic())
            return
        chunk = stream.read_nowait()
        self._size += len(chunk)
        if len(answer.kept) < KEEP:
            answer.kept = (answer.kept + chunk)[:KEEP]
        if stream.is_eof():
            self._usable = self._usable and self._is_at_rest()
            self._over(None, self._monotonic())
        elif self._size > READ_AT_MOST:
            self._usable = False
            self._over(None, self._monotonic())

    def _is_at_rest(self) -> bool:
        """Say whether nothing followed the answer: not even the beginning of another one."""
        assert self._parser is not None, "made when the answer began"
        try:
            return self._parser.feed_eof() is None
        except Exception:
            return False

    def _cut(self, answer: Answer) -> None:
        """End the answer here: what there is of its body is all that is listened to."""
        if answer.status is None:
            self._fail(Chatter(message="no answer in all that was said"))
        else:
            self._usable = False
            self._over(None, self._monotonic())

    def _learn(self, answer: Answer, data: bytes) -> None:
        if self._usable and answer.status is not None and not self._informational:
            self._familiar.learn(data, Whole(answer.status, answer.headers, answer.raw, answer.kept))

    def _fail(self, problem: Exception) -> None:
        self._usable = False
        self._over(problem, self._monotonic())

    def _over(self, problem: Exception | None, at: float) -> None:
        answer = self._answer
        assert answer is not None, "nobody is told twice"
        self._answer = self._payload = None
        if self._usable and self.keep is not None:
            self.kept_since = at
            self.keep(self)
        else:
            self.hang_up()
        answer.over(problem, at)


def _parser() -> HttpResponseParser:
    loop = asyncio.get_running_loop()
    return HttpResponseParser(
        _Unhindered(loop),
        loop,
        _NEVER_FULL,
        payload_exception=aiohttp.ClientPayloadError,
        read_until_eof=True,
        auto_decompress=False,
        max_line_size=LONGEST_LINE,
        max_field_size=LONGEST_LINE,
        max_headers=MOST_HEADERS,
    )


def _malformed(problem: Exception) -> HttpProcessingError:
    if isinstance(problem, HttpProcessingError):
        return HttpProcessingError(code=problem.code, message=problem.message)
    return HttpProcessingError()


def _lost(problem: Exception | None) -> Exception:
    if problem is None:
        return aiohttp.ServerDisconnectedError()
    return aiohttp.ClientOSError(*problem.args) if isinstance(problem, OSError) else problem
