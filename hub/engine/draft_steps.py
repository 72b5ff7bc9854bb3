"""Steps: which verbs, under which conditions, and what has to hold before money moves."""

from collections.abc import Sequence
from dataclasses import replace
from typing import final

from hub.engine.draft import Draft
from hub.engine.draft_aggregates import name_problem
from hub.engine.draft_approve import approve
from hub.engine.draft_names import event_is_sound
from hub.engine.draft_publish import may_publish, told_by
from hub.engine.draft_requests import SECRETS, answer_type, request_of
from hub.engine.draft_rules_of_steps import StepRules
from hub.engine.draft_values import compile_params, compile_values
from hub.engine.model_approve import ApproveStep
from hub.engine.model_steps import (
    MOST_BRANCHES,
    AnyStep,
    ChoiceFile,
    ChooseStep,
    DoStep,
    ForEachStep,
    IfStep,
    ParallelStep,
    SetStep,
    StopStep,
    UndoFile,
    WaitStep,
)
from hub.engine.money import MoneyRules
from hub.engine.nodes import Location
from hub.engine.problems import did_you_mean, quoted
from hub.engine.program_steps import (
    Approve,
    Do,
    ForEach,
    If,
    Parallel,
    Set,
    Step,
    Stop,
    Wait,
)
from hub.engine.scopes import ANY
from hub.expr import Kind, Scope, Type, compile_expression
from hub.intents.verbs import VERBS, Risk, Verb


