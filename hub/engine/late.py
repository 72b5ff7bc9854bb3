"""A run that has waited long enough for an action goes on without knowing: the action is not asked for again.

It may happen yet. What comes of it is told when it is known, whatever has become of the run.
"""

from typing import Final

from hub.clock import iso
from hub.engine.branches import Late
from hub.engine.code import Act
from hub.engine.decision import Trace, Verdict
from hub.engine.forking import Forking, Stands
from hub.engine.plans import quoted
from hub.engine.scene import Scene
from hub.engine.values import Kind
from hub.intents.intent import State
from hub.intents.outcome import Outcome

MOST_LATE: Final = 200  # of one key; of more the outcome is told without what was asked for


def gave_up(run: Forking) -> Stands:
    """Go on, or fail, because what came of the step was not known in time."""
    act = run.plan.code[run.position]
    assert isinstance(act, Act)
    do, begun, scene = act.do, run.begun, run.scene
    assert begun.wait is not None
    what = f"{do.verb.name}: nothing was heard of it until {iso(begun.wait.due)}"
    if do.verb.is_manager:
        what += "; it may happen yet, and is not asked for again"
        if len(list(scene.state.of_kind(Kind.LATE))) < MOST_LATE:
            late = Late(
                begun.id, begun.workflow, begun.cause.id, do.path, do.verb.name, begun.params, begun.depth
            )
            scene.decision.puts[(Kind.LATE.value, begun.waiting)] = late
    elif do.retry is not None and do.may_repeat and run.try_again(do.retry):
        return (
            Verdict.FIRED,
            f"step {do.path}: {what}; it is asked again, {run.tried} of {do.retry.max} times",
        )
    run.kept.pop(do.id or do.path, None)  # of an earlier attempt
    run.results[do.id or do.path] = {"ok": False, "state": "timed_out", "reason": what}
    reason = f"step {do.path}: {what}"
    if run.goes_on_without(reason):
        verdict, problem = run.carry_on()
        return verdict, f"{reason}; the run went on" + (f"; {problem}" if problem else "")
    return run.fail(reason)


def waited_for(scene: Scene, intent: str) -> Late | None:
    """Return the action a run has stopped waiting for."""
    found = scene.state.values.get((Kind.LATE, intent))
    return found if isinstance(found, Late) else None


def came_late(scene: Scene, late: Late, outcome: Outcome, state: State) -> None:
    """Keep what came of it; it is waited for no longer, unless a person has yet to decide."""
    if state is State.UNKNOWN:
        return
    if state is not State.PARKED:
        scene.decision.puts[(Kind.LATE.value, outcome.intent)] = None
    verdict = Verdict.DONE if state is State.APPLIED else Verdict.FAILED
    reason = f"step {late.path}: {outcome.verb} was {state.value} after the run had stopped waiting for it"
    if outcome.reason:
        reason += f": {outcome.reason}"
    part = f"{quoted(late.path)}/late/{outcome.intent}/{state.value}"
    scene.decision.trace(late.workflow, part, verdict, Trace(late.trigger, reason, None, late.run))
