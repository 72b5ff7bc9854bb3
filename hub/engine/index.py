"""A set of workflows made ready to run: the rule index, the shared aggregates, and every version still needed."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from hub.engine.accumulators import counting
from hub.engine.code import code_of
from hub.engine.joined import Joined, join
from hub.engine.keys import KeyedBy, KeyKind
from hub.engine.leaving import only_lets_go
from hub.engine.own import SLOTS
from hub.engine.plans import (
    NOTHING_BOUND,
    PRIORITY,
    Binding,
    Candidate,
    Feed,
    Plan,
    Remembered,
    TypePlan,
    quoted,
)
from hub.engine.program import (
    Absent,
    Aggregate,
    Anchor,
    Becomes,
    Crosses,
    Mode,
    OnEvent,
    PeriodEnd,
    Sliding,
    Workflow,
)
from hub.engine.program_steps import Wait
from hub.engine.program_timed import Manual, Schedule
from hub.engine.readers import anchor_readers_of, readers_of
from hub.engine.reads import (
    anchor_reads,
    begins_with,
    concerns,
    condition_of,
    conditions,
    equalities_of,
    granted_on,
    matches,
    reads_of,
    takes_at,
)
from hub.engine.split import Equalities, Hits, Split
from hub.engine.stock import stock_of
from hub.engine.values import Kind

if TYPE_CHECKING:
    from hub.engine.courses import Course

MAX_TYPES_REMEMBERED = 4096
MAX_CHANGES_REMEMBERED = 128  # of one type
ANYTHING = "now"  # a condition that reads the clock may turn with any input


class Program:
    """The workflows that decide keys of one kind, and the rule index over them. What is live never changes.

    The one of the accounts has those of the other kinds beside it; `mailed` are those that have any workflows.
    """

    def __init__(self, workflows: Iterable[Workflow], kind: KeyedBy = KeyKind.ACCOUNT) -> None:
        given = tuple(workflows)
        self._others: dict[KeyedBy, Program] = {}
        if kind is KeyKind.ACCOUNT:
            kinds = dict.fromkeys((*KeyKind, *sorted(workflow.key for workflow in given)))
            self._others = {each: Program(given, each) for each in kinds if each != kind}
        self.kind = kind
        self.own_root, self.own_slot = (
            str(kind),
            SLOTS.get(kind),
        )  # what a key of a position, symbol or group is
        self.mailed = tuple(program for program in self._others.values() if program.workflows)
        self.workflows: dict[str, Workflow] = {
            workflow.id: workflow for workflow in given if workflow.key == kind
        }
        # Any of them: they say the same of every event.
        self.naming = next((each.naming for each in self.workflows.values() if each.naming is not None), None)
        self.feeds: dict[str, Feed] = {}
        self.plans: dict[str, Plan] = {}
        self._versions: dict[str, Plan] = {}
        self._types: dict[str, TypePlan] = {}
        self.courses: dict[bytes, Course | None] = {}  # by what stands near the type of an event
        # Whether anybody is to hear of what became of an action, by the type of that event; in a hub endpoints do.
        self.hears: Callable[[str], bool] = lambda _: True
        self._joined_questions: dict[tuple[int, ...], Joined[Candidate]] = {}
        self._bindings: dict[tuple[tuple[tuple[str, Feed], ...], int], Binding] = {}
        self._awaited: set[str] = set()
        self.remembered: set[str] = set()  # types of which runs that have yet to begin may ask for what came
        self._on_events: list[tuple[Candidate, OnEvent]] = []
        self.becomes: list[Candidate] = []
        self.crosses: list[Candidate] = []
        self.absents: list[Candidate] = []
        self.period_ends: list[Candidate] = []
        self.granting: list[Plan] = []
        self.anchored: list[Plan] = []  # with anchors
        self.schedules: list[Candidate] = []
        ranked = sorted(self.workflows.values(), key=lambda each: (PRIORITY[each.priority], each.id))
        for workflow in ranked:
            if workflow.mode is not Mode.OFF:
                self._add(workflow)
        self.by_clock = (*self.schedules, *self.period_ends)
        self.queued = tuple(
            plan.workflow.id for plan in self.plans.values() if plan.workflow.queue is not None
        )
        self.reads_clock = any(
            expression.references_root(ANYTHING)
            for workflow in self.workflows.values()
            for expression in conditions(workflow)
        )
        # The conditions that read a field (`account.balance`) or an aggregate: asked when it changed.
        self._readers = readers_of((*self.becomes, *self.crosses))
        self._dependants = {name: Split(readers) for name, readers in self._readers.items()}
        self._anchor_readers = anchor_readers_of(self.anchored)
        self.no_event = TypePlan((), Split(()), Split(()), ())
        together = (self, *self.mailed) if kind is KeyKind.ACCOUNT else ()
        self.stock = stock_of((each.kind, feed) for each in together for feed in each.feeds.values())
        # Positions are folded only where somebody looks at them, and nobody else pays for it.
        self.folds_positions = any(each.kind is KeyKind.POSITION for each in self.mailed) or (
            self.stock is not None and any(feed.aggregate.over == "positions" for _, feed in self.stock.feeds)
        )
        self.looks_at_rows = self.stock is not None or self.folds_positions

    @property
    def all_kinds(self) -> tuple["Program", ...]:
        """Return the programs for keys of every kind, its own first."""
        return (self, *self._others.values())

    @property
    def hashes(self) -> frozenset[str]:
        """Return the versions of its own workflows."""
        return frozenset(workflow.hash for workflow in self.workflows.values())

    def of(self, kind: KeyedBy) -> "Program":
        """Return the program for keys of a kind."""
        if kind == self.kind:
            return self
        return self._others.get(kind) or Program((), kind)  # nothing is kept by this field of events

    def keep(self, kind: KeyedBy) -> "Program":
        """Return the program for keys of a kind, where runs that began by it are still to come to their end."""
        if kind != self.kind and kind not in self._others:
            self._others[kind] = Program((), kind)
        return self.of(kind)

    @property
    def kinds(self) -> tuple[KeyedBy, ...]:
        return (self.kind, *self._others)

    def for_type(self, name: str) -> TypePlan:
        known = self._types.get(name)
        if known is None:
            if len(self._types) >= MAX_TYPES_REMEMBERED:  # custom types are named by whoever posts them
                self._types.clear()
                self._joined_questions.clear()
            known = self._types[name] = self._plan_type(name)
        return known

    def candidates(self, plan: TypePlan, changed: tuple[str, ...]) -> tuple[Split[Candidate], ...]:
        """Return where to look for the triggers an event's type names and the conditions that read what changed."""
        known = plan.asked.get(changed)
        if known is not None:
            return known
        read = tuple(sorted({*changed, ANYTHING} & self._dependants.keys()))
        if len(plan.asked) >= MAX_CHANGES_REMEMBERED:  # whoever posts events chooses what changes together
            return (plan.triggers, *(self._dependants[name] for name in read))
        # What changes together is mostly the same, so the places to look are made one: one look instead of many.
        if read not in plan.asked:
            plan.asked[read] = (self._joined(plan, read),)
        plan.asked[changed] = plan.asked[read]
        return plan.asked[read]

    def anchored_by(self, plan: TypePlan, changed: Iterable[str]) -> list[Plan]:
        """Return whose anchors an event may change, by its type or by what it changed, in their order."""
        found = dict.fromkeys(plan.anchored)
        for name in changed:
            for each in self._anchor_readers.get(name, ()):
                found[each] = None
        return [each for each in self.anchored if each in found] if len(found) > 1 else list(found)

    def joined(self, hits: Hits[Candidate]) -> Joined[Candidate]:
        """Return the one question for everything sure that stands in one place; the same candidates share it."""
        found = hits.joined
        if found is None:
            name = tuple(candidate.order for candidate in hits.sure)
            found = self._joined_questions.get(name)
            if found is None:
                parts = [candidate.part_of_question for candidate in hits.sure]
                found = self._joined_questions[name] = join(hits.sure, parts)
            hits.joined = found
        return found

    def unproved(self, hits: Hits[Candidate]) -> Joined[Candidate]:
        """Return the one question for those of one place whose scope the lookup leaves open: a no to it is a no."""
        found = hits.unproved
        if found is None:
            found = hits.unproved = join(hits.unsure, [each.part_in_any_scope for each in hits.unsure])
        return found

    def version(self, version: str, workflow: str) -> Plan | None:
        """Return the plan of a version a run is pinned to."""
        live = self.plans.get(workflow)
        if live is not None and live.workflow.hash == version:
            return live
        return self._versions.get(version)

    def pin(self, workflow: Workflow) -> None:
        """Keep a version that is not live (any more) for the runs that began with it."""
        self._versions.setdefault(workflow.hash, self._plan(workflow, dict(self.feeds)))

    def follows(self, plan: Plan) -> bool:
        """Return whether everything a grant of some version is worked out from is still kept for grants."""
        return all(feed.granted and self.feeds.get(feed.name) is feed for _, feed in plan.feeds)

    # Building

    def _add(self, workflow: Workflow) -> None:
        plan = self._plan(workflow, self.feeds)
        self.plans[workflow.id] = plan
        if plan.anchors:
            self.anchored.append(plan)
        for candidate in plan.triggers.values():
            match candidate.trigger:
                case OnEvent() as trigger:
                    self._on_events.append((candidate, trigger))
                case Becomes():
                    self.becomes.append(candidate)
                case Crosses():
                    self.crosses.append(candidate)
                case Absent():
                    self.absents.append(candidate)
                case PeriodEnd():
                    self.period_ends.append(candidate)
                case Schedule():
                    self.schedules.append(candidate)
                case Manual():
                    pass  # nothing is found for it: whoever asks names it
            if isinstance(candidate.trigger, Becomes | Crosses):
                for name, feed in candidate.feeds:
                    feed.watched = True
                    feed.edges.append(candidate.edge)
                    if not _only_lets_go(candidate, name, feed):
                        feed.lets_go = False
        if workflow.grant is not None:
            self.granting.append(plan)
            for _, feed in plan.feeds:
                feed.granted = True
                # What slides changes by itself; what has periods is looked at when they end.
                feed.watched = feed.watched or isinstance(feed.aggregate.window, Sliding)
                feed.lets_go = False
        for step in plan.code:
            if isinstance(step, Wait) and step.event is not None:
                self._awaited.add(step.event)
                if step.from_trigger:
                    self.remembered.add(step.event)
            if isinstance(step, Wait) and step.condition is not None:
                for name, feed in plan.feeds:
                    if name in step.condition.reads:
                        feed.watched, feed.lets_go = True, False

    def _plan(self, workflow: Workflow, shared: dict[str, Feed]) -> Plan:
        feeds = {each.name: _feed(each, workflow.params, shared) for each in workflow.aggregates}
        triggers: dict[str, Candidate] = {}
        plan = Plan(
            workflow,
            quoted(workflow.id) + "/",
            workflow.params,
            *code_of(workflow),
            tuple(feeds.items()),
            triggers,
            granted_on(workflow, feeds),
        )
        plan.anchors = tuple(_remembered(plan, each) for each in workflow.anchors)
        for each in plan.anchors:
            for path in anchor_reads(each.anchor):
                if path in feeds:
                    feeds[path].watched, feeds[path].lets_go = True, False
        base = len(self.plans) * 1000
        for position, trigger in enumerate(workflow.triggers):
            reads = reads_of(trigger, workflow.scope)
            part = f"{workflow.id}/{trigger.id}"
            condition = condition_of(trigger)
            triggers[trigger.id] = Candidate(
                base + position,
                plan,
                trigger,
                workflow.scope,
                part,
                (Kind.EDGE.value, part),
                self._binding(feeds, workflow.params, reads, plan.anchors),
                condition,
                condition.fast if condition is not None else None,
                isinstance(trigger, OnEvent),
            )
        return plan

    def _binding(
        self,
        feeds: Mapping[str, Feed],
        params: Mapping[str, object],
        reads: frozenset[str],
        anchors: Sequence[Remembered],
    ) -> Binding:
        needed = tuple((name, feed) for name, feed in feeds.items() if name in reads)
        given = params if any(path.startswith("params.") or path == "params" for path in reads) else None
        recalled = tuple(each for each in anchors if each.name in reads)
        if recalled:  # of one workflow: nobody shares it
            return Binding(needed, given, recalled)
        if not needed and given is None:
            return NOTHING_BOUND
        return self._bindings.setdefault((needed, id(given)), Binding(needed, given))

    def _joined(self, plan: TypePlan, read: Sequence[str]) -> Split[Candidate]:
        pairs = [*plan.listed, *(pair for name in read for pair in self._readers[name])]
        found = {pair[0].order: pair for pair in pairs}
        return Split([found[order] for order in sorted(found)])

    def _plan_type(self, name: str) -> TypePlan:
        triggers: list[tuple[Candidate, Equalities]] = []
        for candidate, trigger in self._on_events:
            if matches(trigger.event, name):
                triggers.append((candidate, equalities_of(candidate.plan.workflow.scope, trigger.where)))
        feeds: list[tuple[Feed, Equalities]] = []
        retracted: list[Feed] = []
        for feed in self.feeds.values():
            if feed.aggregate.retract is not None and matches(feed.aggregate.retract.event, name):
                retracted.append(feed)
            elif matches(feed.aggregate.source, name):
                feeds.append((feed, equalities_of(feed.aggregate.where)))
        absents = tuple(each for each in self.absents if concerns(each.trigger, name))
        of_client = name.startswith(("client.", "kyc."))
        begins = tuple(feed for feed in self.feeds.values() if begins_with(feed, name))
        awaited = any(matches(pattern, name) for pattern in self._awaited)
        anchored = tuple(
            plan for plan in self.anchored if any(takes_at(each.anchor, name) for each in plan.anchors)
        )
        return TypePlan(
            triggers,
            Split(triggers),
            Split(feeds),
            tuple(retracted),
            absents,
            of_client,
            begins,
            awaited,
            anchored,
        )


