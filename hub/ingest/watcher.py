"""Equity and margin as they are sampled, compared with every watched level; each crossing is told once, durably.

Level rows belong to the engine. The watcher keeps a copy, has no durable state of its own, and after telling a
crossing waits for the row to move on. What it sees meanwhile it keeps and looks at again then, in order, so that
neither a slow disk nor a slow engine loses an edge. Rebuilt from the rows at any moment it tells the same crossing
under the same key, and the log knows it already.
"""

import asyncio
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import NamedTuple, final

import msgspec
from typing_extensions import override

from hub.bus.log import InputKind, Log, NewInput
from hub.clock import Clock, from_us
from hub.errors import StoreUnavailable
from hub.events.base import AccountRef
from hub.events.catalogue import BY_NAME
from hub.events.facts import Fact, make_fact
from hub.events.risk import LevelCrossed
from hub.ingest.levels import Cell, Edge, LevelState, LevelTable
from hub.ingest.reading import FIELDS, Reading, reading_of
from hub.ingest.samples import Sample, SampleSink

SOURCE = "watcher"
OBSERVED = "level.observed"
_TRY_AGAIN = timedelta(seconds=1)
_REMEMBERED = 200_000
_TEN_DECIMALS = Decimal("1E-10")


class SampleReceipt(NamedTuple):
    """`degraded` were not believed, `late` are older than one already seen; `told` counts edges and first sights.

    `waiting` follow money that came or went: the next sample is judged in their place.
    """

    judged: int
    degraded: int
    late: int
    told: int
    waiting: int = 0


class Observed(msgspec.Struct, frozen=True):
    """The first sight of a new level: which side of it the account is on."""

    level_id: str
    generation: int
    beyond: bool


encode_observed = msgspec.json.Encoder().encode
decode_observed = msgspec.json.Decoder(list[Observed]).decode


@dataclass(frozen=True, slots=True)
class _Offer:
    """`edge` None is the first sight of a new level."""

    level: LevelState
    cell: Cell
    reading: Reading
    edge: Edge | None


