"""What triggers, anchors and grants read, and which events they are about: what the rule index is made of."""

from collections.abc import Iterator, Mapping
from typing import Final

from hub.engine.plans import Feed
from hub.engine.program import Absent, Anchor, Becomes, Crosses, OnEvent, PeriodEnd, Since, Trigger, Workflow
from hub.engine.program_timed import Manual, Schedule
from hub.engine.split import Equalities
from hub.expr import Expression

BOOKED_BY = frozenset({"account.currency", "account.digits"})  # how any amount becomes money of the account


def anchor_reads(anchor: Anchor) -> frozenset[str]:
    """Return what an anchor may have to be taken for: days and events say themselves when they are there."""
    if anchor.how in {"daily", "event"}:
        return frozenset()
    taken = (None if anchor.trails else anchor.take, anchor.first if anchor.how != "once" else None)
    return frozenset[str]().union(*(each.reads for each in taken if each is not None))


CASH_FLOWS: Final = {"balance.deposited": 1, "balance.withdrawn": -1}


def takes_at(anchor: Anchor, name: str) -> bool:
    """Return whether an event of a type may say of itself what an anchor remembers."""
    if anchor.shifts and name in CASH_FLOWS:
        return True
    if anchor.trails:
        return name in {"day.rolled", "equity.crossed", "margin.crossed"}
    if anchor.how == "daily":
        return name == "day.rolled"
    return anchor.event is not None and matches(anchor.event, name)


def matches(pattern: str, name: str) -> bool:
    """Return whether a type is the pattern, or lies under one such as `trade.*`."""
    return pattern in {name, "*"} or (pattern.endswith(".*") and name.startswith(pattern[:-1]))


def begins_with(feed: Feed, name: str) -> bool:
    window = feed.aggregate.window
    return isinstance(window, Since) and matches(window.event, name)


def concerns(trigger: Trigger, name: str) -> bool:
    return isinstance(trigger, Absent) and any(
        pattern is not None and matches(pattern, name) for pattern in (trigger.event, trigger.after)
    )


def equalities_of(*conditions: Expression | None) -> Equalities:
    return [pair for condition in conditions if condition is not None for pair in condition.equalities]


def reads_of(trigger: Trigger, scope: Expression | None) -> frozenset[str]:
    expressions: list[Expression | None] = [scope]
    match trigger:
        case OnEvent():
            expressions += [trigger.where]
        case Becomes():
            expressions += [trigger.condition]
        case Crosses():
            expressions += [trigger.limit, trigger.rearm]
        case Absent():
            expressions += [trigger.where, trigger.after_where]
        case PeriodEnd() | Schedule() | Manual():
            pass
    return frozenset[str]().union(*(each.reads for each in expressions if each is not None))


def granted_on(workflow: Workflow, feeds: Mapping[str, Feed]) -> frozenset[str]:
    if workflow.grant is None:
        return frozenset()
    asked = (*workflow.grant.expressions, *((workflow.scope,) if workflow.scope is not None else ()))
    paths = {path for expression in asked for path in expression.reads} | BOOKED_BY
    return frozenset(feeds[path].name if path in feeds else ".".join(path.split(".")[:2]) for path in paths)


def condition_of(trigger: Trigger) -> Expression | None:
    match trigger:
        case OnEvent():
            return trigger.where
        case Becomes():
            return trigger.condition
        case Crosses() | Absent() | PeriodEnd() | Schedule() | Manual():
            return None


def conditions(workflow: Workflow) -> Iterator[Expression]:
    """Yield everything that is asked or counted before a run begins."""
    found = [workflow.scope]
    for aggregate in workflow.aggregates:
        found += [aggregate.where, aggregate.value]
        if isinstance(aggregate.window, Since):
            found += [aggregate.window.where]
    for anchor in workflow.anchors:
        found += anchor.expressions
    for trigger in workflow.triggers:
        match trigger:
            case OnEvent():
                found += [trigger.where]
            case Becomes():
                found += [trigger.condition]
            case Crosses():
                found += [trigger.limit, trigger.rearm]
            case Absent():
                found += [trigger.where, trigger.after_where]
            case PeriodEnd() | Schedule() | Manual():
                pass
    yield from (expression for expression in found if expression is not None)
