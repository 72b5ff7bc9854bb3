"""What a crossing or a first observation does to its level, and to the trigger that waits for it."""

from decimal import Decimal
from typing import Any

import msgspec

from hub.clock import iso
from hub.engine import (
    absence,
    anchors,
    grant_edits,
    introductions,
    period_ends,
    queued,
    remembering,
    schedules,
)
from hub.engine.account_rows import AccountRow
from hub.engine.decision import Trace, Verdict
from hub.engine.held import PositionRow
from hub.engine.holds import let_go, realign_holds
from hub.engine.index import Program
from hub.engine.levels import (
    ARMED,
    CROSSED,
    CROSSED_EDGE,
    GONE,
    NEW,
    RECOVERED_EDGE,
    put_level,
    refresh,
    vanish,
)
from hub.engine.plans import Candidate
from hub.engine.position_levels import OWN, belong, is_known, is_over, with_owner
from hub.engine.positions_told import tell_positions
from hub.engine.program import Crosses, Sliding
from hub.engine.scene import Scene
from hub.engine.trigger_rows import Level
from hub.engine.triggers import fire_crossing, realign_edge
from hub.engine.values import Kind
from hub.errors import RecordMalformed
from hub.events.watched import POSITION_CROSSED, SYMBOL_CROSSED


class Observed(msgspec.Struct, frozen=True, omit_defaults=True):
    """One item of the command `level.observed`: whether the first sample already lies beyond a new level, and with what."""

    level_id: str
    generation: int
    beyond: bool
    value: Decimal | None = None
    limit: Decimal | None = None


_decode_observed = msgspec.json.Decoder(list[Observed]).decode


def crossed(scene: Scene, event: Any) -> None:
    """Flip the level an event speaks of and fire; a stale generation, or an account in doubt, changes nothing."""
    stored = scene.state.values.get((Kind.LEVEL, event.level_id))
    if not isinstance(stored, Level) or stored.generation != event.generation or stored.state == GONE:
        return
    doubt = _doubt(scene, event)
    if doubt is not None:
        # A new generation, though nothing moved: the next crossing must be another fact than this one.
        put_level(scene, event.level_id, stored, stored.state)
        _keep(scene, stored, Verdict.HELD_BACK, doubt)
    elif event.edge == CROSSED_EDGE and stored.state == ARMED:
        level = put_level(scene, event.level_id, stored, CROSSED)
        candidate = _candidate(scene.program, level)
        if candidate is not None:
            reason = f"{event.field} {event.value} is {event.side} {event.limit}"
            fire_crossing(scene, candidate, value=event.value, limit=event.limit, reason=reason)
    elif event.edge == RECOVERED_EDGE and stored.state == CROSSED:
        level = put_level(scene, event.level_id, stored, ARMED)
        reason = f"{event.field} {event.value} has recovered from {event.limit}"
        hold = let_go(scene, f"{level.workflow}/{level.trigger}")
        if hold is not None:
            reason += f"; it had been past it since {iso(hold.since)}, which was not long enough"
        _keep(scene, level, Verdict.ARMED, reason)


def by_mail(scene: Scene, kind: str, event: Any) -> None:
    """Take in what an event does to the levels of the position or the symbol it is about."""
    if is_over(scene):
        vanish(scene)
    elif kind in {POSITION_CROSSED, SYMBOL_CROSSED}:
        crossed(scene, event)


def meet_position(scene: Scene, row: PositionRow | None, account: AccountRow, *, over: bool) -> None:
    """Take the first look at a position that was there before its levels, or hear that it has become another."""
    if over:
        scene.decision.puts[OWN] = None
        vanish(scene)
    elif row is not None:
        scene.account = scene.account_before = account
        scene.own = scene.decision.puts[OWN] = with_owner(scene, row, account)
        for candidate in scene.program.crosses:
            assert isinstance(candidate.trigger, Crosses)
            refresh(scene, candidate, candidate.trigger)


