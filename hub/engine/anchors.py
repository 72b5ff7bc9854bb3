"""Anchors: values that are remembered, taken when a day begins, once, at an event, or as the extreme they ever had."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import msgspec

from hub.clock import iso
from hub.engine.account_rows import AccountRow
from hub.engine.decision import Trace, Verdict
from hub.engine.kept import keep, recall
from hub.engine.plans import Plan, Remembered, TypePlan
from hub.engine.reads import CASH_FLOWS, matches
from hub.engine.rows import LevelRow
from hub.engine.scene import Broken, Env, Scene
from hub.engine.so_far import so_far
from hub.engine.trailing import level_id, number, row_id, told
from hub.engine.trigger_rows import Anchor, Level
from hub.engine.values import Kind
from hub.errors import RecordMalformed
from hub.events.days import began
from hub.events.facts import us_of
from hub.events.watched import CROSSINGS, DAY, TRAIL, WAITING, Rule, decode_rule, encode_rule, farther
from hub.expr import SAMPLED, UNKNOWN

ROLLED = "day.rolled"
GONE = "gone"


class Rolled(msgspec.Struct, frozen=True, omit_defaults=True):
    """The body of the command `day.sampled`: what a day that rolled over without a sample was worth, told later."""

    zone: str
    daily_at: str
    until: int
    at: int  # when it was sampled
    equity: Decimal | None = None
    floating: Decimal | None = None
    free_margin: Decimal | None = None
    margin_level: Decimal | None = None
    balance: Decimal | None = None


decode_rolled = msgspec.json.Decoder(Rolled).decode
encode_rolled = msgspec.json.Encoder(decimal_format="string").encode


class WithSample:
    """An account as it was sampled: what events tell of it, and what a sample said beside."""

    __slots__ = ("_row", "equity", "floating", "free_margin", "margin_level")

    def __init__(self, row: AccountRow, seen: Any) -> None:
        # Whoever never told a balance may have sampled it.
        sampled_balance = row.balance is None and seen.balance is not None
        self._row = msgspec.structs.replace(row, balance=seen.balance) if sampled_balance else row
        self.equity = seen.equity
        self.floating = seen.floating
        self.free_margin = seen.free_margin
        self.margin_level = seen.margin_level

    def __getattr__(self, name: str) -> Any:
        return getattr(self._row, name)


def note(scene: Scene, plan: TypePlan, dirty: Iterable[str]) -> tuple[str, ...]:
    """Take what an event gives to remember; return what changed, as conditions are found by it."""
    changed: list[str] = []
    for each in scene.program.anchored_by(plan, dirty):
        changed += _note(scene, each)
    return tuple(changed)


def sampled(scene: Scene) -> tuple[str, ...]:
    """Take in what a day was worth that had rolled over before anybody knew."""
    try:
        late = decode_rolled(scene.item.body)
    except msgspec.DecodeError as problem:
        raise RecordMalformed(f"day.sampled: {problem}") from problem
    changed: list[str] = []
    for plan in scene.program.anchored:
        env: Env | None = None
        for each in plan.anchors:
            stored = _of(scene, each)
            waits = stored is not None and stored.state == WAITING and stored.until == late.until
            if stored is None or not waits or not _is_of(each, late.zone, late.daily_at):
                continue
            env = env or _env(scene, plan)
            changed += _roll(scene, each, stored, late.until, late, env)
            env[each.name] = scene.recalled(each)
    return tuple(changed)


def realign(scene: Scene) -> None:
    """Drop what belongs to no live workflow, begin what is new, and begin anew what is another value now."""
    live = {each.slot: each for plan in scene.program.anchored for each in plan.anchors}
    for name, stored in scene.state.of_kind(Kind.ANCHOR):
        each = live.get((Kind.ANCHOR.value, name))
        assert isinstance(stored, Anchor)
        if each is None:
            scene.decision.puts[(Kind.ANCHOR.value, name)] = None
            if stored.state:
                workflow, _, anchor = name.rpartition("/")
                _gone(scene, workflow, anchor, stored)
        elif stored.definition != each.anchor.definition:
            _begin_anew(scene, each, stored)
    for plan in scene.program.anchored:
        try:
            _take_all(scene, plan)
        except Exception as problem:
            trace = Trace("", f"its anchors: {type(problem).__name__}: {problem}")
            scene.decision.trace(plan.workflow.id, "anchors/broken", Verdict.FAILED, trace)


def _note(scene: Scene, plan: Plan) -> list[str]:
    part = f"{plan.workflow.id}/anchors"
    broken = scene.broken.get(part)
    if broken is not None:
        trace = Trace("", broken, scene.envelope.id if scene.envelope is not None else None)
        scene.decision.trace(plan.workflow.id, "anchors/broken", Verdict.FAILED, trace)
        return []
    try:
        return _take_all(scene, plan)
    except Exception as problem:
        raise Broken(part, f"{type(problem).__name__}: {problem}") from problem


def _take_all(scene: Scene, plan: Plan) -> list[str]:
    env = _env(scene, plan)
    scope = plan.workflow.scope
    changed: list[str] = []
    in_scope: bool | None = None
    for each in plan.anchors:
        stored = _of(scene, each)
        if stored is not None:
            moved = _shift(scene, each, stored, env)
            stored = moved or stored
            changed += [each.index] if moved is not None else []
        else:
            # It begins where the account first comes into the scope, and goes on whether it stays there or not.
            if in_scope is None:
                in_scope = scope is None or scope.test(env) is True
            if in_scope:
                stored = _begin(scene, each, Anchor(each.anchor.definition))
                changed.append(each.index)
        if stored is not None:
            changed += _take(scene, each, stored, env)
        env[each.name] = scene.recalled(each)
    return changed


def _shift(scene: Scene, each: Remembered, stored: Anchor, env: Env) -> Anchor | None:
    """Move a value by the money that came or left, if it is to follow that; return what it is then.

    The balance moves with the same event, so what is taken from now on has the money in it, and what was taken before
    has not.
    """
    sign = CASH_FLOWS.get(scene.envelope.type) if each.anchor.shifts and scene.envelope is not None else None
    if sign is None:
        return None
    value = number(recall(stored.value)) if stored.value is not None else None
    if value is None and each.anchor.how in {"daily", "event"} and not stored.at:
        value = _first(each, env)  # what stands in moves as well, until a value is taken
    if value is None:
        return None
    moved = value + sign * scene.event.amount
    _remember(scene, each, stored, moved)
    return _of(scene, each)


def _take(scene: Scene, each: Remembered, stored: Anchor, env: Env) -> list[str]:
    """Take one anchor, if there is something to take; return its name if it changed."""
    anchor, event = each.anchor, scene.event
    name = scene.envelope.type if scene.envelope is not None else ""
    match anchor.how:
        case "daily":
            if name == ROLLED and _is_of(each, event.zone, event.daily_at):
                assert scene.envelope is not None
                until = us_of(scene.envelope.timestamp)
                if stored.until < until <= scene.item.at and _begins(each, until):
                    return _roll(scene, each, stored, until, event, env)
        case "once":
            if stored.value is None:
                value = anchor.take.evaluate(env)
                if value is not UNKNOWN:
                    return _remember(scene, each, stored, value)
        case "event":
            assert anchor.event is not None
            if matches(anchor.event, name) and (anchor.where is None or anchor.where.test(env) is True):
                return _remember(scene, each, stored, anchor.take.evaluate(env), anchor.take.explain(env))
        case "max" | "min" if anchor.trails:
            return _follow(scene, each, stored, name, env)
        case "max" | "min":
            found = [number(anchor.take.evaluate(env))]
            if stored.value is None or not anchor.shifts:  # what moved is not held where it began
                found.append(_first(each, env))
            return _extend(scene, each, stored, found)
    return []


def _roll(scene: Scene, each: Remembered, stored: Anchor, until: int, seen: Any, env: Env) -> list[str]:
    """Take a day's value from what was last seen of the account, or have it unknown where that is not known."""
    take = each.anchor.take
    env = {**env, "account": WithSample(scene.account, seen)}
    value = take.evaluate(env)
    unseen = any(getattr(seen, path.removeprefix("account.")) is None for path in take.reads & SAMPLED)
    state = WAITING if value is UNKNOWN and unseen else DAY
    moved = msgspec.structs.replace(stored, until=until, state=state, generation=stored.generation + 1)
    _row(scene, each, moved)
    return _remember(scene, each, moved, value, take.explain(env) if value is UNKNOWN else "")


