"""What accounts are worth now, for whoever watches: the newest of each account, told at the pace each watcher asked for.

Watchers of one pace share a tick: what changed is collected and written as JSON once for all of them. A watcher who is
slow misses what was superseded and never what is newest; what waits for him has one entry an account.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from typing import Final, Protocol, final

import msgspec

from hub.clock import MICROSECOND, Clock, iso
from hub.ingest.position_board import PositionBoard
from hub.ingest.reading import FIELDS, Reading, reading_of
from hub.ingest.samples import Sample
from hub.stages import run_until
from hub.turns import a_turn

SHORTEST, USUAL, LONGEST = timedelta(milliseconds=100), timedelta(milliseconds=500), timedelta(seconds=60)
_STEP: Final = timedelta(milliseconds=100)  # so that paces are few
_REMEMBERED: Final = 200_000
_AT_ONCE: Final = 500  # accounts in one part
_EQUITY, _FREE_MARGIN = FIELDS.index("equity"), FIELDS.index("free_margin")
_encode = msgspec.json.Encoder().encode


def fields_of(reading: Reading) -> dict[str, str]:
    """Return what a reading says, as text: decimals are not rounded on their way."""
    known = {
        name: format(value, "f")
        for name, value in zip(FIELDS, reading.values, strict=True)
        if value is not None
    }
    equity, free = reading.values[_EQUITY], reading.values[_FREE_MARGIN]
    if equity is not None and free is not None:
        known["margin"] = format(equity - free, "f")
    if reading.balance is not None:
        known["balance"] = format(reading.balance, "f")
    return known


def told(reading: Reading) -> bytes:
    """Return a reading as JSON."""
    return _encode(
        {
            "account": {"server": reading.server, "login": reading.login},
            "at": iso(reading.at),
            **fields_of(reading),
        }
    )


class View(Protocol):
    """How a watcher wants accounts to be told, where that is more than what they are worth. Equal ones share what is written."""

    def told(self, key: str, reading: Reading | None) -> bytes | None:
        """Return an account as JSON; None while nothing is known of it."""


@final
class Watch:
    """One watcher: what waits for him, and `wake`, set when something does. `accounts` None means all."""

    def __init__(
        self, board: "Board", accounts: frozenset[str] | None, pace: timedelta, view: View | None
    ) -> None:
        self.accounts = accounts
        self.pace = pace
        self.view = view
        self.wake = asyncio.Event()
        self.cut = ""
        self.waiting: dict[str, bytes] = {}
        self._board = board

    def take(self) -> list[bytes]:
        found, self.waiting = list(self.waiting.values()), {}
        return found

    def snapshot(self) -> Iterator[list[bytes]]:
        """Return what is known now, in parts; what changes meanwhile comes with the next tick as well."""
        if self.view is not None and self.accounts is not None:
            yield from self._viewed(self.view, sorted(self.accounts))
            return
        readings = self._board.known(self.accounts)
        for start in range(0, len(readings), _AT_ONCE):
            yield [told(reading) for reading in readings[start : start + _AT_ONCE]]

    def _viewed(self, view: View, accounts: Sequence[str]) -> Iterator[list[bytes]]:
        for start in range(0, len(accounts), _AT_ONCE):
            part = [(key, self._board.last_seen(key)) for key in accounts[start : start + _AT_ONCE]]
            yield [text for key, reading in part if (text := view.told(key, reading)) is not None]

    def end(self, reason: str) -> None:
        self.cut = self.cut or reason
        self._board.leave(self)
        self.wake.set()


class _Pace:
    """Those who watch at one pace."""

    def __init__(self, due: int) -> None:
        self.due = due
        self.watchers = 0
        self.changed: set[str] = set()
        self.touched: set[str] = set()  # in what only a view shows
        self.everyone: set[Watch] = set()
        self.of: dict[str, set[Watch]] = {}


@final
class Board:
    """Everything here happens on the event loop."""

    def __init__(self, clock: Clock, *, remembered: int = _REMEMBERED) -> None:
        self.stopping = False
        self._clock = clock
        self._remembered = remembered
        self._latest: OrderedDict[str, Reading] = OrderedDict()
        self._paces: dict[timedelta, _Pace] = {}
        self._watches: set[Watch] = set()
        self._watched = asyncio.Event()
        self._written: dict[str, tuple[Reading, bytes]] = {}
        self.positions = PositionBoard(clock, self._touch)
        self.superseded = 0  # what waited for a watcher when something newer took its place

    def __len__(self) -> int:
        return len(self._watches)

    def hear(self, reading: Reading, sample: Sample) -> None:
        """Take over a sample that may be believed, as it was read; an older one than is known changes nothing."""
        last = self._latest.get(reading.key)
        if last is not None:
            # A source whose clock runs ahead must not shut out everybody else's samples of the account.
            if reading.at < min(last.at, self._clock.now_us()):
                return
            self._latest.move_to_end(reading.key)
        self._latest[reading.key] = reading
        if sample.positions:
            self.positions.hear(sample, reading)
        if len(self._latest) > self._remembered:
            gone, _ = self._latest.popitem(last=False)
            self._written.pop(gone, None)
        if self._paces and (last is None or last.values != reading.values or last.balance != reading.balance):
            for pace in self._paces.values():
                pace.changed.add(reading.key)

    def hear_samples(self, samples: Sequence[Sample]) -> None:
        for sample in samples:
            reading = None if sample.gap else reading_of(sample)
            if reading is not None:
                self.hear(reading, sample)

    def last_seen(self, key: str) -> Reading | None:
        return self._latest.get(key)

    def known(self, accounts: frozenset[str] | None) -> list[Reading]:
        if accounts is None:
            return list(self._latest.values())
        return [self._latest[key] for key in sorted(accounts) if key in self._latest]

    def watch(self, accounts: frozenset[str] | None, pace: timedelta, view: View | None = None) -> Watch:
        """Begin to watch; ask for the snapshot at once, changes from now on come by themselves."""
        rounded = max(SHORTEST, min(LONGEST, -(-pace // _STEP) * _STEP))
        watch = Watch(self, accounts, rounded, view)
        self._watches.add(watch)
        group = self._paces.get(rounded)
        if group is None:
            group = self._paces[rounded] = _Pace(self._clock.now_us() + rounded // MICROSECOND)
            self._watched.set()
        group.watchers += 1
        if accounts is None:
            group.everyone.add(watch)
        else:
            for account in accounts:
                group.of.setdefault(account, set()).add(watch)
        return watch

    def leave(self, watch: Watch) -> None:
        """Forget a watcher; may be called again."""
        if watch not in self._watches:
            return
        self._watches.remove(watch)
        group = self._paces[watch.pace]
        group.everyone.discard(watch)
        for account in watch.accounts or ():
            group.of[account].discard(watch)
            if not group.of[account]:
                del group.of[account]
        group.watchers -= 1
        if not group.watchers:
            del self._paces[watch.pace]
        if not self._paces:
            self._written.clear()

    async def tick(self) -> int | None:
        """Tell everybody whose moment has come; return when the next one comes (µs), None while nobody watches."""
        now = self._clock.now_us()
        for pace, group in list(self._paces.items()):
            if group.due <= now:
                group.due = max(group.due + pace // MICROSECOND, now)
                await self._tell(group)
        return min((group.due for group in self._paces.values()), default=None)

    def stop(self) -> None:
        """End every stream, and let none begin."""
        self.stopping = True
        for watch in list(self._watches):
            watch.end("the hub stops")

    async def run(self, stopping: asyncio.Event) -> None:
        await run_until(stopping, self._keep_telling)
        self.stop()

    async def _keep_telling(self) -> None:
        while True:
            await self._watched.wait()
            due = await self.tick()
            if due is None:
                self._watched.clear()
                continue
            # No longer than a step: somebody may begin to watch at a shorter pace.
            await self._clock.sleep(min((due - self._clock.now_us()) * MICROSECOND, _STEP))

    def _touch(self, key: str) -> None:
        for pace in self._paces.values():
            pace.touched.add(key)

    async def _tell(self, pace: _Pace) -> None:
        changed, pace.changed = list(pace.changed), set()
        touched, pace.touched = pace.touched.difference(changed), set()
        for start in range(0, len(changed), _AT_ONCE):
            if start:
                await a_turn()
            self._tell_some(pace, changed[start : start + _AT_ONCE])
        if touched:
            self._tell_views(pace, touched)

    def _tell_some(self, pace: _Pace, keys: Sequence[str]) -> None:
        everything: dict[str, bytes] = {}
        viewed: list[str] = []
        for key in keys:
            watches = pace.of.get(key, ())
            if key not in self._latest or not (watches or pace.everyone):
                continue
            text = everything[key] = self._text(key)
            for watch in watches:
                if watch.view is None:
                    self._put(watch, key, text)
            if any(watch.view is not None for watch in watches):
                viewed.append(key)
        if everything:
            for watch in pace.everyone:
                self.superseded += len(watch.waiting.keys() & everything.keys())
                watch.waiting.update(everything)
                watch.wake.set()
        self._tell_views(pace, viewed)

    def _tell_views(self, pace: _Pace, keys: Iterable[str]) -> None:
        """Tell those who look at more than an account is worth; of one view it is written once."""
        for key in keys:
            texts: dict[View, bytes | None] = {}
            for watch in pace.of.get(key, ()):
                view = watch.view
                if view is None:
                    continue
                if view not in texts:
                    texts[view] = view.told(key, self._latest.get(key))
                if (text := texts[view]) is not None:
                    self._put(watch, key, text)

    def _put(self, watch: Watch, key: str, text: bytes) -> None:
        self.superseded += key in watch.waiting
        watch.waiting[key] = text
        watch.wake.set()

    def _text(self, key: str) -> bytes:
        """Return an account as JSON, written once however many watch it, at whatever pace."""
        reading = self._latest[key]
        written = self._written.get(key)
        if written is None or written[0] is not reading:
            written = self._written[key] = reading, told(reading)
        return written[1]
