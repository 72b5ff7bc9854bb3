"""The straight way: an event that folds and counts, and turns nothing, is decided without setting a scene for it.

Nearly every event is one of these. What cannot be answered here with certainty is left to the careful way, which begins
afresh, because trying changes nothing. Where both answer they answer the same; a property says so.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from hub.bus.log import Input, InputKind
from hub.clock import from_us
from hub.engine.account_rows import NOBODY
from hub.engine.courses import Course, course_of, place_of
from hub.engine.decision import NOTHING, Decision, apply_contributions
from hub.engine.fold import fold_by
from hub.engine.index import Program
from hub.engine.joined import is_up
from hub.engine.plans import Candidate, Feed
from hub.engine.scene import holding_of
from hub.engine.series import ZERO
from hub.engine.split import Hits
from hub.engine.state import KeyState
from hub.engine.timers import window_timer
from hub.engine.totals import Alarm, Total
from hub.engine.trigger_rows import Edge
from hub.engine.values import ACCOUNT, Slot, Value
from hub.engine.worths import Worths
from hub.events.brief import NEAR_TYPE, tells_type
from hub.events.facts import us_of

EVENT = int(InputKind.EVENT)
MOST_COURSES = 4096  # custom types are named by whoever posts them
NOBODY_COUNTED = 0
_EDGES = (Edge, type(None))


def straight(program: Program, state: KeyState, item: Input) -> Decision | None:
    """Return what an event of an account changes where that is folding and counting; None where it may be more."""
    partition, n, now, kind, key, _, _, body, _ = item
    before = state.account
    # What time has changed, and what waits or is owed, is looked at with care.
    if (
        kind != EVENT
        or state.by_mail
        or before is None
        or state.alarm_due <= now
        or state.open_runs
        or state.ledgers
    ):
        return None
    try:
        course = program.courses[body[NEAR_TYPE]]
    except KeyError:
        course = _learn(program, body)
    if course is None:
        return None
    told = course.decode(body)
    if told.account is None:
        return None
    record = told.data
    record.timestamp = told.timestamp
    decision = Decision(partition, key, n, now)
    worths = Worths()
    worths.state, worths.now = state, now
    try:
        who = None if told.flags.replayed else told.account
        folded = course.at_once(before, who, record) if course.at_once is not None else None
        account, changed = folded or fold_by(course.rule, before, who, record)
        if changed:
            decision.puts[ACCOUNT] = account
        env: dict[str, Any] = {"event": record, "account": account, "client": state.client or NOBODY}
        if program.reads_clock:
            env["now"] = from_us(now)
        counted = (
            _count(course, state, env, us_of(told.timestamp), decision, worths)
            if course.feeds
            else NOBODY_COUNTED
        )
        if counted is None or _may_turn(program, course, state, env, counted, changed, worths):
            return None
    except Exception:  # whatever it was, the careful way meets it where only the one it belongs to suffers
        return None
    return decision


def _count(
    course: Course,
    state: KeyState,
    env: dict[str, Any],
    at: int,
    decision: Decision,
    worths: Worths,
) -> int | None:
    """Feed the aggregates; return which of them counted, as bits; None where one has to be watched in another way."""
    stored, puts, now, record = state.values, decision.puts, decision.at, env["event"]
    counted = NOBODY_COUNTED
    for fed in course.feeds if course.find is None else course.find(env):
        env["params"] = fed.params
        if fed.gate is not None and fed.gate(env) is not True:
            continue
        feed, value = fed.feed, fed.value
        amount: Any = ZERO if value is None else value(env)
        if type(amount) is not Decimal:
            amount = fed.counting.taken(amount)
            if amount is None:
                continue
        ran = change = None
        if fed.running is not None:
            total = stored.get(fed.slot)
            if type(total) is Total:
                ran = fed.running.run_on(total, at, amount, now)
        elif fed.sliding is not None:
            change = fed.sliding.slide_on(state.series.get(fed.name), at, f"n{decision.n}", amount, now)
        if ran is not None:
            puts[fed.slot], worths[feed], expiry = ran
        else:
            if change is None:
                told = getattr(record, fed.ref) if fed.ref is not None else None
                name_of_it = f"n{decision.n}" if told is None else str(told)
                change = fed.counting.add(holding_of(state, feed), at, name_of_it, amount, now)
            if change is None:
                continue
            worths[feed], expiry = change.value, change.expiry
            if change.total is not None:
                puts[fed.slot] = change.total
            if change.ops:
                decision.changes[fed.name] = change
        counted |= fed.bit
        if fed.alarm is not None:
            alarm = stored.get(fed.alarm)
            # A timer that comes first finds what it finds and looks again.
            if type(alarm) is not Alarm or expiry is None or not now < alarm.due <= expiry:
                gone = change.gone if change is not None else None
                if not _watch(state, decision, feed, expiry, gone):
                    return None
    return counted


def _watch(state: KeyState, decision: Decision, feed: Feed, expiry: int | None, gone: int | None) -> bool:
    """Have a timer wait for what an aggregate lets go next; return False where the one it has may have to be another."""
    alarm = state.values.get(feed.alarm)
    lets_go = feed.lets_go and not (state.has_edges and _any_is_up(state.values, feed.edges))
    if alarm is not None:
        return lets_go and type(alarm) is Alarm and expiry is not None and alarm.due > decision.at
    if lets_go and gone is not None:
        expiry = gone
    if expiry is not None:
        timer = window_timer(state.partition, state.key, feed.name, expiry)
        decision.puts[feed.alarm] = Alarm(expiry, timer.id)
        decision.writing().timers.append(timer)
    return True


def _may_turn(
    program: Program,
    course: Course,
    state: KeyState,
    env: dict[str, Any],
    counted: int,
    changed: tuple[str, ...],
    worths: Worths,
) -> bool:
    """Return whether any trigger may fire or let go, or anybody else has to hear of the event."""
    try:
        place = course.places[counted][changed]
    except KeyError:
        place = place_of(program, course, counted, changed)
    if place is None:
        return True
    if place.always is not None and _any_may(program, state, place.always, env, worths):
        return True
    for look in place.looks:
        value = look.get(env[look.root])
        if look.moves and look.get(state.account) != value:
            return True
        hits = look.hits.get(value)
        if hits is None:
            continue
        if state.has_edges or hits.doubts is None:
            if _any_may(program, state, hits, env, worths):
                return True
        else:  # nearly always
            for doubt in hits.doubts:
                if doubt(env, worths):
                    return True
    return False


def _any_may(
    program: Program, state: KeyState, hits: Hits[Candidate], env: Mapping[str, object], worths: Worths
) -> bool:
    """Return whether any trigger of one place may fire or let go."""
    stored = state.values
    sure, unsure = program.joined(hits), program.unproved(hits)
    # One that is out of scope forgets how it stood.
    if unsure.rest or any(edge in stored for edge in unsure.edges):
        return True
    if _any_is_up(stored, sure.edges):
        return any(_may_turn_alone(each, stored, env, worths) for each in hits.sure) or unsure.doubt(
            env, worths
        )
    if sure.rest:
        return True
    hits.doubts = tuple(each.doubt for each, asked in ((sure, hits.sure), (unsure, hits.unsure)) if asked)
    return any(doubt(env, worths) for doubt in hits.doubts)


def _any_is_up(stored: Mapping[Slot, Value], edges: Iterable[Slot]) -> bool:
    """Return whether any of these conditions held when it was last asked."""
    return any(edge in stored and is_up(stored[edge]) for edge in edges)


def _may_turn_alone(
    candidate: Candidate, stored: Mapping[Slot, Value], env: Mapping[str, object], worths: Worths
) -> bool:
    """Return whether one trigger may fire, or let go where its condition held: then it has to hold still."""
    edge = stored.get(candidate.edge)
    if type(edge) not in _EDGES:
        return True
    may_turn = candidate.alone(held=edge is not None and is_up(edge))
    return may_turn is None or may_turn(env, worths)


def absorb(state: KeyState, decision: Decision) -> None:
    """Make what was decided here visible to the next input of the same key: `apply`, where nothing is taken away."""
    puts: Any = decision.puts
    state.values |= puts
    if decision.changes:
        apply_contributions(state, decision)
    account: Any = state.values[ACCOUNT]
    state.account = account
    if decision.writes is not NOTHING:  # a timer waits where none did
        state.set_alarm()


def _learn(program: Program, body: bytes) -> Course | None:
    if len(program.courses) >= MOST_COURSES:
        program.courses.clear()
    near = body[NEAR_TYPE]
    course = program.courses[near] = course_of(program, body) if tells_type(near) else None
    return course
