"""Events that many connections sent in one turn of the event loop: read one after the other, written as one, answered in a row.

Code that runs again at once is still in the processor's caches: reading an event takes 12 µs in a row with others, and up
to three times that between a connection's other business. And whoever waits for the disk waits for one thing, not for as
many as there are events.
"""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, NamedTuple, Protocol, final

import structlog

from hub.api.short_way import Appending, ShortWay
from hub.control.keys import Principal
from hub.errors import StoreRefused, StoreUnavailable
from hub.events.facts import Fact

AT_ONCE: Final = 200  # events read before the loop gets a turn

_log = structlog.get_logger(__name__)


class Sender(Protocol):
    """A connection with one event in hand."""

    def is_sending(self, taken: "Taken") -> bool:
        """Return whether this is still what it has in hand."""

    def accept(self) -> None:
        """Hear that the event is on its way to disk."""

    def decline(self, body: bytes) -> None:
        """Go the long way with it."""

    def answered(self, answer: bytes) -> None: ...


class Taken(NamedTuple):
    sender: Sender
    who: Principal
    body: bytes


@final
class Together:
    """`waiting` counts the events that are on their way to disk; another thread may look at it."""

    def __init__(self, short_way: ShortWay, loop: asyncio.AbstractEventLoop) -> None:
        self._short_way = short_way
        self._loop = loop
        self._taken: list[Taken] = []
        self.waiting = 0

    def take(self, sender: Sender, who: Principal, body: bytes) -> Taken:
        """Have an event read with those of the others, before anything else that comes later."""
        taken = Taken(sender, who, body)
        if not self._taken:
            self._loop.call_soon(self._read)
        self._taken.append(taken)
        return taken

    def _read(self) -> None:
        taken, self._taken = self._taken[:AT_ONCE], self._taken[AT_ONCE:]
        if self._taken:
            self._loop.call_soon(self._read)
        going: list[tuple[Sender, Fact]] = []
        for each in taken:
            sender = each.sender
            if not sender.is_sending(each):
                continue
            fact = self._short_way.read(each.who, each.body)
            if fact is None:
                _each_for_itself(sender.decline, each.body)
            else:
                _each_for_itself(sender.accept)
                going.append((sender, fact))
        most = self._short_way.written_together
        for start in range(0, len(going), most):
            self._append(going[start : start + most])

    def _append(self, going: Sequence[tuple[Sender, Fact]]) -> None:
        self.waiting += len(going)
        appending = self._short_way.append([fact for _, fact in going])
        appending.add_done_callback(partial(self._written, going))

    def _written(self, going: Sequence[tuple[Sender, Fact]], appending: Appending) -> None:
        self.waiting -= len(going)
        short_way = self._short_way
        error = appending.exception()
        if error is None:
            for (sender, _), appended in zip(going, appending.result(), strict=True):
                _each_for_itself(sender.answered, short_way.receipt(appended))
        elif len(going) == 1 or (isinstance(error, StoreUnavailable) and not isinstance(error, StoreRefused)):
            for sender, _ in going:
                _each_for_itself(sender.answered, short_way.failure(error))
        else:
            # One of them spoiled it for all, and nothing was stored: each gets a transaction of its own.
            for alone in going:
                self._append([alone])


def _each_for_itself(tell: Callable[..., None], *what: object) -> None:
    """Tell a connection something; one that fails over it must not keep the others waiting."""
    try:
        tell(*what)
    except Exception:
        _log.exception("request.connection_failed")