def _follow(scene: Scene, each: Remembered, stored: Anchor, name: str, env: Env) -> list[str]:
    """Take over how far the watcher saw a value go, where it tells that."""
    found: list[Decimal | None] = [_first(each, env)]
    row = row_id(each, scene.state.key)
    if name == ROLLED and scene.event.peaks:
        text = scene.event.peaks.get(f"{row}:{stored.generation}")
        found.append(Decimal(text) if text is not None else None)
    elif name in CROSSINGS and scene.event.peak is not None:
        level = scene.state.values.get((Kind.LEVEL, scene.event.level_id))
        fresh = isinstance(level, Level) and level.generation == scene.event.generation
        if fresh and isinstance(level, Level) and decode_rule(told(level.rule)).trail == row:
            found.append(scene.event.peak)
    changed = _extend(scene, each, stored, found)
    if changed:
        after = _of(scene, each)
        assert after is not None
        _row(scene, each, after)
    return changed


def _extend(scene: Scene, each: Remembered, stored: Anchor, found: Iterable[Decimal | None]) -> list[str]:
    known = recall(stored.value) if stored.value is not None else None
    extreme = known
    for value in found:
        if value is not None and (extreme is None or farther(each.anchor.how, extreme, value)):
            extreme = value
    return [] if extreme is known else _remember(scene, each, stored, extreme)


