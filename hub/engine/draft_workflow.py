"""One workflow out of one file: parameters, aggregates, triggers, steps, and what nobody reads."""

import hashlib
from collections.abc import Iterable
from dataclasses import replace
from typing import Literal, final

from hub.engine import draft_aggregates as aggregates
from hub.engine import draft_grants as grants
from hub.engine import draft_rows as rows
from hub.engine import draft_rules as rules
from hub.engine import draft_timed as timed
from hub.engine.draft import Draft
from hub.engine.draft_anchors import anchor
from hub.engine.draft_key import naming
from hub.engine.draft_names import belongs_to_no_account
from hub.engine.draft_scope import scope_of
from hub.engine.draft_steps import StepDrafter
from hub.engine.draft_words import warn_of_words
from hub.engine.key_text import is_key
from hub.engine.keys import KeyKind, kept_by
from hub.engine.message_files import NO_MESSAGES, Messages
from hub.engine.messages import MAX_WORDS, below
from hub.engine.model import WorkflowFile
from hub.engine.model_grants import PeriodEndTrigger
from hub.engine.model_steps import AnyStep, ChooseStep, DoStep, ForEachStep, IfStep, ParallelStep
from hub.engine.model_timed import ManualTrigger, ScheduleTrigger
from hub.engine.model_triggers import AbsentTrigger, AnyTrigger, BecomesTrigger, CrossesTrigger, EventTrigger
from hub.engine.money import MoneyRules, pinned_currencies, refuse_mixed
from hub.engine.nodes import Document, Location
from hub.engine.problems import Problems
from hub.engine.program import Aggregate, Anchor, Mode, Trigger, Workflow
from hub.engine.scopes import Scopes, unknown_event
from hub.events.declared import NONE_DECLARED, Declarations
from hub.events.watched import POSITION_CROSSED, SYMBOL_CROSSED
from hub.expr import Expression, Type
from hub.intents.verbs import VERBS

_OF_SYMBOL = "symbol."
WITHOUT_EVENT = BecomesTrigger | AbsentTrigger | PeriodEndTrigger | ScheduleTrigger | ManualTrigger


@final
class Drafting:
    """The second look at a file whose form is sound: names, types, and the rules about money."""

    def __init__(
        self,
        document: Document,
        file: WorkflowFile,
        problems: Problems,
        messages: Messages = NO_MESSAGES,
        declared: Declarations = NONE_DECLARED,
        *,
        stored: bool = False,
    ) -> None:
        self._stored = stored
        self._document = document
        self._file = file
        self._problems = problems
        self._types: dict[str, Type] = {}
        self._params = rules.params(file.params)
        scopes = Scopes(
            rules.param_types(file.params),
            self._types,
            kept_by(file.key) if is_key(file.key) else KeyKind.ACCOUNT,
            by_events=bool(file.when)
            and all(
                isinstance(trigger, EventTrigger) and not belongs_to_no_account(trigger.event)
                for trigger in file.when
            ),
            by_levels=bool(file.when)
            and all(isinstance(trigger, EventTrigger | CrossesTrigger) for trigger in file.when),
            by_quotes=any(map(_is_at_a_quote, file.when)),
            calendars=grants.calendars(file),
            by_periods=_by_periods(file.when),
            inputs=timed.input_types(file.when),
            declared=declared,
        )
        self._draft = Draft(document, problems, scopes, messages)
        named = naming(self._draft, file, self._params)
        if named is not None:
            self._draft.scopes = replace(scopes, key=named.kind, naming=named)

    def workflow(self) -> Workflow:
        file, draft = self._file, self._draft
        scope = scope_of(draft, file.scope, file.when, file.aggregates)
        aggregates = self._aggregates()
        anchors = self._anchors()
        triggers = self._triggers()
        is_unknown = scope is None and file.scope is not None and not draft.of_events
        currencies = None if is_unknown else pinned_currencies(scope)
        base = _in_base_currency(aggregates)
        money = MoneyRules(draft, currencies, limited=file.limit is not None, base=base)
        # Asked of the file, not of what compiled: one bad trigger shall not make its steps look wrong too.
        drafter = StepDrafter(
            draft,
            money,
            frozenset(name for trigger in file.when for name in _events(trigger)),
            crossed=any(isinstance(trigger, CrossesTrigger) for trigger in file.when),
            certain=not any(isinstance(trigger, WITHOUT_EVENT) for trigger in file.when),
        )
        steps = drafter.steps(("steps",), file.steps)
        on_error = drafter.handler(("on_error",), file.on_error)
        grant = grants.grant(draft, file.grant, aggregates, currencies)
        if grant is not None:
            draft.verbs.add(grant.verb.name)
        self._warn_about_unread()
        warn_of_words(draft)
        if not self._stored:  # what was live before this was asked goes on as it is
            refuse_mixed(draft, base)
        text = self._document.source + self._below()
        return Workflow(
            id=file.id,
            title=file.title,
            owner=file.owner or "",
            mode=Mode(file.mode),
            priority=file.priority,
            scope=scope,
            key=draft.scopes.key,
            params=self._params,
            aggregates=aggregates,
            triggers=triggers,
            limit=rules.limit(file.limit),
            most_open=rules.most_open(file.run),
            queue=timed.queue(file.run),
            trip=timed.trip(draft, file.trip),
            quiet=rules.quiet(draft, file.quiet_hours),
            itself=file.itself,
            steps=steps,
            on_error=on_error,
            hash=hashlib.sha256(text.encode()).hexdigest(),
            text=text,
            place=self._document.root.place,
            grant=grant,
            anchors=anchors,
            naming=draft.scopes.naming,
        )

    def _below(self) -> str:
        """Return the messages the steps name, and declared events, which belong to the version as they are now."""
        found = below(self._draft.messages, self._draft.scopes.declared)
        if len(found.encode("utf-8", "surrogatepass")) > MAX_WORDS:
            self._draft.error(
                ("steps",), f"the messages of these steps have more than {MAX_WORDS // 1024} KiB"
            )
            return ""
        return found

    def _aggregates(self) -> tuple[Aggregate, ...]:
        made: list[Aggregate] = []
        for name, file in self._file.aggregates.items():
            found, type_ = (
                rows.aggregate(self._draft, name, file, self._params)
                if rows.is_over_rows(file)
                else aggregates.aggregate(self._draft, name, file, self._params, self._file.anchors)
            )
            if found is not None:
                made.append(found)
            if aggregates.name_problem(name) is None:
                self._types[name] = type_
        return tuple(made)

    def _anchors(self) -> tuple[Anchor, ...]:
        made: list[Anchor] = []
        for name, file in self._file.anchors.items():
            found, type_ = anchor(self._draft, name, file, self._params)
            if found is not None:
                made.append(found)
            if aggregates.name_problem(name) is None:
                self._types.setdefault(name, type_)
        return tuple(made)

    def _triggers(self) -> tuple[Trigger, ...]:
        names = rules.trigger_ids(self._draft, self._file.when)
        on_replay = _on_replay((*self._file.steps, *self._file.on_error))
        found = [
            rules.trigger(
                self._draft, position, name, file, on_replay, critical=self._file.priority == "critical"
            )
            for position, (name, file) in enumerate(zip(names, self._file.when, strict=True))
        ]
        return tuple(trigger for trigger in found if trigger is not None)

    def _warn_about_unread(self) -> None:
        if self._problems.fatal:  # what failed to compile may have read it
            return
        reads = self._draft.reads
        named: dict[str, Iterable[str]] = {
            "aggregates": self._file.aggregates,
            "anchors": self._file.anchors,
            "params": self._file.params,
        }
        for kind, names in named.items():
            for name in names:
                path = f"params.{name}" if kind == "params" else name
                if path not in reads:
                    location: Location = (kind, name)
                    self._problems.warn(self._document.key_place(location), f"nothing reads `{path}`")


