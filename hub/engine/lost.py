"""A run whose version cannot be loaded any more stays where it is, holds up no other, and is said once."""

import msgspec

from hub.engine.approvals import withdraw
from hub.engine.decision import Trace, Verdict
from hub.engine.run_rows import OpenRun
from hub.engine.scene import Scene
from hub.engine.timed_rows import cancel_timer


def give_up(scene: Scene, run: OpenRun, what: str) -> None:
    """Leave a run where it is, without asking again for ever; `what` happened that it should have gone on with."""
    scene.decision.put_run(run.id, msgspec.structs.replace(run, wait=None, lost=True))
    if run.wait is not None:
        cancel_timer(scene, run.wait)
    withdraw(scene, run.id)
    reason = f"{what}, and version {run.version} of the workflow cannot be loaded any more"
    part = f"{run.id}/{run.position}/lost"
    scene.decision.trace(run.workflow, part, Verdict.FAILED, Trace(run.cause.id, reason, None, run.id))
