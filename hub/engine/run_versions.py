"""An open run goes over to the live version of its workflow, if the place where it stands is found there again. Pure."""

from typing import Final, NamedTuple

import msgspec

from hub.clock import iso
from hub.engine.code import Act, Branch, Fork, Instruction, Jump, name_of
from hub.engine.decision import Trace, Verdict
from hub.engine.plans import Plan
from hub.engine.program import OnEvent, PeriodEnd
from hub.engine.program_steps import Approve, Set, Stop, Wait
from hub.engine.program_timed import Quiet
from hub.engine.roots import row_of
from hub.engine.run_rows import OpenRun
from hub.engine.scene import Scene
from hub.engine.values import Kind
from hub.engine.waits import look_again
from hub.events.bounded import bounded
from hub.expr import Expression

MIGRATE: Final = "run.migrate"
MAX_ORDER_BYTES: Final = 16 * 1024
MOST_NAMED: Final = 20  # steps that would be left out, by name


class Order(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of the command `run.migrate`: a run is to go over to a version; `by` is who wants that."""

    run: str
    version: str
    workflow: str
    by: str = ""


class Found(NamedTuple):
    """Where a run would stand in another version, and the steps before that which are new there."""

    position: int
    left_out: tuple[str, ...]


_encode = msgspec.json.Encoder().encode
decode_order = bounded(Order, "an order", MAX_ORDER_BYTES)


def encode_order(order: Order) -> bytes:
    return _encode(order)


def migrate(scene: Scene) -> None:
    """Have a run go over as ordered, or say why it stays: what was found when it was ordered is judged again."""
    order = decode_order(scene.item.body)
    run = scene.state.values.get((Kind.RUN.value, order.run))
    if not isinstance(run, OpenRun) or run.workflow != order.workflow:
        _stays(scene, order, "", "it is not open: it has come to its end")
        return
    if run.version == order.version:
        return  # ordered twice
    old, new = scene.program.version(run.version, run.workflow), scene.program.plans.get(run.workflow)
    found = place_in(old, new, run)
    if new is not None and new.workflow.hash != order.version:
        found = f"version {short(order.version)} is not the live one any more"
    if new is None or isinstance(found, str):
        _stays(scene, order, run.cause.id, str(found))
        return
    moved = msgspec.structs.replace(run, version=order.version, position=found.position)
    scene.decision.put_run(run.id, moved)
    reason = f"went over from version {short(run.version)} to {short(order.version)}" + _by(order)
    if found.left_out:
        reason += f"; left out: {', '.join(found.left_out)}"
    row = row_of(scene, moved, moved.results, "running", f"{_standing(moved, new)}; {reason}")
    scene.decision.writing().runs.append(row)
    trace = Trace(run.cause.id, reason, None, run.id, mode=run.mode)
    scene.decision.trace(run.workflow, f"{run.id}/{order.version}", Verdict.MOVED, trace)
    look_again(scene, moved, new)


def place_in(old: Plan | None, new: Plan | None, run: OpenRun) -> Found | str:
    """Return where a run of the old version stands in the new one, or why it has to stay."""
    if new is None:
        return "the workflow has no live version for this key: it is off, gone, or kept by another key"
    if old is None:
        return f"version {short(run.version)} cannot be loaded any more, so nobody knows where the run stands"
    step = _standing_step(old, run)
    if isinstance(step, str):
        return step
    position = _place_of(step, old, new, run.position)
    if isinstance(position, str):
        return position
    problem = (
        _trigger_problem(old, new, run) or _repeats(old, new, run, position) or _approved_ahead(old, run)
    )
    if problem is not None:
        return problem
    return Found(position, _left_out(old, new, position))


def short(version: str) -> str:
    return version[:12]


def _standing_step(old: Plan, run: OpenRun) -> Act | Wait | str:
    """Return the step a run waits at, or why one that stands as this one does goes nowhere."""
    if run.branch is not None or run.fork is not None:
        return "it stands in branches (parallel, for_each), which end as they began"
    if run.undoing is not None:
        return "it is taking back what it did"
    step = old.code[run.position]
    if isinstance(step, Approve):
        return f"it waits for an approval (step {step.path}), which its own version asked for"
    if not isinstance(step, Act | Wait) or run.lost or (run.wait is None and not run.waiting):
        return "it waits for nothing: nobody carries it on any more"
    return step


def _place_of(step: Act | Wait, old: Plan, new: Plan, at: int) -> int | str:
    """Return where a step stands in the new version, or why it does not."""
    found = [n for n, each in enumerate(new.code) if _path(each) == _path(step)]
    if not found:
        return f"step {_named(step)} is not in the live version"
    place = next((n for n in found if _sort(new.code[n]) == _sort(step)), None)
    if place is None:
        there = _sort(new.code[found[0]])
        return f"step {_path(step)} is {_sort(step)} in its version and {there} in the live one"
    if any(start <= place < end for start, end in _slices(new)):
        return f"step {_path(step)} stands in branches (parallel, for_each) in the live version"
    if _handles(old, at) != _handles(new, place):
        return f"step {_path(step)} stands under `on_error` in only one of the two versions"
    return place


def _repeats(old: Plan, new: Plan, run: OpenRun, place: int) -> str | None:
    """Return which step was passed and might come again: what was asked for is known by its step's path, and counts once."""
    passed = [step for step in old.code[: run.position] if isinstance(step, Act | Approve)]
    ahead = {_path(step) for step in new.code[place + 1 :] if isinstance(step, Act | Approve)}
    before = {(_path(step), _sort(step)) for step in new.code[:place]}
    for step in passed:
        if _path(step) in ahead:
            return f"step {_named(step)} is behind it, and ahead of it in the live version"
        if isinstance(step, Act) and step.do.id is None and (_path(step), _sort(step)) not in before:
            return (
                f"step {_named(step)} is behind it, has no id, and is not in its place in the live version: "
                "nobody can tell whether it would be done twice"
            )
    return None


def _approved_ahead(old: Plan, run: OpenRun) -> str | None:
    """Return what people have approved and is still to be done: they have not seen what another version does."""
    for step in old.code[run.position :]:
        if isinstance(step, Act) and step.do.path in run.approved:
            return f"people have approved step {step.do.path} as its own version has it"
    return None


def _trigger_problem(old: Plan, new: Plan, run: OpenRun) -> str | None:
    """Return why the new version's steps would read something else than what the run began with."""
    was, now = old.triggers.get(run.cause.id), new.triggers.get(run.cause.id)
    if was is None or now is None:
        return f"trigger {run.cause.id}, which it began by, is not in the live version"
    before, after = was.trigger, now.trigger
    same = type(before) is type(after)
    if isinstance(before, OnEvent) and isinstance(after, OnEvent):
        same = before.event == after.event
    if isinstance(before, PeriodEnd) and isinstance(after, PeriodEnd):
        same = before.calendar == after.calendar
    return None if same else f"trigger {run.cause.id}, which it began by, is another in the live version"


def _left_out(old: Plan, new: Plan, place: int) -> tuple[str, ...]:
    known = {_path(step) for step in old.code}
    start = new.handler if new.handler is not None and _handles(new, place) else 0
    named = [
        _named(step)
        for step in new.code[start:place]
        if isinstance(step, Act | Approve | Set | Stop | Wait) and _path(step) not in known
    ]
    more = len(named) - MOST_NAMED
    return (*named[:MOST_NAMED], f"and {more} more") if more > 0 else tuple(named)


def _path(step: Instruction) -> str:
    """Return what a step is known by from one version to the next."""
    match step:
        case Act(do=do):
            return do.path
        case Set():
            return step.id
        case Jump():
            return ""  # no step of anybody's
        case _:
            return step.path


def _named(step: Instruction) -> str:
    return name_of(step) or "" if isinstance(step, Act) else _path(step)


def _sort(step: Instruction) -> str:
    """Return what a step does, as far as a run that stands there depends on it."""
    match step:
        case Act(do=do):
            return do.verb.name
        case Wait(quiet=Quiet()):
            return "quiet hours"
        case Wait(event=str() as event):
            return f"wait: event {event}"
        case Wait(condition=Expression()):
            return "wait: if"
        case Wait(until=Expression()):
            return "wait: until"
        case Wait():
            return "wait: for"
        case Branch():
            return "if"
        case Fork(each=each):
            return "parallel" if each is None else "for_each"
        case Set() | Stop() | Approve() | Jump():
            return type(step).__name__.lower()


def _slices(plan: Plan) -> list[tuple[int, int]]:
    return [each for step in plan.code if isinstance(step, Fork) for each in step.slices]


def _handles(plan: Plan, position: int) -> bool:
    return plan.handler is not None and position >= plan.handler


def _stays(scene: Scene, order: Order, trigger: str, reason: str) -> None:
    told = f"stays on its version{_by(order)}: {reason}"
    trace = Trace(trigger, told, None, order.run)
    part = f"{order.run}/{order.version}/stays"
    scene.decision.trace(order.workflow, part, Verdict.HELD_BACK, trace)


def _standing(run: OpenRun, plan: Plan) -> str:
    """Return what a run waits for, as whoever looks at it is told."""
    what = run.waiting or f"step {_path(plan.code[run.position])}"
    return f"waits for {what}" + (f", until {iso(run.wait.due)}" if run.wait is not None else "")


def _by(order: Order) -> str:
    return f", as {order.by} ordered" if order.by else ""
