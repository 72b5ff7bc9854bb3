"""Limits that follow a peak, as the watcher reckons with them, and how watched rows are named."""

from base64 import b32encode
from collections.abc import Iterable
from decimal import Decimal
from functools import lru_cache
from hashlib import sha256

from msgspec import UnsetType

from hub.engine.plans import Candidate, Remembered
from hub.engine.program import Crosses, Trailing
from hub.engine.scene import Env, Scene
from hub.events.watched import Line, Rule
from hub.expr import Expression

LARGEST = Decimal(10) ** 16
ZERO, ONE = Decimal(0), Decimal(1)


@lru_cache(maxsize=65536)
def level_id(workflow: str, trigger: str, key: str) -> str:
    digest = sha256(f"{workflow}\0{trigger}\0{key}".encode()).digest()[:16]
    return "lvl_" + b32encode(digest).decode().rstrip("=").lower()


def row_id(each: Remembered, key: str) -> str:
    """Return the name of an anchor's row; no trigger is called that."""
    return level_id(each.plan.workflow.id, f"anchor:{each.name}", key)


def told(rule: str | UnsetType) -> str:
    return rule if isinstance(rule, str) else ""


def number(value: object) -> Decimal | None:
    if isinstance(value, Decimal):
        return value if value.is_finite() and abs(value) < LARGEST else None
    return Decimal(value) if isinstance(value, int) and not isinstance(value, bool) else None


def rule_of(scene: Scene, candidate: Candidate, trigger: Crosses) -> Rule | None:
    """Return how a trigger's level follows its peak; None while what it is reckoned with is not known."""
    trailing = trigger.trailing
    assert trailing is not None
    each = next(each for each in candidate.plan.anchors if each.name == trailing.anchor)
    env = dict(scene.env(candidate))
    limit, rearm = _line(trailing, env), None
    if trigger.trailing_rearm is not None:
        rearm = _line(trigger.trailing_rearm, env)
    elif trigger.rearm is not None:
        still = number(trigger.rearm.evaluate(env))
        rearm = Line(ZERO, still) if still is not None else None
    lock = None
    if each.anchor.lock is not None:
        lock = number(each.anchor.lock.evaluate(_beside(scene, each)))
        if lock is None:
            return None
    if limit is None or (rearm is None and trigger.rearm is not None):
        return None
    return Rule(row_id(each, scene.state.key), limit, rearm, lock, trigger.inclusive, trigger.is_held)


def _beside(scene: Scene, each: Remembered) -> Env:
    env = scene.env_for_anchors(each.plan)
    for other in each.plan.anchors:
        if other is each:
            break
        env[other.name] = scene.recalled(other)
    return env


def _line(trailing: Trailing, env: Env) -> Line | None:
    """Return the straight line that two of its points tell: the form was checked when the file was loaded."""
    env[trailing.anchor] = ZERO
    offset = number(trailing.line.evaluate(env))
    env[trailing.anchor] = ONE
    next_to_it = number(trailing.line.evaluate(env))
    low, high = _bounds(trailing.low, env), _bounds(trailing.high, env)
    if offset is None or next_to_it is None or low is None or high is None:
        return None
    return Line(next_to_it - offset, offset, max(low, default=None), min(high, default=None))


def _bounds(expressions: Iterable[Expression], env: Env) -> list[Decimal] | None:
    found = [number(expression.evaluate(env)) for expression in expressions]
    known = [value for value in found if value is not None]
    return known if len(known) == len(found) else None
