"""The intent of one step, as it is written in the deciding transaction."""

from hub.engine.plans import PRIORITY, Plan
from hub.engine.scene import Scene
from hub.intents.intent import Intent, State


def intent_of(
    scene: Scene,
    plan: Plan,
    key: str,
    *,
    run: str,
    step: str,
    verb: str,
    params: bytes,
    caused_by: str,
    state: State,
    reason: str = "",
) -> Intent:
    """Return what a step asks for now, on the lane of its workflow."""
    return Intent(
        key=key,
        partition=scene.state.partition,
        account=scene.account_key,
        verb=verb,
        params=params,
        workflow=plan.workflow.id,
        run=run,
        step=step,
        caused_by=caused_by,
        state=state,
        reason=reason,
        at=scene.item.at,
        due=scene.item.at,
        priority=PRIORITY[plan.workflow.priority],
    )
