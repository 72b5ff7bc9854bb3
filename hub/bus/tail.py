"""The end of the log, read once for everybody who follows it: what was committed is offered to the streams it concerns.

A stream that comes with an older place reads the log until it meets the rows kept here, and from then on only hears.
What waits for one stream is bounded: where more comes at once it reads what is kept here, in parts; a reader who falls
behind that too is cut off, and resumes from the log.
"""

import asyncio
from collections import deque
from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Final, NamedTuple, Protocol, TypeVar, final

import structlog

from hub.bus.feed import FeedLog, TooOld, encode
from hub.bus.log import Input, InputKind
from hub.bus.looked import Looked
from hub.clock import Clock
from hub.errors import StoreUnavailable
from hub.stages import run_until

ROWS_KEPT: Final = 16_384
BYTES_KEPT: Final = 16 << 20
ROWS_WAITING: Final = 500  # for one stream
BYTES_WAITING: Final = 256 << 10
TOO_SLOW: Final = "too slow"  # how the reason begins for which a reader that falls behind is cut off
_PAGE: Final = 500
_READ_AT_ONCE: Final = 4  # streams that catch up
_POLL: Final = timedelta(milliseconds=150)
_TRY_AGAIN: Final = timedelta(seconds=1)

_K = TypeVar("_K")

log = structlog.get_logger(__name__)


class Filter(Protocol):
    """What a stream asked for, beside accounts. Equal ones are asked once a row."""

    def holds(self, looked: Looked) -> bool: ...


class Told(NamedTuple):
    """An event for a stream, and the place to resume at once it has it."""

    place: str
    event: Looked


@final
class Follow:
    """One stream's place in the log. `cut` says why it ended; `wake` is set when there is something to do."""

    def __init__(
        self, tail: "Tail", place: Sequence[int], accounts: frozenset[str] | None, wanted: Filter
    ) -> None:
        self.accounts = accounts
        self.wanted = wanted
        self.axes = tail.log.axes_of(accounts)
        self.cut = ""
        self.live = False
        self.was_live = False
        self.wake = asyncio.Event()
        self.reached = list(place)  # everything up to here was handed out
        self._tail = tail
        self._waiting: deque[Looked] = deque()
        self._bytes = 0

    async def take(self) -> list[Told]:
        """Return what can be handed out now, perhaps nothing; raises TooOld, StoreUnavailable."""
        if self.cut:
            return []
        if not self.live:
            read = await self._tail.catch_up(self)
            return self._told(read.events, read.place)
        found = list(self._waiting)
        self._waiting.clear()
        self._bytes = 0
        return self._told(found)

    @property
    def is_waiting(self) -> bool:
        """Return whether `take` has nothing to hand out before `wake` is set."""
        return self.live and not self._waiting

    def place(self) -> str:
        """Return where to resume now: behind everything that was handed out, or concerned somebody else."""
        if self.is_waiting and not self.cut:
            for axis in self.axes:
                self.reached[axis] = max(self.reached[axis], self._tail.place[axis])
        return encode(self._tail.log.axes, {axis: self.reached[axis] for axis in self.axes})

    def offer(self, looked: Looked) -> None:
        """Hear of a row that is wanted, once it is live."""
        if len(self._waiting) < ROWS_WAITING and self._bytes < BYTES_WAITING:
            self._waiting.append(looked)
            self._bytes += len(looked.row.body)
        else:
            self._waiting.clear()
            self._bytes = 0
            self._tail.not_live(self)
        self.wake.set()

    def end(self, reason: str) -> None:
        """End the stream; what waits for it is read from the log by whoever resumes."""
        self.cut = self.cut or reason
        self._waiting.clear()
        self._tail.leave(self)
        self.wake.set()

    def is_news(self, row: Input) -> bool:
        log = self._tail.log
        return log.number(row) > self.reached[log.axis(row)]

    def _told(self, events: Sequence[Looked], then: Sequence[int] | None = None) -> list[Told]:
        log = self._tail.log
        told = []
        for looked in events:
            self.reached[log.axis(looked.row)] = log.number(looked.row)
            told.append(Told(encode(log.axes, {axis: self.reached[axis] for axis in self.axes}), looked))
        if then is not None:
            self.reached = list(then)
        return told