@final
class Watcher(SampleSink):
    """Everything here happens on the event loop; `changed` may be called from wherever the engine committed."""

    def __init__(self, log: Log, clock: Clock, *, remembered: int = _REMEMBERED) -> None:
        self._log = log
        self._clock = clock
        self._table = LevelTable()
        self._last: dict[str, Reading] = {}
        # Accounts whose money moved since they were last seen, or with it. Their sample and their limits, which often
        # follow the balance, are of two different moments: comparing them would tell of breaches that never were.
        self._unsure: set[str] = set()
        self._remembered = remembered
        self._offers: dict[tuple[str, str], _Offer] = {}
        self._wake = asyncio.Event()

    def load(self, levels: Iterable[LevelState]) -> None:
        """Watch these levels and no others."""
        self._table = LevelTable()
        self._offers.clear()
        self.changed(levels)

    def changed(self, levels: Iterable[LevelState]) -> None:
        """Take over rows the engine has just committed, and compare each with what was last seen of its account."""
        for level in levels:
            known = self._table.get(level.key, level.level_id)
            if level.state == "gone":
                if known is not None:
                    self._offers.pop((level.key, level.level_id), None)
                    self._table.remove(known)
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
        degraded = late = waiting = 0
        now = self._clock.now_us()
        for sample in batch:
            reading = reading_of(sample)
            before = self._last.get(reading.key) if reading is not None else None
            if reading is None:
                degraded += 1
            elif not self._is_news(reading, now):
                late += 1
            elif before is not None and reading.follows_money(before):
                self._unsure.add(reading.key)
                waiting += 1
            else:
                self._unsure.discard(reading.key)
                readings.append(reading)
        for part in _one_an_account(readings):
            for reading, cell in self._table.hits(part):
                self._see(cell, reading)
        return SampleReceipt(len(readings), degraded, late, await self.tell(), waiting)

    async def tell(self) -> int:
        """Write down everything that waits to be told; return how much. What could not be written waits on."""
        if not self._offers:
            return 0
        offers, self._offers = self._offers, {}
        try:
            await self._log.append(
                [self._fact(offer, offer.edge) for offer in offers.values() if offer.edge is not None],
                inputs=_first_sights(offers.values()),
            )
        except BaseException:
            for place, offer in offers.items():
                if (
                    self._table.get(*place) is offer.cell
                ):  # else the level moved on and a newer offer may stand there
                    self._offers.setdefault(place, offer)
            self._wake.set()
            raise
        return len(offers)

    async def run(self, stopping: asyncio.Event) -> None:
        """Tell what changed levels brought about, and what could not be told the first time."""
        async with asyncio.TaskGroup() as group:
            teller = group.create_task(self._keep_telling())
            await stopping.wait()
            teller.cancel()

    def last_seen(self, key: str) -> Reading | None:
        """Return the last believable sample of an account (server:login)."""
        return self._last.get(key)

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

    def _is_news(self, reading: Reading, now: int) -> bool:
        last = self._last.pop(reading.key, None)
        # A source whose clock runs ahead must not shut out everybody else's samples of the account.
        newest = last is None or min(last.at, now) <= reading.at
        self._last[reading.key] = reading if last is None or newest else last
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
        for reading in seen:
            self._see(cell, reading)
        cell.repeated = repeats and cell.told is not None

    def _to_be_seen(self, level: LevelState, known: Cell | None) -> tuple[list[Reading], bool]:
        """Return what a level's new row is compared with, and whether that begins with what was told of the old one."""
        last = self._last.get(level.key) if level.key not in self._unsure else None
        if known is None or known.told is None or not _stays_put(known.level, level):
            return ([last] if last is not None else []), False
        if level.state == known.level.state and not known.repeated:
            # A row in the same state is no answer: the edge came too late for the old row and stands for the new one.
            return [known.told, *known.since], True
        # After a second refusal the engine doubts the sample itself: wait for the next one.
        return known.since or ([last] if last is not None and last is not known.told else []), False

    def _see(self, cell: Cell, reading: Reading) -> None:
        if cell.told is not None:
            cell.keep(reading)
            return
        value = reading.values[cell.place]
        if value is None:
            return
        edge = None
        if cell.level.state != "new":
            edge = cell.edge(reading)
            if edge is None:
                return
        cell.told = reading
        self._table.watch(cell)
        level = cell.level
        self._offers[level.key, level.level_id] = _Offer(level, cell, reading, edge)

    def _fact(self, offer: _Offer, edge: Edge) -> Fact:
        level, reading, cell = offer.level, offer.reading, offer.cell
        value = reading.values[cell.place]
        assert value is not None
        now = self._clock.now_us()
        name = "margin.crossed" if level.field == "margin_level" else "equity.crossed"
        limit = cell.threshold if edge == "crossed" else cell.rearm
        at = from_us(reading.at)
        return make_fact(
            BY_NAME[name],
            name,
            LevelCrossed(
                level_id=level.level_id,
                generation=level.generation,
                field=FIELDS[cell.place],
                edge=edge,
                side="below" if level.side == "below" else "above",
                value=value,
                limit=limit.quantize(_TEN_DECIMALS) if _is_longer(limit) else limit,
                sampled_at=at,
                sample_age_ms=max(now - reading.at, 0) // 1000,
            ),
            timestamp=at,
            received_us=now,
            source=SOURCE,
            # Not validated again: the sample's account was, where it came in.
            account=AccountRef.model_construct(server=reading.server, login=reading.login),
            dedupe_key=f"{level.level_id}:{level.generation}:{edge}",
        )


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
    return (before.threshold, before.rearm, before.field, before.side) == (
        after.threshold,
        after.rearm,
        after.field,
        after.side,
    )


def _is_longer(value: Decimal) -> bool:
    exponent = value.as_tuple().exponent
    return isinstance(exponent, int) and exponent < -10


def _first_sights(offers: Iterable[_Offer]) -> list[NewInput]:
    by_account: dict[str, list[_Offer]] = {}
    for offer in offers:
        if offer.edge is None:
            by_account.setdefault(offer.level.key, []).append(offer)
    return [_first_sight(key, found) for key, found in by_account.items()]


def _first_sight(key: str, offers: list[_Offer]) -> NewInput:
    seen = [
        Observed(offer.level.level_id, offer.level.generation, offer.cell.beyond(value))
        for offer in offers
        if (value := offer.reading.values[offer.cell.place]) is not None
    ]
    what = "\n".join(f"{item.level_id}:{item.generation}" for item in seen)
    return NewInput(
        partition=offers[0].level.partition,
        kind=InputKind.COMMAND,
        key=key,
        ref=OBSERVED,
        body=encode_observed(seen),
        unique=f"{OBSERVED}:{key}:{hashlib.sha256(what.encode()).hexdigest()[:32]}",
    )