def _first(each: Remembered, env: Env) -> Decimal | None:
    return number(each.anchor.first.evaluate(env)) if each.anchor.first is not None else None


def _remember(scene: Scene, each: Remembered, stored: Anchor, value: object, why: str = "") -> list[str]:
    """Keep a value, or that it could not be known: never the one before in its place."""
    source = scene.envelope.id if scene.envelope is not None else scene.item.ref
    unknown = value is UNKNOWN or value is None
    kept = None if unknown else keep(value)
    scene.remembered(each, msgspec.structs.replace(stored, value=kept, at=scene.item.at, source=source))
    if unknown:
        trace = Trace(each.name, f"anchor {each.name} could not be taken: {why}", source or None)
        scene.decision.trace(each.plan.workflow.id, f"anchor/{each.name}/unknown", Verdict.HELD_BACK, trace)
    return [each.index]


# Beginning and ending


def _begin(scene: Scene, each: Remembered, fresh: Anchor) -> Anchor:
    """Begin to remember, with a row for the watcher where it has something to tell."""
    anchor = each.anchor
    if anchor.how == "daily":
        until = _day_began(each, scene.item.at)
        begun = msgspec.structs.replace(fresh, until=until, state=DAY, generation=fresh.generation + 1)
    elif anchor.trails:
        begun = msgspec.structs.replace(fresh, state=TRAIL, generation=fresh.generation + 1)
    else:
        begun = fresh
    scene.remembered(each, begun)
    if begun.state:
        _row(scene, each, begun)
    return begun


def _begin_anew(scene: Scene, each: Remembered, stored: Anchor) -> None:
    """Go over to another definition. A day keeps the value it has until the next one begins, by whatever clock."""
    if stored.state and each.anchor.how != "daily" and not each.anchor.trails:
        _gone(scene, each.plan.workflow.id, each.name, stored)
    fresh = Anchor(each.anchor.definition, generation=stored.generation)
    if each.anchor.how == "daily" and stored.state in {DAY, WAITING}:
        fresh = msgspec.structs.replace(fresh, value=stored.value, at=stored.at, source=stored.source)
    _begin(scene, each, fresh)


def _row(scene: Scene, each: Remembered, anchor: Anchor) -> None:
    """Tell the watcher which day to roll over, or which value to follow and from where."""
    key, made = scene.state.key, each.anchor
    where, name = scene.state.partition, row_id(each, key)
    if made.day is not None:
        rule = encode_rule(Rule(sampled=bool(made.take.reads & SAMPLED)))
        clock = (made.day.zone, made.day.daily_at)
        row = LevelRow(
            where, name, key, "day", *clock, str(anchor.until), anchor.generation, anchor.state, rule
        )
    else:
        start = anchor.value[1] if anchor.value is not None else ""
        assert made.field is not None
        row = LevelRow(where, name, key, made.field, made.how, start, "", anchor.generation, TRAIL)
    scene.decision.writing().levels.append(row)


def _gone(scene: Scene, workflow: str, name: str, stored: Anchor) -> None:
    row = level_id(workflow, f"anchor:{name}", scene.state.key)
    key, where = scene.state.key, scene.state.partition
    field, generation = ("day" if stored.state != TRAIL else "equity"), stored.generation + 1
    scene.decision.writing().levels.append(LevelRow(where, row, key, field, "", "", "", generation, GONE))


def _is_of(each: Remembered, zone: str, daily_at: str | None) -> bool:
    day = each.anchor.day
    return day is not None and (day.zone, day.daily_at) == (zone, daily_at)


def _begins(each: Remembered, until: int) -> bool:
    return _day_began(each, until) == until


def _day_began(each: Remembered, at: int) -> int:
    day = each.anchor.day
    assert day is not None
    return began(at, day.zone, day.daily_at)


def _env(scene: Scene, plan: Plan) -> Env:
    env = scene.env_for_anchors(plan)
    for each in plan.anchors:
        env[each.name] = scene.recalled(each)
    return env


def _of(scene: Scene, each: Remembered) -> Anchor | None:
    return so_far(scene, each.slot, Anchor)


def standing(scene: Scene, each: Remembered) -> str:
    """Say what is remembered, and since when."""
    stored, value = _of(scene, each), scene.recalled(each)
    if stored is None or not stored.at:
        return f"{each.name} was not taken yet" + (f", {value} stands in" if value is not None else "")
    since = f"since {iso(stored.at)}"
    return f"{each.name} could not be taken, {since}" if value is None else f"{each.name} is {value}, {since}"
