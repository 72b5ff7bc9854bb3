"""The short way for the commonest request: one event in one POST, answered without a task and a request of its own.

The framework takes 38 µs of CPU for a POST, as much as everything else that is done about the event until it is on
disk; this takes 17, and less where a head is known and many send at once. Whatever is out of the ordinary, refused or
only doubtful goes the framework's way from the start: nothing is refused here, so there is one place that says what is
wrong with a request.
"""

import asyncio
from collections.abc import Sequence
from typing import final

import structlog
from aiohttp import hdrs, web
from aiohttp.base_protocol import BaseProtocol
from aiohttp.helpers import rfc822_formatted_time
from aiohttp.http import HttpVersion11, RawRequestMessage
from aiohttp.streams import StreamReader

from hub.api.bodies import encoded
from hub.api.gate import Gate, RequestIds
from hub.api.ports import ApiDeps
from hub.api.problems import Problem, internal, unavailable
from hub.api.short_pages import ShortPages
from hub.bus.log import Appended
from hub.control.keys import Principal, Scope
from hub.errors import StoreUnavailable
from hub.events.facts import Fact

Appending = asyncio.Future[list[Appended]]

_PATH = "/v1/events"
_LONGEST = 16 * 1024  # of one event there is no more; many come in bodies longer than this
_LENGTH_DIGITS = 5
_JSON = "Content-Type: application/json\r\n"
_UNUSUAL = (hdrs.EXPECT, hdrs.CONTENT_ENCODING, hdrs.TRANSFER_ENCODING, hdrs.ORIGIN)

_log = structlog.get_logger(__name__)


@final
class ShortWay:
    """`is_open` where the application takes events at all."""

    def __init__(
        self,
        deps: ApiDeps,
        gate: Gate,
        ids: RequestIds,
        pages: ShortPages,
        *,
        is_open: bool = True,
    ) -> None:
        self._is_open = is_open
        self.pages = pages
        self._receiver = deps.receiver
        self._pressure = deps.pressure
        self._gate = gate
        self._ids = ids
        self.written_together = deps.written_together
        self.answered = 0

    def admits(self, message: RawRequestMessage) -> Principal | None:
        """Return who sends an event, where the head leaves no question open."""
        headers = message.headers
        length = headers.get(hdrs.CONTENT_LENGTH, "")
        if (
            not self._is_open
            or message.path != _PATH
            or message.method != hdrs.METH_POST
            or message.version != HttpVersion11
            or message.should_close
            or headers.get(hdrs.CONTENT_TYPE) != "application/json"
            or not (length.isascii() and length.isdigit() and len(length) <= _LENGTH_DIGITS)
            or int(length) > _LONGEST
            or any(name in headers for name in _UNUSUAL)
            or self._pressure()
        ):
            return None
        try:
            self._gate.check_host(headers)
            return self._gate.principal(headers, Scope.EVENTS_WRITE)
        except Problem:
            return None

    def page(self, message: RawRequestMessage) -> bytes | None:
        """Return the whole answer to who asks for a page that is at hand."""
        try:
            body = self.pages.body(message)
        except Exception:
            # The long way says what there is to say.
            _log.exception("request.not_read_the_quick_way", path=message.path)
            return None
        if body is None:
            return None
        return _head("200 OK", _JSON, len(body), self._ids.next()) + body

    def still_admits(self, who: Principal, body: bytes) -> bool:
        """Return whether a request that begins like one that was admitted is admitted too."""
        return len(body) <= _LONGEST and not self._pressure() and self._gate.still_knows(who)

    def read(self, who: Principal, body: bytes) -> Fact | None:
        """Return what the event tells, if the body is one that can be read the quick way."""
        try:
            return self._receiver.quick(body, source=who.source, servers=who.servers)
        except Exception:
            # The long way decides, and answers whatever comes of it there.
            _log.exception("request.not_read_the_quick_way", path=_PATH)
            return None

    def append(self, facts: Sequence[Fact]) -> Appending:
        return self._receiver.append(facts)

    def receipt(self, appended: Appended) -> bytes:
        """Return the whole answer to an event that is on disk."""
        self.answered += 1
        body = encoded(self._receiver.receipt_of(appended))
        return _head("202 Accepted", _JSON, len(body), self._ids.next()) + body

    def failure(self, error: BaseException) -> bytes:
        """Return the whole answer to an event that could not be brought to disk."""
        self.answered += 1
        request_id = self._ids.next()
        if isinstance(error, StoreUnavailable):
            _log.warning("request.store_unavailable", request=request_id, reason=str(error))
            return _written(_STORE_UNAVAILABLE.response(), request_id)
        _log.error("request.failed", request=request_id, path=_PATH, exc_info=error)
        return _written(internal(request_id).response(), request_id)


_STORE_UNAVAILABLE = unavailable("the store cannot be written or read now: nothing was acknowledged", 1)


def again(body: bytes, protocol: BaseProtocol, loop: asyncio.AbstractEventLoop) -> StreamReader:
    """Return a body that was read as one that was not."""
    fresh = StreamReader(protocol, _LONGEST, loop=loop)
    fresh.feed_data(body)
    fresh.feed_eof()
    return fresh


def _written(response: web.Response, request_id: str) -> bytes:
    body = response.body
    assert isinstance(body, bytes), "a problem is encoded when it is made"
    fields = "".join(
        [f"{name}: {value}\r\n" for name, value in response.headers.items() if name != hdrs.CONTENT_LENGTH]
    )
    return _head(f"{response.status} {response.reason}", fields, len(body), request_id) + body


def _head(status: str, fields: str, length: int, request_id: str) -> bytes:
    return (
        f"HTTP/1.1 {status}\r\n{fields}X-Request-Id: {request_id}\r\nContent-Length: {length}\r\n"
        f"Date: {rfc822_formatted_time()}\r\n\r\n"
    ).encode()
