"""What an event adds to aggregates and takes from them."""

from decimal import Decimal
from typing import Any

from hub.engine.accumulators import Contribution
from hub.engine.plans import Feed, TypePlan
from hub.engine.program import Since
from hub.engine.scene import Env, Scene
from hub.engine.series import ZERO
from hub.engine.since import SinceEvent
from hub.events.facts import us_of
from hub.events.records import Envelope
from hub.expr import Expression


def count(scene: Scene, plan: TypePlan, envelope: Envelope, record: Any) -> list[str]:
    """Feed the aggregates; return the names of those that changed."""
    roots = (record, scene.account, scene.client)
    counted: list[Feed] = []
    unsure: list[Feed] = []
    plan.feeds.find(roots, roots, counted, unsure)
    names: list[str] = []
    env = scene.base_for_feeds()
    for feed in unsure:
        env["params"] = feed.params
        fast = feed.gate_fast
        try:
            holds = fast is None or fast(env) is True
        except Exception:  # something is missing: the careful way knows what that means
            holds = feed.gate is None or feed.gate.holds(env)
        if holds:
            counted.append(feed)
    if not counted and not plan.retracted and not plan.begins:
        return names
    at, now = us_of(envelope.timestamp), scene.item.at
    unnamed = envelope.id if scene.state.by_mail else f"n{scene.item.n}"  # the same, whichever way it comes
    for feed in counted:
        value = ZERO if feed.value is None else _contribution(feed, feed.value, env)
        if value is not None:
            ref = getattr(record, feed.ref, None) if feed.ref is not None else None
            told = unnamed if ref is None else str(ref)
            change = feed.accumulator.add(scene.holding(feed), at, told, value, now)
            if change is not None:
                scene.changed(feed, change)
                names.append(feed.name)
    for feed in plan.retracted:
        ref = getattr(record, feed.ref, None) if feed.ref is not None else None
        if ref is not None:
            change = feed.accumulator.withdraw(scene.holding(feed), min(at, now), str(ref), now)
            scene.changed(feed, change)
            names.append(feed.name)
    for feed in plan.begins:
        if _begin_anew(scene, feed, at, env) and feed.name not in names:
            names.append(feed.name)
    return names


def _begin_anew(scene: Scene, feed: Feed, at: int, env: Env) -> bool:
    """Have an aggregate's window begin with this event, if it is one of those; what the event counted for it is out."""
    window, accumulator = feed.aggregate.window, feed.accumulator
    assert isinstance(window, Since) and isinstance(accumulator, SinceEvent)  # noqa: PT018 - of one kind both
    env["params"] = feed.params
    if window.where is not None and window.where.test(env) is not True:
        return False
    change = accumulator.begin(scene.holding(feed), at, scene.item.at)
    if change is not None:
        scene.changed(feed, change)
    return change is not None


def _contribution(feed: Feed, expression: Expression, env: Env) -> Contribution | None:
    """Return what the event adds to an aggregate; None when that cannot be known."""
    env["params"] = feed.params
    assert feed.value_fast is not None
    try:
        value = feed.value_fast(env)
    except Exception:  # as above
        value = expression.evaluate(env)
    if isinstance(value, Decimal):
        return value
    return feed.accumulator.taken(value)
