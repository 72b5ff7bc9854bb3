"""Where a run finds its branches: in what this input has decided so far, then in what is stored."""

from collections.abc import Iterator

from hub.engine.approvals import withdraw
from hub.engine.branches import Branched
from hub.engine.run_rows import OpenRun, Waiting
from hub.engine.scene import Scene
from hub.engine.timed_rows import cancel_timer
from hub.engine.values import Kind, Slot, Value


def open_run(scene: Scene, name: str) -> OpenRun:
    found = _found(scene, (Kind.RUN.value, name))
    if not isinstance(found, OpenRun):
        raise LookupError(f"run {name} is not open, and a branch of it is")  # noqa: TRY004 - it is not there
    return found


def open_names(scene: Scene) -> set[str]:
    """Return the runs of the key that are open by now."""
    names = {run.id for run in scene.state.open_runs}
    for (kind, name), value in scene.decision.puts.items():
        if kind == Kind.RUN:
            (names.discard if value is None else names.add)(name)
    return names


def close_run(scene: Scene, name: str) -> None:
    slot = (Kind.RUN.value, name)
    if slot in scene.state.values:
        scene.decision.put_run(name, None)
    else:
        scene.decision.puts.pop(slot, None)


def branched(scene: Scene, name: str) -> Branched:
    found = _found(scene, (Kind.FORK.value, name))
    return found if isinstance(found, Branched) else Branched()


def put_branched(scene: Scene, name: str, value: Branched | None) -> None:
    slot = (Kind.FORK.value, name)
    if value is None and slot not in scene.state.values:
        scene.decision.puts.pop(slot, None)
    else:
        scene.decision.puts[slot] = value


def forget_timer(scene: Scene, wait: Waiting | None) -> None:
    """Take away the timer that would end a wait, one this input has begun as well."""
    if wait is None:
        return
    writes = scene.decision.writing()
    writes.timers = [timer for timer in writes.timers if timer.id != wait.timer]
    cancel_timer(scene, wait)


def forget_below(scene: Scene, run: str) -> None:
    """Take away everything that is kept of a run's branches, however deep."""
    for kind, name in list(_below(scene, f"{run}/")):
        if kind == Kind.FORK:
            put_branched(scene, name, None)
        else:
            forget_timer(scene, open_run(scene, name).wait)
            withdraw(scene, name)
            close_run(scene, name)


def _below(scene: Scene, prefix: str) -> Iterator[Slot]:
    for slot in dict.fromkeys([*scene.state.values, *scene.decision.puts]):
        kind, name = slot
        if kind in {Kind.RUN, Kind.FORK} and name.startswith(prefix) and _found(scene, slot) is not None:
            yield slot


def _found(scene: Scene, slot: Slot) -> Value | None:
    puts = scene.decision.puts
    return puts[slot] if slot in puts else scene.state.values.get(slot)
