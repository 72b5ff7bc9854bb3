"""What is sampled of accounts, positions and symbols, compared with every watched level; each crossing is told once, durably.

Level rows belong to the engine. The watcher keeps a copy, has no durable state of its own, and after telling a
crossing waits for the row to move on. What it sees meanwhile it keeps and looks at again then, in order, so that
neither a slow disk nor a slow engine loses an edge. Rebuilt from the rows at any moment it tells the same crossing
under the same key, and the log knows it already.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from typing import Final, NamedTuple, final

from typing_extensions import override

from hub.bus.log import Log
from hub.clock import Clock
from hub.errors import StoreUnavailable
from hub.events.watched import DAY, TRAIL, WAITING, decode_rule, symbol_key
from hub.ingest.days import Days
from hub.ingest.gaps import Unvouched
from hub.ingest.levels import Cell, LevelState, LevelTable, Seen, Trail
from hub.ingest.offers import SOURCE, Offer, fact_of, first_sights
from hub.ingest.open_positions import OpenPositions
from hub.ingest.peaks import SavePeaks, UnwrittenPeaks
from hub.ingest.quoted import QuotedSymbols
from hub.ingest.reading import Reading, quote_reading, reading_of
from hub.ingest.samples import Quote, Sample, Sink

_TRY_AGAIN = timedelta(seconds=1)
_PEAKS_EVERY = timedelta(milliseconds=500)  # so that what is written is never more than a second behind
_REMEMBERED = 200_000


class SampleReceipt(NamedTuple):
    """`degraded` were not believed, `late` are older than one already seen; `told` counts edges and first sights.

    `waiting` follow money that came or went: the next sample is judged in their place.
    """

    judged: int
    degraded: int
    late: int
    told: int
    waiting: int = 0


NOTHING_SEEN: Final = SampleReceipt(0, 0, 0, 0)


@final
class Watcher(Sink):
    """Everything here happens on the event loop; `changed` may be called from wherever the engine committed."""

    def __init__(
        self,
        log: Log,
        clock: Clock,
        *,
        save_peaks: SavePeaks | None = None,
        remembered: int = _REMEMBERED,
        seen: Callable[[Reading, Sample], None] = lambda *_: None,
        class_of: Callable[[str], str | None] = lambda _: None,
    ) -> None:
        self._log = log
        self._clock = clock
        self._tell_seen = seen
        self._class_of = class_of
        self._table = LevelTable()
        self._positions = OpenPositions()
        self._quoted = QuotedSymbols(class_of, remembered=remembered)
        self._days = Days(SOURCE)
        self._unvouched = Unvouched()
        self._peaks = UnwrittenPeaks(save_peaks)
        self._last: dict[str, Reading] = {}
        # Accounts whose money moved since they were last seen, or with it. Their sample and their limits, which often
        # follow the balance, are of two different moments: comparing them would tell of breaches that never were.
        self._unsure: set[str] = set()
        self._remembered = remembered
        self._offers: dict[tuple[str, str], Offer] = {}
        self._wake = asyncio.Event()

    def load(self, levels: Iterable[LevelState]) -> None:
        """Watch these levels and no others."""
        self._table, self._positions, self._days = LevelTable(), OpenPositions(), Days(SOURCE)
        self._offers.clear()
        self._peaks.forget()
        self.changed(levels)
        # Nobody has seen them since whoever watched before.
        for key in dict.fromkeys(cell.level.key for cell in self._table.held()):
            self._unvouched.lost(key, self._positions.account_of(key))

    def changed(self, levels: Iterable[LevelState]) -> None:
        """Take over rows the engine has just committed, and compare each with what was last seen of its account."""
        now = self._clock.now_us()
        # Peaks first: what follows them is made of them.
        for level in sorted(levels, key=lambda each: each.state != TRAIL):
            place = level.key, level.level_id
            known, trail = self._table.get(*place), self._table.trail_of(*place)
            if level.state == TRAIL:
                self._days.remove(*place)
                for cell in self._table.trail(level):
                    self._moved_to(cell)
            elif level.state in {DAY, WAITING}:
                self._forget_trail(trail)
                self._days.put(level, now)
            elif level.state == "gone":
                self._days.remove(*place)
                self._forget_trail(trail)
                if known is not None:
                    self._offers.pop(place, None)
                    self._table.remove(known)
                    if self._table.row_of(level.key) is None:
                        self._positions.let_go(level.key)
            elif known is None or level.generation > known.level.generation:
                self._take_over(level, known)
        if self._offers:
            self._wake.set()

    def money_moved(self, key: str) -> None:
        """Hear that money came to or left an account: what was seen before says nothing about limits set after it."""
        if key in self._last:
            self._unsure.add(key)

    @override
    async def samples(self, batch: Sequence[Sample]) -> SampleReceipt:
        """Compare samples, in the order they were made; return once every crossing in them is on disk."""
        readings: list[Reading] = []
        judged = degraded = late = waiting = 0
        now = self._clock.now_us()
        rolling = self._days.advance(now)
        for sample in batch:
            reading = reading_of(sample)
            before = self._last.get(reading.key) if reading is not None else None
            if sample.gap:  # what was seen before it stands
                self._compare_all(readings)
                readings = []
                self._lost(f"{sample.server}:{sample.login}")
            if reading is None:
                degraded += 1
                continue
            if rolling:  # with what was seen before: what comes now may be of the next day
                self._days.over(reading.key, self._seen_of(reading.key), now, self._table)
            is_news = self._is_news(reading, sample, now)
            if sample.positions and is_news:
                readings += self._positions.see(sample, reading, self._unvouched)
            if not is_news:
                late += 1
            elif before is not None and reading.follows_money(before):
                self._unsure.add(reading.key)
                waiting += 1
            else:
                self._unsure.discard(reading.key)
                readings.append(reading)
                judged += 1
                if rolling:
                    self._days.over(reading.key, reading, now, self._table)
                if self._unvouched.any:
                    self._unvouched.seen(reading.key)
        self._compare_all(readings)
        return SampleReceipt(judged, degraded, late, await self.tell(), waiting)

    @override
    async def quotes(self, batch: Sequence[Quote]) -> SampleReceipt:
        """Compare quotes of symbols, in the order they were made; return once every crossing in them is on disk."""
        readings: list[Reading] = []
        judged = degraded = late = 0
        now = self._clock.now_us()
        for quote in batch:
            reading = quote_reading(quote)
            if quote.gap:  # what was seen before it stands
                self._compare_all(readings)
                readings = []
                self._lost(symbol_key(quote.server, quote.symbol))
            if reading is None:
                degraded += 1
            elif not self._quoted.hear(reading, now):
                late += 1
            else:
                readings.append(reading)
                judged += 1
                if self._unvouched.any:
                    self._unvouched.seen(reading.key)
        self._compare_all(readings)
        return SampleReceipt(judged, degraded, late, await self.tell())

    def _compare_all(self, readings: Sequence[Reading]) -> None:
        for part in _one_an_account(readings):
            self._compare(part)

    def _compare(self, part: Sequence[Reading]) -> None:
        """Compare readings of as many accounts with all their levels, after the peaks that these follow."""
        hits = self._table.hits(part)
        moved: set[int] = set()
        for reading, hit in hits:
            if isinstance(hit, Trail) and (value := reading.values[hit.place]) is not None:
                for cell in self._table.advance(hit, value):
                    moved.add(id(cell))
                    self._see(cell, reading)
                self._peaks.came_to(hit)
        for reading, hit in hits:
            if isinstance(hit, Cell) and id(hit) not in moved:
                self._see(hit, reading)

    async def tell(self) -> int:
        """Write down everything that waits to be told; return how much. What could not be written waits on."""
        days, unvouched, quoted = self._days.take(), self._unvouched.take(), self._quoted.take()
        if not self._offers and not days and not unvouched and not quoted:
            return 0
        offers, self._offers = self._offers, {}
        now = self._clock.now_us()
        # Days first: a new one may move the very limit that was passed.
        facts = [each.fact for each in days if each.fact is not None]
        facts += [
            fact_of(offer, offer.edge, now, self._class_of)
            for offer in offers.values()
            if offer.edge is not None
        ]
        commands = [each.command for each in days if each.command is not None]
        try:
            await self._log.append(
                facts,
                inputs=[*commands, *unvouched, *quoted, *first_sights(offers.values())],
            )
        except BaseException:
            self._days.again(days)
            self._unvouched.again(unvouched)
            self._quoted.again(quoted)
            for place, offer in offers.items():
                if (
                    self._table.get(*place) is offer.cell
                ):  # else the level moved on and a newer offer may stand there
                    self._offers.setdefault(place, offer)
            self._wake.set()
            raise
        return len(offers) + len(days)

    async def save(self) -> None:
        """Write down how far the peaks have come. What could not be written waits on."""
        await self._peaks.save(self._table)

    async def run(self, stopping: asyncio.Event) -> None:
        """Tell what changed levels brought about, and what could not be told the first time."""
        async with asyncio.TaskGroup() as group:
            working = [
                group.create_task(self._keep_telling()),
                group.create_task(self._keep_rolling()),
                group.create_task(self._keep_saving()),
            ]
            await stopping.wait()
            for task in working:
                task.cancel()
        with contextlib.suppress(StoreUnavailable):
            await self.save()

    def last_seen(self, key: str) -> Reading | None:
        """Return the last believable sample of an account (server:login), of a position somebody watches, or of a symbol."""
        return self._last.get(key) or self._positions.last_seen(key) or self._quoted.last_seen(key)

    def follows_positions(self) -> bool:
        """Return whether samples have to say anything of positions."""
        return bool(self._positions)

    @property
    def next_day(self) -> int:
        """Return when the next day ends that somebody wants to know of."""
        return self._days.next_at

    def __len__(self) -> int:
        return len(self._table)

    async def _keep_telling(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                await self.tell()
            except StoreUnavailable:
                await self._clock.sleep(_TRY_AGAIN)
                self._wake.set()

    async def roll(self) -> bool:
        """Tell of days that are over, some accounts at a time; return whether there are more of them."""
        more = self._days.roll(self._seen_of, self._clock.now_us(), self._table)
        if self._days.has_told:
            await self.tell()
        return more

    async def _keep_rolling(self) -> None:
        while True:
            try:
                more = await self.roll()
            except StoreUnavailable:
                more = False
            # Others have their turn between the parts as well.
            now = self._clock.now_us()
            await self._clock.sleep(timedelta(0) if more else self._days.pause(now))

    async def _keep_saving(self) -> None:
        while True:
            await self._clock.sleep(_PEAKS_EVERY)
            with contextlib.suppress(StoreUnavailable):
                await self.save()

    def _seen_of(self, key: str) -> Reading | None:
        """Return the last reading that may be judged by."""
        return None if key in self._unsure else self.last_seen(key)

    def _lost(self, key: str) -> None:
        if self._table.held(key):
            self._unvouched.lost(key)
        for each in self._positions.of(key):
            if self._table.held(each):
                self._unvouched.lost(each, key)

    def _forget_trail(self, trail: Trail | None) -> None:
        if trail is not None:
            self._table.remove(trail)

    def _moved_to(self, cell: Cell) -> None:
        """Compare a level whose peak the engine knew better with what was last seen."""
        last = self._seen_of(cell.level.key)
        if last is not None and cell.told is None:
            self._see(cell, last)

    def _is_news(self, reading: Reading, sample: Sample, now: int) -> bool:
        last = self._last.pop(reading.key, None)
        # A source whose clock runs ahead must not shut out everybody else's samples of the account.
        newest = last is None or min(last.at, now) <= reading.at
        self._last[reading.key] = reading if last is None or newest else last
        if newest:
            self._tell_seen(reading, sample)
        if len(self._last) > self._remembered:
            forgotten = next(iter(self._last))
            del self._last[forgotten]
            self._unsure.discard(forgotten)
        return newest

    def _take_over(self, level: LevelState, known: Cell | None) -> None:
        self._offers.pop((level.key, level.level_id), None)
        seen, repeats = self._to_be_seen(level, known)
        cell = self._table.put(level)
        if cell is None:
            return
        self._positions.follow(level)
        for reading, limits in seen:
            self._see(cell, reading, limits)
        cell.repeated = repeats and cell.told is not None

    def _to_be_seen(
        self, level: LevelState, known: Cell | None
    ) -> tuple[list[tuple[Reading, Seen | None]], bool]:
        """Return what a level's new row is compared with, and whether that begins with what was told of the old one.

        Each beside the limits as they were then; without them as they are now.
        """
        last = self._seen_of(level.key)
        if known is None or known.told is None or not _stays_put(known.level, level):
            return ([(last, None)] if last is not None else []), False
        since = [(each.reading, each) for each in known.since]
        if level.state == known.level.state and not known.repeated:
            # A row in the same state is no answer: the edge came too late for the old row and stands for the new one.
            return [(known.told.reading, known.told), *since], True
        # After a second refusal the engine doubts the sample itself: wait for the next one.
        news = last is not None and last is not known.told.reading
        return [*since] or ([(last, None)] if news and last is not None else []), False

    def _see(self, cell: Cell, reading: Reading, limits: Seen | None = None) -> None:
        seen = limits or cell.seen(reading)
        if seen is None:
            return
        if cell.told is not None:
            cell.keep(seen)
            return
        if reading.values[cell.place] is None:
            return
        edge = None
        if cell.level.state != "new":
            edge = cell.edge(seen)
            if edge is None:
                return
        cell.told = seen
        self._table.watch(cell)
        level, rule = cell.level, cell.rule
        trail = self._table.trail_of(level.key, rule.trail) if rule.trail else None
        peak = trail.peak if trail is not None else None
        self._offers[level.key, level.level_id] = Offer(level, cell, seen, edge, peak)


def _one_an_account(readings: Sequence[Reading]) -> list[list[Reading]]:
    """Return the readings in parts with at most one of each account, in order: a part is compared all at once."""
    parts: list[list[Reading]] = []
    taken: dict[str, int] = {}
    for reading in readings:
        number = taken.get(reading.key, 0)
        taken[reading.key] = number + 1
        if number == len(parts):
            parts.append([])
        parts[number].append(reading)
    return parts


def _stays_put(before: LevelState, after: LevelState) -> bool:
    """Return whether a new row is about the same limit, and not a level that was moved to another place.

    What was seen before a level moved says nothing about where it is now.
    """
    if (before.field, before.side, before.rule) != (after.field, after.side, after.rule):
        return False
    # What follows a peak is where that is, whatever its row says of it.
    follows = decode_rule(after.rule).limit is not None
    return follows or (before.threshold, before.rearm) == (after.threshold, after.rearm)
