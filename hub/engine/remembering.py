"""Events that may come before the run that waits for them: the latest of each type some wait names, for every key.

A trigger's event can be told late, a schedule can be made up for, a run can wait in line: what was awaited may have come by
then. `since: trigger_time` counts it, so it has to be kept before anybody knows that it is asked for.
"""

from typing import Final

import msgspec

from hub.clock import to_us
from hub.engine.plans import Plan
from hub.engine.program_steps import Wait
from hub.engine.run_rows import Cause
from hub.engine.scene import Scene
from hub.engine.so_far import so_far
from hub.engine.trigger_rows import Remembered
from hub.engine.values import Kind
from hub.events.facts import us_of
from hub.events.records import decode_envelope

MOST: Final = 20  # of each type and key: the latest


def remember(scene: Scene) -> None:
    """Keep an event that a run may wait for which has yet to begin."""
    envelope, body = scene.envelope, scene.body
    if envelope is None or body is None or envelope.type not in scene.program.remembered:
        return
    slot = (Kind.REMEMBERED.value, envelope.type)
    stored = scene.state.values.get(slot)
    known = stored if isinstance(stored, Remembered) else Remembered(())
    events, lost = (*known.events, msgspec.Raw(body)), known.lost
    for gone in events[:-MOST]:
        lost = max(lost, us_of(decode_envelope(bytes(gone)).timestamp))
    scene.decision.puts[slot] = Remembered(events[-MOST:], lost)


def realign(scene: Scene) -> None:
    """Forget what no live workflow asks for any more."""
    for name, _ in scene.state.of_kind(Kind.REMEMBERED):
        if name not in scene.program.remembered:
            scene.decision.puts[(Kind.REMEMBERED.value, name)] = None


def began_at(scene: Scene, cause: Cause) -> int:
    """Return when what started a run happened, which may be long before it was heard of."""
    if cause.since:
        return cause.since
    at = to_us(cause.at)
    return min(at, us_of(scene.envelope.timestamp)) if scene.envelope is not None else at


def came_before(scene: Scene, plan: Plan, cause: Cause) -> tuple[list[msgspec.Raw], str]:
    """Return the events that happened since what started the run did, and what cannot be told of them."""
    names = {step.event for step in plan.code if isinstance(step, Wait) and step.from_trigger}
    if not names:
        return [], ""
    since, found, lost = began_at(scene, cause), list[tuple[int, msgspec.Raw]](), list[str]()
    own = scene.envelope.id if scene.envelope is not None else None
    for name in sorted(name for name in names if name is not None):
        # With the event of this very input, where that lets a run begin which waited in line.
        known = so_far(scene, (Kind.REMEMBERED.value, name), Remembered)
        if known is None:
            continue
        for body in known.events:
            envelope = decode_envelope(bytes(body))
            at = us_of(envelope.timestamp)
            if at >= since and envelope.id != own:
                found.append((at, body))
        if known.lost >= since:
            lost.append(f"of {name} only the last {MOST} are remembered, and there were more since")
    found.sort(key=lambda each: each[0])
    return [body for _, body in found], "; ".join(lost)
