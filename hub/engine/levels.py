"""Watched levels: the rows that say what to watch for, and the pure comparison that finds a crossing."""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple

from msgspec import UNSET, structs

from hub.engine.holds import let_go
from hub.engine.keys import KeyKind
from hub.engine.plans import Candidate
from hub.engine.position_levels import is_known, is_over, send_row
from hub.engine.program import Crosses
from hub.engine.rows import LevelRow, Peak
from hub.engine.scene import Scene
from hub.engine.series import EXACT
from hub.engine.trailing import level_id, number, rule_of, told
from hub.engine.trigger_rows import Level
from hub.engine.values import Kind
from hub.engine.windows import shortest
from hub.events.watched import (
    SMALLEST,
    TRAIL,
    Rule,
    decode_rule,
    encode_rule,
    farther,
    is_back,
    is_past,
    limit_at,
)

NEW, ARMED, CROSSED, GONE = "new", "armed", "crossed", "gone"
CROSSED_EDGE, RECOVERED_EDGE = "crossed", "recovered"
NO_PEAKS: Mapping[str, tuple[str, Decimal]] = {}


def refresh(scene: Scene, candidate: Candidate, trigger: Crosses) -> None:
    """Bring a trigger's level up to date: made, moved or taken away as its scope and its limit say now."""
    name = level_id(candidate.plan.workflow.id, trigger.id, scene.state.key)
    stored = _stored(scene, name)
    level = stored if isinstance(stored, Level) else None
    wanted = _wanted(scene, candidate, trigger)
    if wanted is None:
        if level is not None and level.state != GONE:
            put_level(scene, name, level, GONE)
            let_go(scene, candidate.part)
        return
    threshold, rearm, rule = wanted
    if level is None or level.state == GONE:
        # The generation goes on where the old level stopped: an old crossing must not count for the new one.
        workflow = candidate.plan.workflow.id
        generation, state = (0 if level is None else level.generation), NEW
        owner = (workflow, trigger.id) if level is None else (level.workflow, level.trigger)
    elif _is_the_same(level, trigger, threshold, rearm, rule):
        return
    else:
        owner, generation, state = (level.workflow, level.trigger), level.generation, level.state
    text = rule or UNSET
    moved = Level(*owner, trigger.field, trigger.side, threshold, rearm, generation, state, rule=text)
    put_level(scene, name, moved, state)


def _stored(scene: Scene, name: str) -> object:
    slot = (Kind.LEVEL.value, name)
    return scene.decision.puts[slot] if slot in scene.decision.puts else scene.state.values.get(slot)


def _is_the_same(level: Level, trigger: Crosses, threshold: str, rearm: str, rule: str) -> bool:
    if (level.field, level.side, told(level.rule)) != (trigger.field, trigger.side, rule):
        return False
    # What follows a peak moves with it, and is the same level wherever that is.
    return trigger.trailing is not None or (level.threshold, level.rearm) == (threshold, rearm)


def put_level(scene: Scene, name: str, level: Level, state: str) -> Level:
    """Write a level as it stands from here on: any change is a new generation, so what was offered before is stale."""
    new = structs.replace(level, generation=level.generation + 1, state=state)
    scene.decision.puts[(Kind.LEVEL, name)] = new
    row = LevelRow(
        scene.state.partition,
        name,
        scene.state.key,
        new.field,
        new.side,
        new.threshold,
        new.rearm,
        new.generation,
        state,
        told(new.rule),
    )
    if scene.state.kind is KeyKind.POSITION:
        send_row(scene, row)
    else:
        scene.decision.writing().levels.append(row)
    return new


def vanish(scene: Scene) -> None:
    """Take away the levels of a position that is over."""
    for name, known in scene.state.of_kind(Kind.LEVEL):
        level = _stored(scene, name)
        if isinstance(level, Level) and isinstance(known, Level) and level.state != GONE:
            put_level(scene, name, level, GONE)
            let_go(scene, f"{level.workflow}/{level.trigger}")