@final
class StepDrafter:
    """`events` are the types that may have started the workflow."""

    def __init__(
        self, draft: Draft, money: MoneyRules, events: frozenset[str], *, crossed: bool, certain: bool
    ) -> None:
        self._draft = draft
        self._money = money
        self._events = events
        self._crossed = crossed
        self._certain = certain
        self._ids: dict[str, None] = {}
        self._sets: set[str] = set()
        self._handles = False
        self._asks = False  # a person, before the steps from here on
        self._done: list[str] = []
        self._scope: Scope | None = None
        self._items: dict[str, Type] = {}  # by the names `for_each` gives them
        self._answers: dict[str, Type] = {}  # what requests are answered with
        self._inside = 0  # how many items the steps drafted since may go through
        self._around = StepRules(draft)

    def steps(self, location: Location, files: Sequence[AnyStep], prefix: str = "") -> tuple[Step, ...]:
        made = (
            self._step((*location, position), file, f"{prefix}{position}")
            for position, file in enumerate(files)
        )
        return tuple(step for step in made if step is not None)

    def handler(self, location: Location, files: Sequence[AnyStep]) -> tuple[Step, ...]:
        """Return the steps for a run that failed: they know where and why, and of earlier steps only what may be."""
        self._handles = True
        self._scope = None
        self._around.handles = True
        made = self.steps(location, files, "on_error.")
        self._around.every_step_says_undo()
        return made

    def _step(self, at: Location, file: AnyStep, position: str) -> Step | None:
        match file:
            case DoStep():
                return self._do(at, file, position)
            case IfStep():
                return self._if(at, file, position)
            case ChooseStep():
                self._claim(at, file.id)
                return self._choose(at, file.choose, 0, position)
            case SetStep():
                return self._set(at, file, position)
            case StopStep():
                self._claim(at, file.id)
                return Stop(position, file.stop)
            case WaitStep():
                return self._wait(at, file, position)
            case ApproveStep():
                return self._approve(at, file)
            case ParallelStep():
                return self._parallel(at, file, position)
            case ForEachStep():
                return self._for_each(at, file, position)

    def _known(self) -> Scope:
        if self._scope is None:
            known = self._draft.scopes.steps(
                self._events,
                tuple(self._done),
                crossed=self._crossed,
                certain=self._certain,
                failed=self._handles,
            )
            answers = {name: self._answers[name] for name in self._done if name in self._answers}
            if answers:
                steps = known.roots["steps"]
                known = known.extended({"steps": replace(steps, fields={**(steps.fields or {}), **answers})})
            self._scope = known.extended(self._items) if self._items else known
        return self._scope

    def _parallel(self, at: Location, file: ParallelStep, position: str) -> Parallel:
        self._claim(at, file.id)
        path = file.id if file.id is not None else position
        before, found, asks = len(self._done), list[str](), self._asks
        outside, self._inside = self._inside, 0
        branches: list[tuple[Step, ...]] = []
        for number, branch in enumerate(file.parallel):
            here: Location = (*at, "parallel", number)
            if isinstance(branch, list):
                branches.append(self.steps(here, branch, f"{path}.{number}."))
            else:
                only = self._step(here, branch, f"{path}.{number}")
                branches.append((only,) if only is not None else ())
            found += self._left(before)  # what goes on beside it is not known to the next branch
            self._asks = asks  # and what is approved in it is what follows in it
        self._not_too_many((*at, "parallel"))
        self._inside += outside
        for name in (*found, file.id):
            self._is_done(name)
        return Parallel(path, file.id, tuple(branches), file.on_error == "continue")

    def _for_each(self, at: Location, file: ForEachStep, position: str) -> ForEach | None:
        self._claim(at, file.id)
        each, here, draft = file.for_each, (*at, "for_each"), self._draft
        path = file.id if file.id is not None else position
        items = draft.expression((*here, "in"), self._known(), Kind.LIST)
        name, before, asks = each.name, len(self._done), self._asks
        if problem := name_problem(name):
            draft.error((*here, "as"), problem)
        elif name in self._known().roots:
            draft.error(
                (*here, "as"), f"`{name}` is the name of something else here: choose another for the item"
            )
        outer, outside = self._items, self._inside
        self._items = {**outer, name: (items.type.item if items is not None else None) or ANY}
        self._inside, self._scope = 0, None
        steps = self.steps((*here, "steps"), each.steps, f"{path}.each.")
        self._left(before)  # of its steps each item has its own
        self._inside = each.max * max(1, self._inside)
        self._not_too_many((*here, "max") if "max" in each.model_fields_set else here)
        self._items, self._inside, self._asks = outer, self._inside + outside, asks
        self._is_done(file.id)
        if items is None:
            return None
        goes_on = file.on_error == "continue"
        return ForEach(path, file.id, items, name, steps, each.concurrency, each.max, goes_on)

    def _left(self, before: int) -> list[str]:
        """Return the steps since then, which are known no longer."""
        found = self._done[before:]
        del self._done[before:]
        self._scope = None
        return found

    def _not_too_many(self, location: Location) -> None:
        if self._inside > MOST_BRANCHES:
            told = f"up to {self._inside} items at once, those within each other multiplied: at most {MOST_BRANCHES} may be"
            self._draft.error(location, f"{told}. Say `max`, for how many items there may be")

    def _claim(self, at: Location, name: str | None) -> None:
        if name is None:
            return
        if name in self._ids:
            self._draft.error((*at, "id"), f"two steps have the id {quoted(name)}: each needs its own")
        self._ids[name] = None

    def _if(self, at: Location, file: IfStep, position: str) -> If | None:
        condition = self._draft.expression((*at, "if"), self._known(), Kind.BOOL)
        path = file.id if file.id is not None and file.do is None else position
        only = file.one_thing
        if only is not None:
            inner = self._do(at, only, f"{path}.then.0")
            then: tuple[Step, ...] = (inner,) if inner is not None else ()
            own_id = None
        else:
            self._claim(at, file.id)
            key = "then" if file.then is not None else "steps"
            then = self.steps((*at, key), file.then or file.steps or (), f"{path}.then.")
            own_id = file.id
        otherwise = self.steps((*at, "else"), file.otherwise, f"{path}.else.")
        return If(path, own_id, condition, then, otherwise) if condition is not None else None

    def _choose(self, at: Location, ways: Sequence[ChoiceFile], first: int, position: str) -> If | None:
        """Return the ways from one on as conditions within each other: where one holds, the next is not asked."""
        way, here = ways[first], (*at, "choose", first)
        if way.condition is None:  # `choose: [{else: ...}]`, for what it is worth
            always = compile_expression("true", self._known())
            return If(
                position, None, always, self.steps((*here, "else"), way.otherwise or (), f"{position}.0."), ()
            )
        condition = self._draft.expression((*here, "if"), self._known(), Kind.BOOL)
        then = self.steps((*here, "steps"), way.steps or (), f"{position}.{first}.")
        otherwise: tuple[Step, ...] = ()
        if first + 1 < len(ways):
            following = ways[first + 1]
            if following.condition is None:
                otherwise = self.steps(
                    (*at, "choose", first + 1, "else"), following.otherwise or (), f"{position}.{first + 1}."
                )
            else:
                inner = self._choose(at, ways, first + 1, position)
                otherwise = (inner,) if inner is not None else ()
        return If(f"{position}.{first}", None, condition, then, otherwise) if condition is not None else None

    def _set(self, at: Location, file: SetStep, position: str) -> Set | None:
        # Several ways of a `choose` may set the same; what is read afterwards is what was set last.
        if file.id not in self._sets:
            self._claim(at, file.id)
            self._sets.add(file.id)
        values = compile_values(self._draft, (*at, "set"), file.values, self._known())
        self._is_done(file.id)
        return Set(position, file.id, values) if values is not None else None

    def _wait(self, at: Location, file: WaitStep, position: str) -> Wait | None:
        self._claim(at, file.id)
        wait, here, draft = file.wait, (*at, "wait"), self._draft
        until = condition = where = None
        sound = True
        if wait.until is not None:
            until = draft.expression((*here, "until"), self._known(), Kind.TIME)
            sound = until is not None
        if wait.condition is not None:
            condition = draft.expression((*here, "if"), self._known(), Kind.BOOL)
            sound = condition is not None
        if wait.event is not None:
            sound = event_is_sound(draft, (*here, "event"), wait.event, pattern=True)
            if sound and wait.since == "trigger_time" and "*" in wait.event:
                draft.error(
                    (*here, "event"),
                    f"{quoted(wait.event)} is a pattern, and what came before a run is kept of types that are named: "
                    "name one type, or leave out `since: trigger_time`",
                )
                sound = False
            if sound and wait.where is not None:
                scope = draft.scopes.awaited(
                    wait.event, self._events, tuple(self._done), certain=self._certain
                )
                where = draft.expression((*here, "where"), scope, Kind.BOOL)
                sound = where is not None
        self._is_done(file.id)
        if not sound:
            return None
        return Wait(
            position if file.id is None else file.id,
            file.id,
            wait.span,
            until,
            wait.event,
            where,
            wait.since != "now",
            condition,
            wait.timeout,
            wait.on_timeout,
            from_trigger=wait.since == "trigger_time",
        )

    def _approve(self, at: Location, file: ApproveStep) -> Approve | None:
        self._claim(at, file.id)
        made = approve(self._draft, at, file, self._known())
        self._asks = True
        self._is_done(file.id)
        return made

    def _is_done(self, name: str | None) -> None:
        if name is not None:
            self._done.append(name)
            self._scope = None

    def _do(self, at: Location, file: DoStep, position: str) -> Do | None:
        self._claim(at, file.id)
        verb = VERBS.get(file.do)
        made = None
        if verb is None:
            self._draft.error((*at, "do"), f"unknown verb {quoted(file.do)}{did_you_mean(file.do, VERBS)}")
        else:
            known = self._known().extended({"secrets": SECRETS}) if verb.answers else self._known()
            made = self._with_verb(at, file.id, verb, file.params, position, known)
            if made is not None:
                made = self._around.of(at, made, file, self._known())
                made = replace(made, **request_of(self._draft, at, made)) if verb.answers else made
        self._is_done(file.id)
        if file.id is not None and verb is not None and verb.answers:
            self._answers[file.id] = answer_type(made.shape if made is not None else None)
            self._scope = None
        if made is not None and isinstance(file.undo, UndoFile):
            made = replace(made, undo=self._undo(at, made, file.undo))
        return made

    def _undo(self, at: Location, made: Do, file: UndoFile) -> Do | None:
        here: Location = (*at, "undo")
        verb = VERBS.get(file.do)
        if verb is None:
            self._draft.error((*here, "do"), f"unknown verb {quoted(file.do)}{did_you_mean(file.do, VERBS)}")
            return None
        if not verb.is_manager:
            self._draft.error((*here, "do"), f"{verb.name} takes nothing back: name an action on an account")
            return None
        if verb.approval:
            self._draft.error(
                (*here, "do"),
                f"{verb.name} always needs a person's approval, and taking back waits for nobody",
            )
            return None
        path = f"{made.path}.undo"
        return self._with_verb(here, path, verb, file.params, path, self._known())

    def _with_verb(
        self,
        at: Location,
        name: str | None,
        verb: Verb,
        params: dict[str, object],
        position: str,
        known: Scope,
    ) -> Do | None:
        self._draft.verbs.add(verb.name)
        if verb.approval and (self._handles or not self._asks):
            where = (
                "and there is none for what a failed run does"
                if self._handles
                else "add an `approve` step before it"
            )
            self._draft.error((*at, "do"), f"{verb.name} always needs a person's approval: {where}")
        if verb.is_manager and not self._draft.scopes.names_account:
            self._draft.error(
                (*at, "do"),
                f"{verb.name} acts on an account, and with `key: {self._draft.scopes.kept_by}` only an event names one: "
                "start at events alone, or use `key: account`",
            )
        if verb.risk is Risk.MONEY and name is None:
            self._draft.error(
                at, f"{verb.name} moves money and needs an `id`: it is paid once under that name"
            )
        made = compile_params(self._draft, at, verb, params, known)
        if made is None:
            return None
        if verb.name == "event.publish":
            may_publish(self._draft, at, made)
        if verb.risk is Risk.MONEY:
            self._money.check(at, verb, made, known)
        path = name if name is not None else position
        tells = told_by(self._draft, made) if verb.name == "event.publish" else None
        return Do(path, name, verb, made, self._draft.document.place((*at, "do")), tells=tells)
