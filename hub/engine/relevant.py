"""Which types of events a workflow needs to be told to come to the same decisions: the others need not even be decoded."""

import re
from dataclasses import fields

from hub.engine.code import Act, Branch, Jump
from hub.engine.index import ANYTHING, Program
from hub.engine.keys import KeyKind
from hub.engine.plans import Plan
from hub.engine.program import (
    Absent,
    Aggregate,
    Becomes,
    Calendar,
    Crosses,
    Lifetime,
    OnEvent,
    Sliding,
    Tumbling,
    Workflow,
)
from hub.engine.program_steps import Approve, Set, Stop, Wait
from hub.engine.reads import conditions, matches
from hub.events.brief import NEAR_TYPE, named_type, tells_type

_TRADES = ("trade.", "position.")
_MONEY = ("balance.", "credit.", "bonus.")
# What tells of a field beside the events of `account.` itself; group and currency stand on every event.
_TOLD_BY: dict[str, tuple[str, ...]] = {
    "balance": (*_TRADES, *_MONEY),
    "credit": _MONEY,
    "initial_balance": _MONEY,
    "open_positions": _TRADES,
    "open_lots": _TRADES,
    "last_trade_at": _TRADES,
    "group": ("",),
    "currency": ("",),
}
_ALWAYS = ("account.", "client.", "kyc.", "challenge.", "equity.crossed", "margin.crossed", "day.rolled")
# In expressions and in texts for people alike.
_FIELD = re.compile(r"\baccount\s*\.\s*([a-z_]+)")
# Roots that are told by events of their own, and read from what stands.
_OTHER_ROOTS = re.compile(r"(?<![.\w])(?:position|symbol|group)\s*\.\s*[a-z_]")
# What is known here of a workflow. One that says more may depend on anything, and is told everything.
_KNOWN = frozenset(
    [
        "id",
        "title",
        "owner",
        "mode",
        "priority",
        "scope",
        "key",
        "params",
        "aggregates",
        "triggers",
        "limit",
        "most_open",
        "quiet",
        "itself",
        "steps",
        "on_error",
        "hash",
        "text",
        "place",
    ]
)
_KNOWN_PARTS = (OnEvent, Becomes, Crosses, Absent, Calendar, Sliding, Tumbling, Lifetime)
_KNOWN_STEPS = (Act, Approve, Branch, Jump, Set, Stop, Wait)
_KNOWN_OF_AGGREGATES = frozenset(
    ["id", "name", "source", "function", "value", "where", "window", "retract", "days"]
)
_MOST_TYPES = 4096


class Needed:
    """Answers for one program, and remembers each type it was asked for."""

    def __init__(self, program: Program) -> None:
        self.skips: dict[bytes, bool] = {}  # by what stands near the type of an event
        self._programs = (program, *program.mailed)
        workflows = [each for part in self._programs for each in part.workflows.values()]
        plans = [plan for part in self._programs for plan in part.plans.values()]
        everything = any(map(_unforeseeable, workflows)) or any(map(_looks_anew, plans))
        self._prefixes = ("",) if everything else _prefixes(workflows)
        self._awaited = [
            step.event for plan in plans for step in plan.code if isinstance(step, Wait) and step.event
        ]
        self._known: dict[str, bool] = {}

    def skip(self, body: bytes) -> bool:
        """Return whether nobody needs to be told a stored event."""
        near, skip = body[NEAR_TYPE], not self(named_type(body))
        if len(self.skips) >= _MOST_TYPES:
            self.skips.clear()
        if tells_type(near):
            self.skips[near] = skip
        return skip

    def __call__(self, name: str) -> bool:
        known = self._known.get(name)
        if known is None:
            if len(self._known) >= _MOST_TYPES:  # custom types are named by whoever posts them
                self._known.clear()
            known = self._known[name] = self._is_needed(name)
        return known

    def _is_needed(self, name: str) -> bool:
        if name.startswith(self._prefixes) or any(matches(pattern, name) for pattern in self._awaited):
            return True
        plans = [program.for_type(name) for program in self._programs]
        if any(plan.listed or plan.retracted or plan.absents for plan in plans):
            return True
        feeds = [feed for program in self._programs for feed in program.feeds.values()]
        return any(matches(feed.aggregate.source, name) for feed in feeds)


def _unforeseeable(workflow: Workflow) -> bool:
    """Return whether anything at all may change what a workflow does: the clock, the first look at a key."""
    if _says_more(workflow, _KNOWN) or any(
        _says_more(each, _KNOWN_OF_AGGREGATES) for each in workflow.aggregates
    ):
        return True
    parts = (*workflow.triggers, *(each.window for each in workflow.aggregates))
    if not all(isinstance(part, _KNOWN_PARTS) for part in parts):
        return True
    if _OTHER_ROOTS.search(workflow.text):
        return True
    if workflow.key is not KeyKind.ACCOUNT:  # it is told of whole accounts as they are
        return True
    if any(expression.references_root(ANYTHING) for expression in conditions(workflow)):
        return True
    return any(isinstance(trigger, Absent) and trigger.after is None for trigger in workflow.triggers)


def _says_more(part: Workflow | Aggregate, known: frozenset[str]) -> bool:
    return any(getattr(part, each.name) for each in fields(part) if each.name not in known)


def _looks_anew(plan: Plan) -> bool:
    """Return whether its runs wait for something that any event may bring about."""
    return any(
        not isinstance(step, _KNOWN_STEPS) or (isinstance(step, Wait) and step.condition is not None)
        for step in plan.code
    )


def _prefixes(workflows: list[Workflow]) -> tuple[str, ...]:
    read = {name for workflow in workflows for name in _FIELD.findall(workflow.text)}
    return (*_ALWAYS, *(prefix for name in sorted(read) for prefix in _TOLD_BY.get(name, ())))