def _wanted(scene: Scene, candidate: Candidate, trigger: Crosses) -> tuple[str, str, str] | None:
    """Return threshold, rearm and rule as text; None outside the scope, or while they cannot be known."""
    if scene.state.kind is KeyKind.POSITION and (is_over(scene) or not is_known(scene)):
        return None
    scope, env = candidate.gate, scene.env(candidate)
    if scope is not None and scope.test(env) is not True:
        return None
    limit = number(trigger.limit.evaluate(env))
    rearm = limit if trigger.rearm is None else number(trigger.rearm.evaluate(env))
    if trigger.trailing is not None:
        following = rule_of(scene, candidate, trigger)
        # Where the peak is not known here, the watcher knows it, or sees it with the first sample.
        return None if following is None else (_text(limit), _text(rearm), encode_rule(following))
    if limit is None or rearm is None:
        return None
    rule = Rule(inclusive=trigger.inclusive, held=trigger.is_held)
    return _text(limit), _text(rearm), encode_rule(rule)


def _text(value: Decimal | None) -> str:
    """Return a plain number, within the ten decimals an event's money may have; equal limits read alike."""
    return "" if value is None else plain(value)


def plain(value: Decimal) -> str:
    """Return a number as a row has it."""
    return format(shortest(value.quantize(SMALLEST, context=EXACT)), "f")


# The comparison, shared by whoever watches samples


class PositionSample(NamedTuple):
    """One look at a position of an account; `degraded` as its sample is."""

    position: int
    profit: Decimal | None = None
    price: Decimal | None = None
    degraded: bool = False

    def of(self, field: str) -> Decimal | None:
        """Return a field's value, or None where it is missing or must not be trusted; no price is 0."""
        value = {"profit": self.profit, "price": self.price}[field]
        if value is None or not value.is_finite() or self.degraded:
            return None
        return value if field == "profit" or value > 0 else None


class Sample(NamedTuple):
    """One look at an account; what the source did not say is None."""

    equity: Decimal | None = None
    floating: Decimal | None = None
    free_margin: Decimal | None = None
    margin_level: Decimal | None = None
    margin: Decimal | None = None
    balance: Decimal | None = None
    degraded: bool = False
    positions: tuple[PositionSample, ...] = ()

    @property
    def is_believable(self) -> bool:
        """Whether it says what the account is worth, and may be believed."""
        return self.of("equity") is not None

    def of(self, field: str) -> Decimal | None:
        """Return a field's value, or None where it is missing or must not be trusted.

        Equity 0 beside a balance and a margin level without margin are what a broken feed says.
        """
        value = {
            "equity": self.equity,
            "floating": self.floating,
            "free_margin": self.free_margin,
            "margin_level": self.margin_level,
        }[field]
        if value is None or not value.is_finite() or self.degraded:
            return None
        if field == "margin_level":
            return None if value == 0 or self.margin == 0 else value
        return None if self.equity == 0 and self.balance else value


class Quote(NamedTuple):
    """One look at what a symbol costs; `degraded`: not to be judged by."""

    bid: Decimal
    ask: Decimal
    degraded: bool = False

    @property
    def is_believable(self) -> bool:
        """Whether it may be: a price of nothing and an ask below the bid are what a broken feed says."""
        is_finite = self.bid.is_finite() and self.ask.is_finite()
        return not self.degraded and is_finite and 0 < self.bid <= self.ask

    def of(self, field: str) -> Decimal | None:
        """Return a field's value, or None where it must not be trusted."""
        if not self.is_believable:
            return None
        return {"bid": self.bid, "ask": self.ask, "spread": self.ask - self.bid}[field]


Seen = Sample | PositionSample | Quote


class Crossing(NamedTuple):
    level: LevelRow
    edge: str
    value: Decimal
    limit: Decimal
    peak: Decimal | None = None


