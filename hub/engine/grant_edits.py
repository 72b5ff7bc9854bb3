"""Ledgers under another set of workflows: what was promised keeps its text, what was not yet goes over to the new one."""

from msgspec.structs import replace

from hub.engine.calendars import span_of
from hub.engine.ledger import AGES, Ledger
from hub.engine.ledgers import (
    begin,
    booking_time,
    close,
    ended,
    is_closing,
    is_new,
    ledger_of,
    name_of,
    put,
    timed,
    turn_down,
    workflow_of,
)
from hub.engine.plans import Plan
from hub.engine.program import Grant
from hub.engine.promise import env_for
from hub.engine.scene import Scene
from hub.engine.stopped import STOPPED, gone_on, let_go


def realign(scene: Scene) -> None:
    """Bring ledgers in line with another set of workflows: what was promised keeps its text, what was not goes over."""
    for name, ledger in scene.state.ledgers:
        if is_closing(ledger):
            continue
        over = ended(scene, name, ledger)
        if over:
            close(scene, name, ledger, over)
            continue
        live = scene.program.plans[workflow_of(name)]
        if is_new(ledger):
            assert live.workflow.grant is not None
            _go_over(scene, name, ledger, live, live.workflow.grant)
        elif let_go(ledger, live):
            put(scene, name, timed(scene, name, gone_on(ledger), scene.item.at + 1))
    for plan in scene.program.granting:
        _begin_for_known(scene, plan)


def _begin_for_known(scene: Scene, plan: Plan) -> None:
    """Begin the ledger of a key that was there before the grant; what is so already turns nothing, unless it is said."""
    grant = plan.workflow.grant
    assert grant is not None
    span = span_of(grant.calendar, scene.item.at)
    known = ledger_of(scene, name_of(plan.workflow.id, grant, span[0]))
    if known is not None and known.stage == "closed" and grant.calendar is not None:
        span = span_of(grant.calendar, span[1])  # the present period was paid for and is over for this key
    name = name_of(plan.workflow.id, grant, span[0])
    if ledger_of(scene, name) is not None:
        return
    begin(scene, plan, grant, span)
    ledger = ledger_of(scene, name)
    if ledger is None or ledger.end != AGES:
        return
    if grant.on_first:
        put(scene, name, timed(scene, name, ledger, scene.item.at + 1))
    elif grant.condition.test(env_for(scene, plan, ledger)) is True:
        turn_down(scene, name, ledger)


def _go_over(scene: Scene, name: str, ledger: Ledger, live: Plan, grant: Grant) -> None:
    same = grant.calendar is None if ledger.end == AGES else grant.calendar is not None
    if not same or span_of(grant.calendar, max(ledger.start, 0)) != (ledger.start, ledger.end):
        close(scene, name, ledger, "the period was edited")
        return
    due, soon = booking_time(grant, ledger), scene.item.at + 1
    if ledger.held == STOPPED:  # it was to be booked, and nothing else need ever happen to it
        due = soon if let_go(ledger, live) else due
    else:
        ledger = replace(ledger, held="")
    ledger = replace(ledger, version=live.workflow.hash)
    put(scene, name, timed(scene, name, ledger, max(due, soon) if due else 0))
