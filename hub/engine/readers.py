"""Who reads what: the conditions and the anchors that are asked because a field or an aggregate changed."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final

from hub.engine.plans import Candidate, Plan
from hub.engine.program import Crosses
from hub.engine.reads import anchor_reads, reads_of
from hub.engine.split import Equalities

CREATED: Final = "account.login"  # changes once: when an account is first heard of


def readers_of(candidates: Iterable[Candidate]) -> dict[str, list[tuple[Candidate, Equalities]]]:
    """Return the conditions that read a field (`account.balance`) or an aggregate, by its name."""
    by_name: defaultdict[str, list[tuple[Candidate, Equalities]]] = defaultdict(list)
    for candidate in candidates:
        scope = candidate.plan.workflow.scope
        # Only the scope's equalities: a condition that no longer holds has to be seen as well.
        steady = [pair for pair in (scope.equalities if scope else ()) if not pair[0].startswith("event.")]
        for name in _read_by(candidate):
            by_name[name].append((candidate, steady))
    return dict(by_name)


def _read_by(candidate: Candidate) -> set[str]:
    names = {CREATED, "position.id", "symbol.name"} if isinstance(candidate.trigger, Crosses) else set[str]()
    aggregates = dict(candidate.plan.feeds)
    paths = set(reads_of(candidate.trigger, candidate.plan.workflow.scope))
    for each in candidate.plan.anchors:
        if each.name in paths:
            paths.remove(each.name)
            names.add(each.index)
            # What stands in for it, and what bounds it, counts at once.
            bounds = (each.anchor.first, each.anchor.lock)
            paths |= {path for bound in bounds if bound is not None for path in bound.reads}
    return names | {aggregates[path].name if path in aggregates else _field(path) for path in paths}


def anchor_readers_of(plans: Sequence[Plan]) -> dict[str, tuple[Plan, ...]]:
    """Return whose anchors are made of a field or an aggregate, by its name."""
    by_name: defaultdict[str, list[Plan]] = defaultdict(list)
    for plan in plans:
        aggregates, scope = dict(plan.feeds), plan.workflow.scope
        reads = set(scope.reads) if scope is not None else set[str]()
        reads |= {path for each in plan.anchors for path in anchor_reads(each.anchor)}
        names = {aggregates[path].name if path in aggregates else _field(path) for path in reads}
        for name in (CREATED, *sorted(names)):
            by_name[name].append(plan)
    return {name: tuple(plans) for name, plans in by_name.items()}


def _field(path: str) -> str:
    return ".".join(path.split(".")[:2])