class Limits(NamedTuple):
    """Where a level is passed and armed again, and the peak it follows."""

    threshold: Decimal
    rearm: Decimal
    inclusive: bool
    peak: Decimal | None = None


def limits(level: LevelRow, peaks: Mapping[str, tuple[str, Decimal]]) -> Limits | None:
    """Return a level's limits; `peaks` are by the name of their row, each with its side. None where a peak is not known."""
    rule = decode_rule(level.rule)
    if rule.limit is None:
        return Limits(Decimal(level.threshold), Decimal(level.rearm), rule.inclusive)
    if rule.trail not in peaks:
        return None
    side, peak = peaks[rule.trail]
    threshold = limit_at(rule.limit, side, peak, rule.lock)
    rearm = threshold if rule.rearm is None else limit_at(rule.rearm, side, peak, rule.lock)
    return Limits(threshold, rearm, rule.inclusive, peak)


def beyond(side: str, threshold: Decimal, value: Decimal, *, inclusive: bool = False) -> bool:
    """Return whether a value is past its level; on it is not past it, unless the level says so."""
    return is_past(side, threshold, value, inclusive=inclusive)


def crossings(
    levels: Iterable[LevelRow], sample: Seen, peaks: Mapping[str, tuple[str, Decimal]] = NO_PEAKS
) -> Sequence[Crossing]:
    """Return what one sample crosses or recovers from; a level never seen yet is observed instead, not crossed."""
    found: list[Crossing] = []
    for level in levels:
        value = sample.of(level.field) if level.state in {ARMED, CROSSED} else None
        at = limits(level, peaks) if value is not None else None
        if value is None or at is None:
            continue
        past = beyond(level.side, at.threshold, value, inclusive=at.inclusive)
        if level.state == ARMED and past:
            found.append(Crossing(level, CROSSED_EDGE, value, at.threshold, at.peak))
        elif level.state == CROSSED and is_back(
            level.side, at.threshold, at.rearm, value, inclusive=at.inclusive
        ):
            found.append(Crossing(level, RECOVERED_EDGE, value, at.rearm, at.peak))
    return found


class Observation(NamedTuple):
    """What the first sample says of a new level; a list of these is the body of the command `level.observed`."""

    level_id: str
    generation: int
    beyond: bool
    value: Decimal | None = None  # of what lies beyond, as is the limit
    limit: Decimal | None = None


def observations(
    levels: Iterable[LevelRow], sample: Seen, peaks: Mapping[str, tuple[str, Decimal]] = NO_PEAKS
) -> list[Observation]:
    found: list[Observation] = []
    for level in levels:
        value = sample.of(level.field) if level.state == NEW else None
        at = limits(level, peaks) if value is not None else None
        if value is not None and at is not None:
            past = beyond(level.side, at.threshold, value, inclusive=at.inclusive)
            with_what = (value, at.threshold) if past else ()
            found.append(Observation(level.level_id, level.generation, past, *with_what))
    return found


def peaks_of(levels: Iterable[LevelRow]) -> dict[str, tuple[str, Decimal]]:
    """Return how far the values have come that are followed, by the names of their rows."""
    found: dict[str, tuple[str, Decimal]] = {}
    for level in levels:
        if level.state == TRAIL:
            for text in (level.threshold, level.peak):
                known = found.get(level.level_id)
                if text and (known is None or farther(level.side, known[1], Decimal(text))):
                    found[level.level_id] = level.side, Decimal(text)
    return found


def new_peaks(levels: Sequence[LevelRow], sample: Seen) -> list[Peak]:
    """Return the peaks of an account that one sample moves."""
    peaks, moved = peaks_of(levels), list[Peak]()
    for level in levels:
        value = sample.of(level.field) if level.state == TRAIL else None
        known = peaks.get(level.level_id)
        if value is not None and (known is None or farther(level.side, known[1], value)):
            moved.append(Peak(level.partition, level.level_id, level.generation, format(value, "f")))
    return moved
