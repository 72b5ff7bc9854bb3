"""A connection that listens to an answer a little at a time and only so far.

The parser makes an object of every announcement and every chunk: a megabyte of those would hold up everybody else.
"""

from typing import Final

from aiohttp.client_proto import ResponseHandler
from aiohttp.http import HttpProcessingError
from typing_extensions import override

MOST_RECEIVED: Final = (
    96 * 1024
)  # of an answer, with its head, its chunks' lengths and whatever it is announced by
AT_A_TIME: Final = 4 * 1024
MOST_INFORMATIONAL: Final = 16
MOST_HEADERS: Final = 100
LONGEST_LINE: Final = 8 * 1024


class Chatter(HttpProcessingError):
    """The receiver goes on announcing an answer that does not come."""


class Bounded(ResponseHandler):
    """For a connection that is made for one answer."""

    _left = MOST_RECEIVED

    @override
    def data_received(self, data: bytes) -> None:
        left = self._left
        self._left = left - len(data)
        if len(data) <= AT_A_TIME and len(data) <= left:
            super().data_received(data)
        elif left > 0:
            self._by_and_by(data[:left])
            if len(data) > left:
                self._cut()
        elif left < 0 and data:
            self._cut()

    def _by_and_by(self, data: bytes) -> None:
        for start in range(0, len(data), AT_A_TIME):
            if self._exception is not None or self.transport is None:
                return
            super().data_received(data[start : start + AT_A_TIME])
            if len(self._buffer) > MOST_INFORMATIONAL:
                self.set_exception(Chatter(message="more announcements than answers need"))

    def _cut(self) -> None:
        """End the answer here: what there is of its body is all that is listened to."""
        self.force_close()
        if self._payload is not None:
            self._payload.feed_eof()
        elif self._exception is None:
            self.set_exception(Chatter(message="no answer in all that was said"))
        if self.transport is not None:
            self.transport.close()
