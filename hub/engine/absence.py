"""Events that do not come: when the time began, and what is fired when it is over."""

from hub.clock import MICROSECOND, from_us, iso
from hub.engine.plans import Candidate
from hub.engine.program import Absent
from hub.engine.reads import matches
from hub.engine.rows import TimerKey, TimerRow
from hub.engine.scene import Scene
from hub.engine.state import Absence, Cause, Kind, Slot
from hub.engine.timers import TriggerTimer, timer_id

NEVER_YET = Absence(None, 0)


def note(scene: Scene, candidate: Candidate, trigger: Absent) -> None:
    """Take in an event: it may be the one that was waited for, or the one the time begins with."""
    assert scene.envelope is not None
    name, env, known = scene.envelope.type, scene.env(candidate), _of(scene, candidate.part)
    came = matches(trigger.event, name) and (trigger.where is None or trigger.where.test(env) is True)
    if trigger.after is None:
        if came:
            _begin(scene, candidate, trigger, known)
        return
    if came and known is not None and known.since is not None:
        _put(scene, candidate.part, Absence(None, known.number, known.due, known.timer))
    # A history that is told later begins nothing: whatever it asks for is long over.
    if matches(trigger.after, name) and not scene.envelope.flags.replayed:
        begins = trigger.after_where is None or trigger.after_where.test(env) is True
        if begins and (known is None or known.since is None or came):
            _begin(scene, candidate, trigger, known)


def begin_first(scene: Scene, candidate: Candidate, trigger: Absent) -> None:
    """Begin with the first look at a key, where nothing else begins it."""
    if trigger.after is None and _of(scene, candidate.part) is None:
        _begin(scene, candidate, trigger, None)


def in_vain(scene: Scene) -> list[tuple[Candidate, Cause, str, str]]:
    """Return whom to fire because nothing came, with the cause, its number and the reason; timers go on that came too soon."""
    now = scene.item.at
    found: list[tuple[Candidate, Cause, str, str]] = []
    for part, _ in sorted(scene.state.of_kind(Kind.ABSENCE), key=lambda each: each[0]):
        known = _of(scene, part)
        if known is None or not known.timer or known.due > now:
            continue
        _cancel(scene, known)
        candidate = _candidate(scene, part)
        if candidate is None or known.since is None:
            _put(scene, part, Absence(None, known.number))
            continue
        trigger = candidate.trigger
        assert isinstance(trigger, Absent)
        over = known.since + trigger.within // MICROSECOND
        if over > now:
            _put(scene, part, _timed(scene, part, known.since, known.number, over))
            continue
        number = known.number + 1
        _put(scene, part, Absence(None, number))
        late = from_us(now) - from_us(over)
        reason = f"no {trigger.event} since {iso(known.since)}"
        if late.total_seconds() >= 1:
            reason += f"; late_by {late.total_seconds():.0f}s"
        found.append((candidate, Cause(trigger.id, scene.now), str(number), reason))
    return found


def realign(scene: Scene) -> None:
    """Drop what belongs to no live trigger, and begin what nothing has begun; a span that was changed counts at once."""
    live = {candidate.part: candidate for candidate in scene.program.absents}
    for part, value in scene.state.of_kind(Kind.ABSENCE):
        assert isinstance(value, Absence)
        if value.timer:
            _cancel(scene, value)
        candidate = live.get(part)
        if candidate is None or value.since is None:
            _put(scene, part, Absence(None, value.number))
            continue
        assert isinstance(candidate.trigger, Absent)
        over = value.since + candidate.trigger.within // MICROSECOND
        _put(scene, part, _timed(scene, part, value.since, value.number, max(over, scene.item.at + 1)))
    for candidate in live.values():
        assert isinstance(candidate.trigger, Absent)
        begin_first(scene, candidate, candidate.trigger)


def standing(scene: Scene, candidate: Candidate, trigger: Absent) -> str:
    """Say since when it is waited for, and until when."""
    known = _of(scene, candidate.part)
    if known is None or known.since is None:
        waits = trigger.after or trigger.event
        return f"waits for {waits}, with which the time begins"
    over = known.since + trigger.within // MICROSECOND
    return f"no {trigger.event} since {iso(known.since)}; fires at {iso(over)}, if none comes till then"


def _begin(scene: Scene, candidate: Candidate, trigger: Absent, known: Absence | None) -> None:
    now = scene.item.at
    old = known or NEVER_YET
    if old.timer:  # it comes too soon, and goes on: cheaper than to move it with every event
        _put(scene, candidate.part, Absence(now, old.number, old.due, old.timer))
        return
    over = now + trigger.within // MICROSECOND
    _put(scene, candidate.part, _timed(scene, candidate.part, now, old.number, over))


def _timed(scene: Scene, part: str, since: int, number: int, due: int) -> Absence:
    key, partition = scene.state.key, scene.state.partition
    name = timer_id(key, f"{part}!{number}", due)
    body = TriggerTimer(part, due, "absent").encoded()
    scene.decision.writing().timers.append(TimerRow(partition, due, name, key, "absent", body))
    return Absence(since, number, due, name)


def _candidate(scene: Scene, part: str) -> Candidate | None:
    workflow, _, trigger = part.rpartition("/")
    plan = scene.program.plans.get(workflow)
    found = plan.triggers.get(trigger) if plan is not None else None
    return found if found is not None and isinstance(found.trigger, Absent) else None


def _of(scene: Scene, part: str) -> Absence | None:
    slot = _slot(part)
    found = scene.decision.puts[slot] if slot in scene.decision.puts else scene.state.values.get(slot)
    return found if isinstance(found, Absence) else None


def _put(scene: Scene, part: str, absence: Absence) -> None:
    scene.decision.puts[_slot(part)] = absence


def _cancel(scene: Scene, known: Absence) -> None:
    timer = TimerKey(scene.state.partition, known.due, known.timer)
    scene.decision.writing().cancelled.append(timer)


def _slot(part: str) -> Slot:
    return Kind.ABSENCE.value, part