def observed(scene: Scene) -> None:
    """Take the first look at new levels: one already beyond fires only where the trigger says `on_first`."""
    if scene.state.by_mail:
        belong(scene)
    try:
        items = _decode_observed(scene.item.body)
    except msgspec.DecodeError as problem:
        raise RecordMalformed(f"level.observed: {problem}") from problem
    for item in items:
        slot = (Kind.LEVEL.value, item.level_id)
        stored = scene.decision.puts.get(slot) or scene.state.values.get(slot)
        if not isinstance(stored, Level) or stored.generation != item.generation or stored.state != NEW:
            continue
        level = put_level(scene, item.level_id, stored, CROSSED if item.beyond else ARMED)
        candidate = _candidate(scene.program, level)
        if item.beyond and candidate is not None:
            trigger = candidate.trigger
            if isinstance(trigger, Crosses) and trigger.on_first:
                # Where a peak is followed that nobody has told yet, only the watcher knows the limit.
                limit = Decimal(level.threshold) if level.threshold else item.limit
                passed = limit if limit is not None else "its limit"
                value = f" {item.value}" if item.value is not None else ""
                reason = f"{level.field}{value} was {level.side} {passed} when it was first seen"
                fire_crossing(scene, candidate, value=item.value, limit=limit, reason=reason)


def rebuild(scene: Scene) -> None:
    """Bring one key in line with another set of workflows: its levels, its edges, the timers its windows need."""
    live = {candidate.part for candidate in scene.program.crosses}
    for name, level in scene.state.of_kind(Kind.LEVEL):
        if (
            isinstance(level, Level)
            and level.state != GONE
            and f"{level.workflow}/{level.trigger}" not in live
        ):
            put_level(scene, name, level, GONE)
    if scene.program.anchored or any(kind == Kind.ANCHOR for kind, _ in scene.state.values):
        anchors.realign(scene)
    if scene.state.account is not None or is_known(scene):
        for candidate in scene.program.crosses:
            assert isinstance(candidate.trigger, Crosses)
            refresh(scene, candidate, candidate.trigger)
    for candidate in scene.program.becomes:
        realign_edge(scene, candidate)
    realign_holds(scene)
    absence.realign(scene)
    period_ends.realign(scene)
    if scene.program.granting or scene.state.ledgers:
        grant_edits.realign(scene)
    schedules.realign(scene)
    queued.realign(scene)
    remembering.realign(scene)
    introductions.introduce(scene)
    tell_positions(scene)
    for feed in scene.program.feeds.values():
        holding = scene.holding(feed)
        if (
            feed.watched
            and feed.name not in scene.decision.changes
            and (feed.alarm not in scene.state.values or isinstance(feed.aggregate.window, Sliding))
            and (holding.total is not None or holding.series is not None)
        ):
            change = feed.accumulator.expire(holding, scene.item.at)
            if feed.alarm not in scene.state.values:
                scene.decision.changes[feed.name] = change
            # One that waited for everything to leave is too late for a condition that counts the other way.
            scene.watch(feed, change)


def _doubt(scene: Scene, event: Any) -> str | None:
    """Return why the sample behind a crossing is not believed."""
    if scene.envelope is not None and scene.envelope.flags.degraded:
        return "the sample is degraded"
    if event.field == "margin_level" and event.value == 0:
        return "a margin level of 0 means that nothing is open"
    if event.field == "equity" and event.value == 0 and scene.account.balance:
        return f"equity is 0 while the balance is {scene.account.balance}"
    return None


def _candidate(program: Program, level: Level) -> Candidate | None:
    plan = program.plans.get(level.workflow)
    return plan.triggers.get(level.trigger) if plan is not None else None


def _keep(scene: Scene, level: Level, verdict: Verdict, reason: str) -> None:
    event = scene.envelope.id if scene.envelope is not None else None
    part = f"{level.trigger}/level/{level.generation}/{verdict.value}"
    scene.decision.trace(level.workflow, part, verdict, Trace(level.trigger, reason, event))