def _is_at_a_quote(trigger: AnyTrigger) -> bool:
    """Return whether the quote that starts it is known: after `for` it lies back."""
    return (
        isinstance(trigger, CrossesTrigger)
        and trigger.crosses.hold is None
        and _OF_SYMBOL in trigger.crosses.value
    )


def _by_periods(triggers: Iterable[AnyTrigger]) -> bool | None:
    """Return whether all start at the end of a period; None where none does."""
    found = {isinstance(trigger, PeriodEndTrigger) for trigger in triggers}
    return None if True not in found else len(found) == 1


def _events(trigger: AnyTrigger) -> tuple[str, ...]:
    match trigger:
        case EventTrigger(event=event):
            return (event,) if unknown_event(event) is None else ("custom.*",)
        case CrossesTrigger(crosses=crosses):
            if crosses.value.strip().startswith("position."):
                return (POSITION_CROSSED,)
            if _OF_SYMBOL in crosses.value:
                return (SYMBOL_CROSSED,)
            return ("margin.crossed",) if "margin_level" in crosses.value else ("equity.crossed",)
        case BecomesTrigger() | AbsentTrigger() | PeriodEndTrigger() | ScheduleTrigger() | ManualTrigger():
            return ()


def _on_replay(steps: Iterable[AnyStep]) -> Literal["fire", "skip"]:
    """Return what triggers default to: a backfill may move money that was earned, but writes to nobody."""
    return "fire" if any(_acts(step) for step in steps) else "skip"


def _acts(step: AnyStep) -> bool:
    match step:
        case DoStep():
            return _is_manager(step.do)
        case IfStep():
            inner = (*(step.then or ()), *(step.steps or ()), *step.otherwise)
            return _is_manager(step.do) or any(_acts(each) for each in inner)
        case ChooseStep():
            return any(
                _acts(each) for way in step.choose for each in (*(way.steps or ()), *(way.otherwise or ()))
            )
        case ParallelStep(parallel=branches):
            return any(_acts(each) for way in branches for each in (way if isinstance(way, list) else [way]))
        case ForEachStep(for_each=each):
            return any(_acts(inner) for inner in each.steps)
        case _:
            return False


def _is_manager(name: str | None) -> bool:
    verb = VERBS.get(name) if name is not None else None
    return verb is not None and verb.is_manager


def _in_base_currency(aggregates: Iterable[Aggregate]) -> frozenset[str]:
    return frozenset(made.name for made in aggregates if made.value is not None and _reads_base(made.value))


def _reads_base(value: Expression) -> bool:
    return any(path.endswith("_base") for path in value.reads)
