"""How a grant stands for a key: what is owed, what is booked, how far it is, for whoever asks why."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Final

from hub.clock import iso
from hub.engine.calendars import span_of
from hub.engine.ledger import NONE, Ledger
from hub.engine.ledgers import BEFORE, booking_time, label_in, name_of, plan_of, workflow_of
from hub.engine.plans import Plan
from hub.engine.program import Grant
from hub.engine.promise import RATE, env_for, owed, plain
from hub.engine.scene import Env, Scene
from hub.engine.stopped import STOPPED
from hub.engine.values import Kind
from hub.expr import Expression
from hub.expr.evaluate import evaluate
from hub.expr.tree import And, Comparison, Narrow, Node, Path

_REACHED: Final = frozenset({">", ">="})
MOST_CLOSED: Final = 3  # of those that are over, the latest are shown


def stands(scene: Scene, plan: Plan, grant: Grant) -> Iterator[tuple[bool | None, str]]:
    """Yield for every period that is followed whether it is owed, with the reason and what is booked; then the latest closed."""
    mine = f"{plan.workflow.id}/{grant.id}/"
    open_ones = [(name, ledger) for name, ledger in scene.state.ledgers if name.startswith(mine)]
    closed = [
        (name, ledger)
        for name, ledger in scene.state.of_kind(Kind.GRANT)
        if name.startswith(mine) and isinstance(ledger, Ledger) and ledger.stage == "closed"
    ]
    if not open_ones and not closed:
        span = span_of(grant.calendar, scene.item.at)
        open_ones = [(name_of(plan.workflow.id, grant, span[0]), Ledger(*span, version=plan.workflow.hash))]
    for name, ledger in sorted(open_ones, key=lambda each: each[1].start):
        yield _stands(scene, name, ledger)
    for name, ledger in sorted(closed, key=lambda each: -each[1].closes)[:MOST_CLOSED]:
        if ledger.held == BEFORE:
            yield (
                False,
                f"{label_in(name)}: it was so before the promise began at {iso(ledger.closes)}, and nothing is booked for that",
            )
            continue
        left = f", {plain(ledger.short)} of it could not be taken back" if ledger.short else ""
        yield (
            False,
            f"{label_in(name)}: closed at {iso(ledger.closes)}, {plain(ledger.booked)} stays booked{left}",
        )


def _stands(scene: Scene, name: str, ledger: Ledger) -> tuple[bool | None, str]:
    plan = plan_of(scene, name, ledger)
    grant = plan.workflow.grant if plan is not None else None
    if plan is None or grant is None:
        return (
            None,
            f"{label_in(name)}: version {ledger.version[:12]} of {workflow_of(name)} is not at hand; {_booked(ledger)}",
        )
    if ledger.start > scene.item.at:
        return False, f"{label_in(name)}: begins at {iso(ledger.start)}"
    env = env_for(scene, plan, ledger)
    found = owed(scene, plan, ledger, env)
    far = _distance(grant.condition, env)
    target = "nobody can tell what is owed" if found.target is None else f"{plain(found.target)} is owed"
    if found.code == RATE:
        target = "it is owed"
    parts = [
        found.reason + (f": {far}" if far else ""),
        f"{label_in(name)}: {target}",
        _booked(ledger),
        *_waits(ledger),
        *_stopped(scene, name, ledger, found.target),
    ]
    parts.append(_when(grant, ledger))
    holds = None if found.target is None else found.target > NONE
    return holds, "; ".join(parts)


def _booked(ledger: Ledger) -> str:
    said = f"{plain(ledger.booked)} is booked" if ledger.entries else "nothing is booked"
    if ledger.foreign is not None and ledger.foreign.worth:
        said += f" for {plain(ledger.foreign.worth.normalize())} {ledger.foreign.currency}"
    if ledger.short:
        said += f", of which {plain(ledger.short)} could not be taken back"
    return said + (" (in shadow: nothing was sent)" if ledger.shadow and ledger.entries else "")


def _stopped(scene: Scene, name: str, ledger: Ledger, target: Decimal | None) -> Iterator[str]:
    """Yield that a booking waits for the breaker, where anything is to be booked."""
    if ledger.held != STOPPED or target == ledger.booked - ledger.short:
        return
    live = scene.program.plans.get(workflow_of(name))
    until = "asked for again when that is reset"
    if ledger.again > scene.item.at and (live is None or not live.stopped):
        until += f", or at {iso(ledger.again)}"
    yield f"stopped by the workflow's breaker: {until}"


def _waits(ledger: Ledger) -> Iterator[str]:
    if ledger.asked is not None:
        what = "given" if ledger.asked > 0 else "taken back"
        yield f"{plain(abs(ledger.asked))} being {what} is {ledger.doubt or 'under way'}"
    elif ledger.refused is not None:
        yield f"refused for {plain(ledger.refused)} owed: asked for again when something else is owed"


def _when(grant: Grant, ledger: Ledger) -> str:
    if ledger.stage == "watched":
        return f"followed until {iso(ledger.closes)}"
    if grant.at_end:
        return f"booked at {iso(booking_time(grant, ledger))}"
    return "booked as soon as it is owed"


def _distance(condition: Expression, env: Env) -> str:
    """Return how far the first condition is that a value has to grow for: 17.4 of 20 lots."""
    tree = _bare(condition.tree)
    for part in tree.parts if isinstance(tree, And) else (tree,):
        node = _bare(part)
        if not isinstance(node, Comparison) or node.operator not in _REACHED:
            continue
        left, right = evaluate(node.left, env), evaluate(node.right, env)
        if isinstance(left, Decimal) and isinstance(right, Decimal) and left < right:
            what = _bare(node.left)
            noun = f" {what.dotted}" if isinstance(what, Path) else ""
            return f"{plain(left)} of {plain(right)}{noun}"
    return ""


def _bare(node: Node) -> Node:
    while isinstance(node, Narrow):
        node = node.operand
    return node