def _feed(aggregate: Aggregate, params: Mapping[str, object], shared: dict[str, Feed]) -> Feed:
    """Return the feed of a definition, made once: `shared` are those there are."""
    name = aggregate.id
    feed = shared.get(name)
    if feed is None:
        retract = aggregate.retract
        feed = shared[name] = Feed(
            order=len(shared),
            name=name,
            slot=(Kind.TOTAL.value, name),
            alarm=(Kind.ALARM.value, name),
            aggregate=aggregate,
            accumulator=counting(aggregate),
            gate=aggregate.where,
            value=aggregate.value,
            gate_fast=aggregate.where.fast if aggregate.where is not None else None,
            value_fast=aggregate.value.fast if aggregate.value is not None else None,
            params=params,
            ref=retract.ref.removeprefix("event.") if retract is not None else None,
        )
    return feed


def _only_lets_go(candidate: Candidate, name: str, feed: Feed) -> bool:
    trigger, scope = candidate.trigger, candidate.gate
    if not isinstance(trigger, Becomes) or (scope is not None and name in scope.reads):
        return False
    return only_lets_go(trigger, name, feed.aggregate)


def _remembered(plan: Plan, anchor: Anchor) -> Remembered:
    name = f"{plan.workflow.id}/{anchor.name}"
    return Remembered(anchor.name, f"anchor/{name}", (Kind.ANCHOR.value, name), anchor, plan)
