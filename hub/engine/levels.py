"""Watched levels: the rows that say what to watch for, and the pure comparison that finds a crossing."""

from base64 import b32encode
from collections.abc import Iterable, Sequence
from decimal import Decimal
from functools import lru_cache
from hashlib import sha256
from typing import NamedTuple

from hub.engine.index import Candidate
from hub.engine.program import Crosses
from hub.engine.rows import LevelRow
from hub.engine.scene import Env, Scene
from hub.engine.series import EXACT
from hub.engine.state import Kind, Level
from hub.engine.windows import shortest

NEW, ARMED, CROSSED, GONE = "new", "armed", "crossed", "gone"
SMALLEST, LARGEST = Decimal("1E-10"), Decimal(10) ** 16  # what an amount of an event can say
CROSSED_EDGE, RECOVERED_EDGE = "crossed", "recovered"


@lru_cache(maxsize=65536)
def level_id(workflow: str, trigger: str, key: str) -> str:
    digest = sha256(f"{workflow}\0{trigger}\0{key}".encode()).digest()[:16]
    return "lvl_" + b32encode(digest).decode().rstrip("=").lower()


def refresh(scene: Scene, candidate: Candidate, trigger: Crosses) -> None:
    """Bring a trigger's level up to date: made, moved or taken away as its scope and its limit say now."""
    name = level_id(candidate.plan.workflow.id, trigger.id, scene.state.key)
    stored = scene.state.values.get((Kind.LEVEL, name))
    level = stored if isinstance(stored, Level) else None
    wanted = _wanted(candidate, trigger, scene.env(candidate))
    if wanted is None:
        if level is not None and level.state != GONE:
            put_level(scene, name, level, GONE)
        return
    threshold, rearm = wanted
    if level is None or level.state == GONE:
        # The generation goes on where the old level stopped: an old crossing must not count for the new one.
        before = (
            Level(candidate.plan.workflow.id, trigger.id, "", "", "", "", 0, GONE) if level is None else level
        )
        state = NEW
    elif (level.field, level.side, level.threshold, level.rearm) == (trigger.field, trigger.side, *wanted):
        return
    else:
        before, state = level, level.state
    moved = Level(
        before.workflow,
        before.trigger,
        trigger.field,
        trigger.side,
        threshold,
        rearm,
        before.generation,
        state,
    )
    put_level(scene, name, moved, state)


def put_level(scene: Scene, name: str, level: Level, state: str) -> Level:
    """Write a level as it stands from here on: any change is a new generation, so what was offered before is stale."""
    new = Level(
        level.workflow,
        level.trigger,
        level.field,
        level.side,
        level.threshold,
        level.rearm,
        level.generation + 1,
        state,
    )
    scene.decision.puts[(Kind.LEVEL, name)] = new
    scene.decision.writing().levels.append(
        LevelRow(
            scene.state.partition,
            name,
            scene.state.key,
            new.field,
            new.side,
            new.threshold,
            new.rearm,
            new.generation,
            state,
        )
    )
    return new


def _wanted(candidate: Candidate, trigger: Crosses, env: Env) -> tuple[str, str] | None:
    """Return threshold and rearm as text; None outside the scope, or while they cannot be known."""
    scope = candidate.gate
    if scope is not None and scope.test(env) is not True:
        return None
    limit = _number(trigger.limit.evaluate(env))
    rearm = limit if trigger.rearm is None else _number(trigger.rearm.evaluate(env))
    if limit is None or rearm is None:
        return None
    return _text(limit), _text(rearm)


def _number(value: object) -> Decimal | None:
    if isinstance(value, Decimal):
        return value if value.is_finite() and abs(value) < LARGEST else None
    return Decimal(value) if isinstance(value, int) and not isinstance(value, bool) else None


def _text(value: Decimal) -> str:
    """Return a plain number, within the ten decimals an event's money may have; equal limits read alike."""
    return format(shortest(value.quantize(SMALLEST, context=EXACT)), "f")


# The comparison, shared by whoever watches samples


class Sample(NamedTuple):
    """One look at an account; what the source did not say is None."""

    equity: Decimal | None = None
    floating: Decimal | None = None
    free_margin: Decimal | None = None
    margin_level: Decimal | None = None
    margin: Decimal | None = None
    balance: Decimal | None = None
    degraded: bool = False

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


class Crossing(NamedTuple):
    level: LevelRow
    edge: str
    value: Decimal


def beyond(side: str, threshold: Decimal, value: Decimal) -> bool:
    """Return whether a value is past its level; on it is not past it."""
    return value < threshold if side == "below" else value > threshold


def recovered(side: str, rearm: Decimal, value: Decimal) -> bool:
    return value >= rearm if side == "below" else value <= rearm


def crossings(levels: Iterable[LevelRow], sample: Sample) -> Sequence[Crossing]:
    """Return what one sample crosses or recovers from; a level never seen yet is observed instead, not crossed."""
    found: list[Crossing] = []
    for level in levels:
        value = sample.of(level.field)
        if value is None:
            continue
        if level.state == ARMED and beyond(level.side, Decimal(level.threshold), value):
            found.append(Crossing(level, CROSSED_EDGE, value))
        elif level.state == CROSSED and recovered(level.side, Decimal(level.rearm), value):
            found.append(Crossing(level, RECOVERED_EDGE, value))
    return found


class Observation(NamedTuple):
    """What the first sample says of a new level; a list of these is the body of the command `level.observed`."""

    level_id: str
    generation: int
    beyond: bool


def observations(levels: Iterable[LevelRow], sample: Sample) -> list[Observation]:
    found: list[Observation] = []
    for level in levels:
        value = sample.of(level.field) if level.state == NEW else None
        if value is not None:
            past = beyond(level.side, Decimal(level.threshold), value)
            found.append(Observation(level.level_id, level.generation, past))
    return found
