"""Telling that days are over: of each account once, with what was last seen of it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Final, final

import msgspec

from hub.bus.log import InputKind, NewInput
from hub.clock import MICROSECOND, from_us
from hub.events.base import AccountRef
from hub.events.catalogue import BY_NAME
from hub.events.days import day_of
from hub.events.facts import Fact, make_fact
from hub.events.risk import DayRolled
from hub.ids import partition_of
from hub.ingest.levels import LevelState, LevelTable
from hub.ingest.reading import FIELDS, Reading, told
from hub.ingest.rollovers import GRACE, DayClock, Due, Rollovers

ROLLED: Final = "day.rolled"
SAMPLED_LATE: Final = "day.sampled"
MOST_AT_ONCE: Final = 500
_LONGEST_PAUSE: Final = timedelta(seconds=1)
_MOST_PEAKS: Final = 256

SeenOf = Callable[[str], Reading | None]


class DaySampled(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a day was worth that had been told of without a sample."""

    zone: str
    daily_at: str
    until: int
    at: int
    equity: Decimal | None = None
    floating: Decimal | None = None
    free_margin: Decimal | None = None
    margin_level: Decimal | None = None
    balance: Decimal | None = None


encode_sampled = msgspec.json.Encoder(decimal_format="string").encode


@dataclass(frozen=True, slots=True)
class Telling:
    """Something to be written down: that a day is over, or what it was worth."""

    fact: Fact | None = None
    command: NewInput | None = None


@final
class Days:
    def __init__(self, source: str) -> None:
        self._source = source
        self._rollovers = Rollovers()
        self._queue: list[Telling] = []
        self._left: list[str] = []  # accounts to be gone through, of those that have a day that is over
        self._looked_at = 0  # when that was begun
        self._fresh = False  # something became due since

    @property
    def has_told(self) -> bool:
        """Whether something waits to be written down."""
        return bool(self._queue)

    @property
    def next_at(self) -> int:
        return self._rollovers.next_at

    def put(self, level: LevelState, now: int) -> None:
        self._rollovers.put(level, now)
        self._fresh = self._fresh or bool(self._rollovers.due)

    def remove(self, key: str, level_id: str) -> None:
        self._rollovers.remove(key, level_id)

    def advance(self, now: int) -> bool:
        """Find the days that are over; return whether any account's next sample may have to do with one."""
        rollovers = self._rollovers
        if rollovers.next_at <= now:
            rollovers.advance(now)
            self._fresh = True
        return bool(rollovers.due or rollovers.wanted)

    def over(self, key: str, reading: Reading | None, now: int, table: LevelTable) -> None:
        """Tell of the days of one account that are over, with what was seen of it."""
        rollovers = self._rollovers
        for due in [*rollovers.due.get(key, {}).values()]:
            # A day that wants to be seen waits for that, but not for ever.
            patient = now - due.since < GRACE and rollovers.wants_sample(key, due.clock)
            if reading is None and patient:
                continue
            self._queue.append(Telling(fact=self._fact(key, due, reading, now, table)))
            rollovers.is_told(key, due)
        if reading is not None:
            for clock, until in rollovers.wanted.pop(key, {}).items():
                self._queue.append(Telling(command=_late(key, clock, until, reading)))

    def roll(self, seen_of: SeenOf, now: int, table: LevelTable) -> bool:
        """Tell of days that are over, of some accounts at a time; return whether there are more that can be told."""
        self.advance(now)
        if not self._left:
            if not self._fresh and now < self._looked_at + GRACE:
                return False
            self._left = [*self._rollovers.due]
            self._fresh, self._looked_at = False, now
        looked_at = self._left[-MOST_AT_ONCE:]
        del self._left[-MOST_AT_ONCE:]
        for key in looked_at:
            self.over(key, seen_of(key), now, table)
        return bool(self._left)

    def pause(self, now: int) -> timedelta:
        """Return how long nothing can have become due."""
        return min(max(self._rollovers.next_at - now, 1) * MICROSECOND, _LONGEST_PAUSE)

    def take(self) -> list[Telling]:
        """Return what waits to be written down."""
        queue, self._queue = self._queue, []
        return queue

    def again(self, tellings: list[Telling]) -> None:
        """Have them written down once more: told twice, they are the same."""
        self._queue = [*tellings, *self._queue]

    def _fact(self, key: str, due: Due, reading: Reading | None, now: int, table: LevelTable) -> Fact:
        zone, daily_at = due.clock
        server, _, login = key.rpartition(":")
        day = day_of(due.at - 1, zone, daily_at)
        seen = dict(zip(FIELDS, reading.values, strict=True)) if reading is not None else {}
        if reading is not None:
            seen["balance"] = told(reading.balance)
        peaks = {
            f"{trail.level.level_id}:{trail.level.generation}": trail.peak
            for trail in table.trails_of(key)[:_MOST_PEAKS]
            if trail.peak is not None
        }
        data = DayRolled(
            day=day,
            zone=zone,
            daily_at=daily_at,
            sampled_at=from_us(reading.at) if reading is not None else None,
            sample_age_ms=max(now - reading.at, 0) // 1000 if reading is not None else None,
            peaks=peaks or None,
            **seen,
        )
        return make_fact(
            BY_NAME[ROLLED],
            ROLLED,
            data,
            timestamp=from_us(due.at),
            received_us=now,
            source=self._source,
            account=AccountRef.model_construct(server=server, login=int(login)),
            dedupe_key=f"{key}:{zone}:{daily_at}:{day.isoformat()}",
        )


def _late(key: str, clock: DayClock, until: int, reading: Reading) -> NewInput:
    equity, floating, free_margin, margin_level = reading.values
    body = DaySampled(
        clock.zone,
        clock.daily_at,
        until,
        reading.at,
        equity,
        floating,
        free_margin,
        margin_level,
        told(reading.balance),
    )
    return NewInput(
        partition=partition_of(reading.server, reading.login),
        kind=InputKind.COMMAND,
        key=key,
        ref=SAMPLED_LATE,
        body=encode_sampled(body),
        unique=f"{SAMPLED_LATE}:{key}:{clock.zone}:{clock.daily_at}:{until}",
    )