class _Read(NamedTuple):
    events: Sequence[Looked]
    place: Sequence[int]


@final
class Tail:
    """`polls`: nobody tells what is committed, so it is looked for, while anybody follows.

    Everything here happens on the event loop.
    """

    def __init__(self, feed: FeedLog, clock: Clock, *, polls: bool = False) -> None:
        self.log = feed
        self.place: list[int] = []  # everything up to here was offered
        self.stopping = False
        self._clock = clock
        self._polls = polls
        self._kept: deque[Input] = deque()
        self._kept_bytes = 0
        self._base: list[int] = []  # what is kept begins behind this place
        self._heard: list[Input] = []  # before the place was known
        self._follows: set[Follow] = set()
        self._everyone: dict[Filter, set[Follow]] = {}
        self._of: dict[str, set[Follow]] = {}
        self._live = 0
        self._opening = asyncio.Lock()
        self._reading = asyncio.Semaphore(_READ_AT_ONCE)
        self._followed = asyncio.Event()
        self.cut_off = 0

    def __len__(self) -> int:
        return len(self._follows)

    async def follow(
        self, place: Sequence[int] | None, accounts: frozenset[str] | None, wanted: Filter
    ) -> Follow:
        """Begin a stream behind a place; None: with what is committed from now on. Raises StoreUnavailable."""
        await self._open()
        follow = Follow(self, self.place if place is None else place, accounts, wanted)
        self._follows.add(follow)
        return follow

    def leave(self, follow: Follow) -> None:
        """Forget a stream; may be called again."""
        if follow not in self._follows:
            return
        self._follows.remove(follow)
        self.cut_off += bool(follow.cut)
        self.not_live(follow)
        if not self._follows and not self._opening.locked():  # else somebody is about to follow
            self._close()

    def not_live(self, follow: Follow) -> None:
        """Offer a stream nothing until it has caught up."""
        if follow.live:
            follow.live = False
            self._unlist(follow)

    def offer(self, rows: Sequence[Input]) -> None:
        """Hear of committed rows, in order."""
        if not self._followed.is_set():
            return
        if not self.place:
            self._heard += rows
            return
        for row in rows:
            self._offer(row)

    def stop(self) -> None:
        """End every stream, and let none begin."""
        self.stopping = True
        for follow in list(self._follows):
            follow.end("the hub stops")

    async def run(self, stopping: asyncio.Event) -> None:
        """Look for what is committed where nobody tells it."""
        if self._polls:
            await run_until(stopping, self._keep_looking)
        else:
            await stopping.wait()
        self.stop()

    async def catch_up(self, follow: Follow) -> _Read:
        """Read on behind a stream's place; once that reaches what is kept here, the stream hears from now on."""
        if self._covers(follow):
            return self._out_of_kept(follow)
        if follow.was_live:
            follow.end(f"{TOO_SLOW}: more was told since than is kept at hand")
            return _Read((), follow.reached)
        async with self._reading:
            stretch = await self.log.after(follow.reached, follow.axes, follow.accounts, _PAGE)
        looked = [each for each in map(Looked, stretch.rows) if follow.wanted.holds(each)]
        return _Read(looked, stretch.place)

    def _out_of_kept(self, follow: Follow) -> "_Read":
        """Return what is kept behind a stream's place, or a part of it; with the last of it the stream is live."""
        found: list[Looked] = []
        place = list(follow.reached)
        for row in self._kept:
            if not follow.is_news(row):
                continue
            place[self.log.axis(row)] = self.log.number(row)
            if _concerns(row, follow.accounts) and follow.wanted.holds(looked := Looked(row)):
                found.append(looked)
                if len(found) >= ROWS_WAITING:
                    return _Read(found, place)
        if follow in self._follows:  # it may have ended meanwhile
            self._list(follow)
        return _Read(found, place)

    async def look(self) -> int:
        """Offer what was committed since the last look; return how many events that were."""
        stretch = await self.log.after(self.place, self.log.axes_of(None), None, _PAGE)
        if not self.place:
            return 0
        for row in stretch.rows:
            self._offer(row)
        # Rows that are no events moved it further.
        self.place = [max(pair) for pair in zip(self.place, stretch.place, strict=True)]
        return len(stretch.rows)

    def _covers(self, follow: Follow) -> bool:
        return all(self._base[axis] <= follow.reached[axis] for axis in follow.axes)

    async def _open(self) -> None:
        async with self._opening:
            if self.place:
                return
            # From here on nothing goes unheard: what is heard and was committed before the end was read is left out.
            self._followed.set()
            try:
                end = await self.log.end()
            except BaseException:
                self._close()
                raise
            self.place, self._base = list(end), list(end)
            heard, self._heard = self._heard, []
            for row in heard:
                self._offer(row)

    def _close(self) -> None:
        self._followed.clear()
        self.place, self._base = [], []
        self._kept.clear()
        self._heard.clear()
        self._kept_bytes = 0

    def _offer(self, row: Input) -> None:
        axis, number = self.log.axis(row), self.log.number(row)
        if not self.place or number <= self.place[axis]:  # the last one to follow may have left meanwhile
            return
        self.place[axis] = number
        if row.kind != InputKind.EVENT:
            return
        self._keep(row)
        if not self._live:
            return
        looked = Looked(row)
        for wanted, follows in list(self._everyone.items()):
            news = [follow for follow in follows if follow.is_news(row)]
            if news and wanted.holds(looked):
                for follow in news:
                    follow.offer(looked)
        for follow in list(self._of.get(row.key, ())):
            if follow.is_news(row) and follow.wanted.holds(looked):
                follow.offer(looked)

    def _keep(self, row: Input) -> None:
        self._kept.append(row)
        self._kept_bytes += len(row.body)
        while len(self._kept) > ROWS_KEPT or self._kept_bytes > BYTES_KEPT:
            gone = self._kept.popleft()
            self._kept_bytes -= len(gone.body)
            self._base[self.log.axis(gone)] = self.log.number(gone)

    def _list(self, follow: Follow) -> None:
        follow.live = follow.was_live = True
        self._live += 1
        if follow.accounts is None:
            self._everyone.setdefault(follow.wanted, set()).add(follow)
        else:
            for account in follow.accounts:
                self._of.setdefault(account, set()).add(follow)

    def _unlist(self, follow: Follow) -> None:
        self._live -= 1
        if follow.accounts is None:
            _discard(self._everyone, follow.wanted, follow)
        else:
            for account in follow.accounts:
                _discard(self._of, account, follow)

    async def _keep_looking(self) -> None:
        while True:
            await self._followed.wait()
            try:
                full = bool(self.place) and await self.look() >= _PAGE
            except StoreUnavailable as problem:
                log.warning("feeds.not_looked", reason=str(problem))
                await self._clock.sleep(_TRY_AGAIN)
                continue
            except TooOld:
                # Nobody looked for as long as rows are kept: streams read what there is, or are told that it is gone.
                for follow in list(self._follows):
                    follow.end("the hub has to begin anew: reconnect")
                continue
            await self._clock.sleep(timedelta(0) if full else _POLL)


def _discard(listed: dict[_K, set[Follow]], key: _K, follow: Follow) -> None:
    listed[key].discard(follow)
    if not listed[key]:
        del listed[key]


def _concerns(row: Input, accounts: Collection[str] | None) -> bool:
    return accounts is None or row.key in accounts
