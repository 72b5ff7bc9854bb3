"""Days that end while a story is told: what the hub's watcher would tell of each account, and when."""

from collections.abc import Iterable, Mapping
from decimal import Decimal

from hub.clock import from_us
from hub.engine.anchors import ROLLED, Rolled, encode_rolled
from hub.engine.levels import Sample, peaks_of
from hub.engine.rows import LevelRow
from hub.events.base import AccountRef
from hub.events.catalogue import BY_NAME
from hub.events.days import began, day_of, ends
from hub.events.facts import Fact, make_fact
from hub.events.risk import DayRolled
from hub.events.watched import DAY, TRAIL, WAITING

Clock = tuple[str, str]


def next_midnight(levels: Iterable[LevelRow], now: int) -> int | None:
    """Return when the next day ends, after now, that somebody wants to know of."""
    days = {(level.side, level.threshold, int(level.rearm)) for level in levels if _is_day(level)}
    found = (ends(until, zone, daily_at) for zone, daily_at, until in days)
    return min((end for end in found if end > now), default=None)


def days_over(levels: Iterable[LevelRow], samples: Mapping[str, Sample], now: int) -> dict[str, list[Fact]]:
    """Return what is told of the days that have ended, by account, with the sample last seen of it."""
    rows = list(levels)
    over: dict[str, set[Clock]] = {}
    for level in rows:
        clock = (level.side, level.threshold)
        if _is_day(level) and int(level.rearm) < began(now, *clock):
            over.setdefault(level.key, set()).add(clock)
    return {
        key: [_fact(key, clock, samples.get(key), rows, now) for clock in sorted(clocks)]
        for key, clocks in sorted(over.items())
    }


def days_seen_late(levels: Iterable[LevelRow], key: str, sample: Sample, now: int) -> list[bytes]:
    """Return what days were worth that had ended without a sample."""
    waiting = {
        (level.side, level.threshold, int(level.rearm))
        for level in levels
        if level.key == key and level.state == WAITING
    }
    seen = _seen(sample)
    return [
        encode_rolled(Rolled(zone, daily_at, until, now, **seen)) for zone, daily_at, until in sorted(waiting)
    ]


def _is_day(level: LevelRow) -> bool:
    return level.state in {DAY, WAITING}


def _seen(sample: Sample | None) -> dict[str, Decimal | None]:
    if sample is None:
        return {}
    names = ("equity", "floating", "free_margin", "margin_level", "balance")
    return {name: getattr(sample, name) for name in names}


def _fact(key: str, clock: Clock, sample: Sample | None, rows: Iterable[LevelRow], now: int) -> Fact:
    server, _, login = key.rpartition(":")
    until, generations = began(now, *clock), {level.level_id: level.generation for level in rows}
    trails = [level for level in rows if level.key == key and level.state == TRAIL]
    peaks = {f"{name}:{generations[name]}": peak for name, (_, peak) in peaks_of(trails).items()}
    data = DayRolled(
        day=day_of(until - 1, *clock),
        zone=clock[0],
        daily_at=clock[1],
        sampled_at=from_us(now) if sample is not None else None,
        sample_age_ms=0 if sample is not None else None,
        peaks=peaks or None,
        **_seen(sample),
    )
    return make_fact(
        BY_NAME[ROLLED],
        ROLLED,
        data,
        timestamp=from_us(until),
        received_us=now,
        source="story",
        account=AccountRef(server=server, login=int(login)),
        dedupe_key=f"{key}:{clock[0]}:{clock[1]}:{data.day.isoformat()}",
    )
