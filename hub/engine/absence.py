"""Events that do not come: when the time began, and what is fired when it is over."""

from hub.clock import MICROSECOND, iso, to_us
from hub.engine.plans import Candidate
from hub.engine.program import Absent
from hub.engine.reads import matches
from hub.engine.run_rows import Cause
from hub.engine.scene import Scene
from hub.engine.timed_rows import InTime, TimedRows, cancel_timer, late_by
from hub.engine.trigger_rows import Absence
from hub.engine.values import Kind

ABSENCES = TimedRows(Kind.ABSENCE, Absence, (Absent,), "absent")
NEVER_YET = Absence(None, 0)


def note(scene: Scene, candidate: Candidate, trigger: Absent) -> None:
    """Take in an event: it may be the one that was waited for, or the one the time begins with."""
    assert scene.envelope is not None
    name, env, known = scene.envelope.type, scene.env(candidate), ABSENCES.of(scene, candidate.part)
    came = matches(trigger.event, name) and (trigger.where is None or trigger.where.test(env) is True)
    if trigger.after is None:
        if came:
            _begin(scene, candidate, trigger, known or NEVER_YET)
        return
    if came and known is not None and known.since is not None:
        ABSENCES.put(scene, candidate.part, Absence(None, known.number, known.due, known.timer))
    # A history that is told later begins nothing: whatever it asks for is long over.
    if matches(trigger.after, name) and not scene.envelope.flags.replayed:
        begins = trigger.after_where is None or trigger.after_where.test(env) is True
        if begins and (known is None or known.since is None or came):
            _begin(scene, candidate, trigger, known or NEVER_YET)


def begin_first(scene: Scene, candidate: Candidate, trigger: Absent) -> None:
    """Begin with the first look at a key, where nothing else begins it."""
    if trigger.after is None and ABSENCES.of(scene, candidate.part) is None:
        now = scene.item.at
        _await(scene, candidate.part, now, 0, now + trigger.within // MICROSECOND)


def in_vain(scene: Scene) -> list[InTime]:
    """Return whom to fire because nothing came; timers go on that came too soon."""
    now = scene.item.at
    found: list[InTime] = []
    for part, known in ABSENCES.over(scene):
        cancel_timer(scene, known)
        owner = ABSENCES.trigger(scene, part)
        if owner is None or known.since is None:
            ABSENCES.put(scene, part, Absence(None, known.number))
            continue
        candidate, trigger = owner
        over = known.since + trigger.within // MICROSECOND
        if over > now:
            _await(scene, part, known.since, known.number, over)
            continue
        number = known.number + 1
        ABSENCES.put(scene, part, Absence(None, number))
        reason = f"no {trigger.event} since {iso(known.since)}{late_by(now - over)}"
        found.append(InTime(candidate, Cause(trigger.id, scene.now, since=over), str(number), reason))
    return found


def realign(scene: Scene) -> None:
    """Drop what belongs to no live trigger, and begin what nothing has begun; a span that was changed counts at once."""
    for part, known in ABSENCES.all(scene):
        cancel_timer(scene, known)
        owner = ABSENCES.trigger(scene, part)
        if owner is None or known.since is None:
            ABSENCES.put(scene, part, Absence(None, known.number))
            continue
        over = known.since + owner[1].within // MICROSECOND
        _await(scene, part, known.since, known.number, max(over, scene.item.at + 1))
    for candidate in scene.program.absents:
        assert isinstance(candidate.trigger, Absent)
        begin_first(scene, candidate, candidate.trigger)


def standing(scene: Scene, candidate: Candidate, trigger: Absent) -> str:
    """Say since when it is waited for, and until when."""
    known = ABSENCES.of(scene, candidate.part)
    if known is None or known.since is None:
        waits = trigger.after or trigger.event
        return f"waits for {waits}, with which the time begins"
    over = known.since + trigger.within // MICROSECOND
    return f"no {trigger.event} since {iso(known.since)}; fires at {iso(over)}, if none comes till then"


def _begin(scene: Scene, candidate: Candidate, trigger: Absent, old: Absence) -> None:
    part, since = candidate.part, _happened(scene, trigger, old)
    if old.timer:  # it comes too soon, and goes on: cheaper than to move it with every event
        ABSENCES.put(scene, part, Absence(since, old.number, old.due, old.timer))
        return
    _await(scene, part, since, old.number, since + trigger.within // MICROSECOND)


def _happened(scene: Scene, trigger: Absent, old: Absence) -> int:
    """Return when the time begins: when the event happened, however late it was told.

    Where all of it is over by then, it begins with the telling: what belongs to it may be told late as well.
    """
    assert scene.envelope is not None
    now = scene.item.at
    since = max(min(to_us(scene.envelope.timestamp), now), old.since or 0)
    return since if since + trigger.within // MICROSECOND > now else now


def _await(scene: Scene, part: str, since: int, number: int, due: int) -> None:
    timer = ABSENCES.set_timer(scene, part, f"!{number}", due)
    ABSENCES.put(scene, part, Absence(since, number, due, timer))
