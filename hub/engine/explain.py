"""A workflow in plain English, for those who answer for it and read no code."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final, final

from pydantic import TypeAdapter

from hub.engine import explain_names as names
from hub.engine import explain_timed as timed
from hub.engine.explain_anchors import remembered
from hub.engine.explain_conditions import Wording
from hub.engine.explain_grants import clock, promise
from hub.engine.explain_names import Param
from hub.engine.explain_results import sources
from hub.engine.explain_steps import StepSayings
from hub.engine.explain_triggers import starts
from hub.engine.keys import KeyKind, form_of
from hub.engine.messages import taken_apart
from hub.engine.model import ParamFile
from hub.engine.problems import Problems
from hub.engine.program import (
    Absent,
    Aggregate,
    Becomes,
    Calendar,
    Crosses,
    Lifetime,
    Mode,
    OnEvent,
    PeriodEnd,
    Since,
    SinceEnd,
    Sliding,
    Tumbling,
    Window,
    Workflow,
)
from hub.engine.program_steps import ForEach, If, Parallel, Step, Wait
from hub.engine.program_timed import Limit, Manual, Quiet, Schedule
from hub.engine.yaml import read
from hub.events.catalogue import BY_NAME

_MODES: Final = {
    Mode.OFF: "Off: nobody looks at it, and nothing happens.",
    Mode.SHADOW: "Shadow: it decides and records, and sends nothing.",
    Mode.LIVE: "Live: what it decides is done.",
}
_THEN: Final = {
    Mode.OFF: "Then it would:",
    Mode.SHADOW: "Then, if it were live:",
    Mode.LIVE: "Then:",
}
_PRIORITIES: Final = {
    "critical": "Its actions go before all others.",
    "normal": "",
    "bulk": "Its actions go after all others.",
}
_EVERY: Final = {
    KeyKind.ACCOUNT: "For every account",
    KeyKind.CLIENT: "For every client, over all accounts of the client",
    KeyKind.GROUP: "For every group, over all its accounts",
    KeyKind.SYMBOL: "For every symbol, whoever trades it",
    KeyKind.POSITION: "For every position",
    KeyKind.ALL: "For everything together",
}
_EACH: Final = {
    KeyKind.ACCOUNT: "for each account",
    KeyKind.CLIENT: "for each client",
    KeyKind.GROUP: "for each group",
    KeyKind.SYMBOL: "for each symbol",
    KeyKind.POSITION: "for each position",
    KeyKind.ALL: "in all",
}
_SUMMED: Final = {
    "sum": "the sum of",
    "min": "the smallest",
    "max": "the largest",
    "avg": "the average of",
    "last": "the latest",
    "distinct": "the number of different values of",
}


@dataclass(frozen=True, slots=True)
class Explanation:
    id: str
    title: str
    mode: str
    lines: tuple[str, ...]

    @property
    def head(self) -> str:
        return f"{self.title} ({self.id}, {self.mode})"

    def text(self) -> str:
        return "\n".join([self.head, *(f"  {line}".rstrip() for line in self.lines)]) + "\n"

    def data(self) -> dict[str, object]:
        return {"id": self.id, "title": self.title, "lines": list(self.lines)}


def explain(workflow: Workflow) -> Explanation:
    """Say what a workflow does; the same file always gives the same text."""
    lines = tuple(printable(line) for line in _Explaining(workflow).lines())
    return Explanation(workflow.id, printable(workflow.title), workflow.mode.value, lines)


@final
class _Explaining:
    def __init__(self, workflow: Workflow) -> None:
        self._workflow = workflow
        self._files = _param_files(workflow)
        self._params = {name: _param(value, self._files.get(name)) for name, value in workflow.params.items()}
        self._wording = Wording(self._params)

    def lines(self) -> Iterator[str]:
        workflow = self._workflow
        about = [_MODES[workflow.mode], _PRIORITIES[workflow.priority]]
        if workflow.owner:
            about.insert(1, f"Owner: {workflow.owner}.")
        yield " ".join(part for part in about if part)
        yield self._scope()
        yield from self._with()
        yield from self._counts()
        yield from remembered(workflow.anchors, _each(workflow), self._wording)
        if workflow.grant is not None:
            yield from promise(workflow.grant, workflow.mode, self._wording)
            if workflow.trip is not None:
                yield f"{timed.trip(workflow.trip)} What is owed by then is booked after that."
            yield from self._events()
            return
        yield from starts(workflow.triggers, self._wording)
        if workflow.itself:
            yield "  Its own effects may start it again."
        if workflow.limit is not None:
            yield self._limit(workflow.limit)
        if workflow.quiet is not None:
            yield self._quiet(workflow.quiet)
        if workflow.most_open is not None:
            yield self._most_open(workflow.most_open)
        if workflow.queue is not None:
            yield timed.queue(workflow.queue, _each(workflow))
        if workflow.trip is not None:
            yield timed.trip(workflow.trip)
        results = sources((*workflow.steps, *workflow.on_error))
        sayings = StepSayings(replace(self._wording, results=results))
        yield _THEN[workflow.mode]
        yield from sayings.steps(workflow.steps, "  ", more=bool(workflow.on_error))
        if workflow.on_error:
            yield "When a run fails:"
            yield from sayings.steps(workflow.on_error, "  ")
        yield from self._events()

    def _scope(self) -> str:
        every, scope = self._every(), self._workflow.scope
        return f"{every}." if scope is None else f"{every}, where {self._wording.condition(scope)}."

    def _every(self) -> str:
        kind, naming = self._workflow.key, self._workflow.naming
        if naming is not None:
            return (
                f"For every value of {self._wording.value(naming.expression)}, asked for as {form_of(kind)}"
            )
        return (
            _EVERY[kind] if isinstance(kind, KeyKind) else f"For every {names.field(kind.partition('.')[2])}"
        )

    def _with(self) -> Iterator[str]:
        if self._params:
            yield "With these values:"
        for name, param in self._params.items():
            file = self._files.get(name)
            about = f" ({file.about})" if file is not None and file.about else ""
            yield f"  params.{name} = {param.shown}{about}"

    def _counts(self) -> Iterator[str]:
        if self._workflow.aggregates:
            yield f"Counts, {_each(self._workflow)}:"
        for aggregate in self._workflow.aggregates:
            yield f"  {self._aggregate(aggregate)}"

    def _aggregate(self, aggregate: Aggregate) -> str:
        near = self._wording.of_the_event()
        where = f" where {near.condition(aggregate.where)}" if aggregate.where is not None else ""
        if aggregate.over is not None:
            return f"{aggregate.name}: {self._over_rows(aggregate)}, as they stand now."
        said = f"the number of {aggregate.source} events{where}"
        if aggregate.function == "distinct_days":
            by = f", by the clock of {clock(aggregate.days)}" if aggregate.days is not None else ""
            said = f"the number of days with {names.one(aggregate.source)}{where}{by}"
        elif aggregate.function == "best_day_share" and aggregate.value is not None:
            by = f", by the clock of {clock(aggregate.days)}" if aggregate.days is not None else ""
            value = near.summand(aggregate.value)
            said = f"what part of the sum of {value} the best day made, in percent, over every {aggregate.source}{where}{by}"
        elif aggregate.value is not None:
            value = near.summand(aggregate.value)
            said = f"{_SUMMED[aggregate.function]} {value}, over every {aggregate.source}{where}"
        said = f"{aggregate.name}: {said}, {self._window(aggregate.window)}."
        if aggregate.retract is not None:
            taken = names.one(aggregate.retract.event)
            said += f" {taken[0].upper()}{taken[1:]} with the same {names.field(aggregate.retract.ref)} takes its part out again."
        return said

    def _over_rows(self, aggregate: Aggregate) -> str:
        rows = "open positions" if aggregate.over == "positions" else "accounts"
        near = replace(self._wording, near="position" if aggregate.over == "positions" else "account")
        where = f" where {near.condition(aggregate.where)}" if aggregate.where is not None else ""
        if aggregate.value is None:
            return f"the number of {rows}{where}"
        return f"{_SUMMED[aggregate.function]} {near.summand(aggregate.value)}, over all {rows}{where}"

    def _window(self, window: Window) -> str:
        if not isinstance(window, Since):
            return _window(window)
        where = ""
        if window.where is not None:
            where = f" where {self._wording.of_the_event().condition(window.where)}"
        before = "nobody knows" if window.missing else "everything counts"
        return f"since the latest {window.event}{where} (before the first, {before})"

    def _limit(self, limit: Limit) -> str:
        within = "ever" if limit.every is None else f"in {names.span(limit.every)}"
        triggers = " and each way it starts" if limit.per == "trigger" else ""
        each = f"{_each(self._workflow)}{triggers}"
        return f"At most {names.times(limit.max)} {within} {each}; what that holds back is not made up for later."

    def _most_open(self, number: int) -> str:
        runs = names.count(number, "run")
        return (
            f"At most {runs} {_each(self._workflow)} at a time; what would begin meanwhile does not happen."
        )

    def _quiet(self, quiet: Quiet) -> str:
        start, end = (moment.isoformat("minutes") for moment in (quiet.start, quiet.end))
        then = (
            "what would begin then does not happen"
            if quiet.skip
            else f"what would begin then waits until {end}"
        )
        unknown = ""
        if isinstance(quiet.zone, str):
            clock = f"by the clock of {quiet.zone}"
        else:
            clock = f"by the clock of {self._wording.value(quiet.zone)}"
            unknown = " Where that is not known, nothing happens." if quiet.zone.type.optional else ""
        return f"Not between {start} and {end}, {clock}; {then}.{unknown}"

    def _events(self) -> Iterator[str]:
        """Yield what the events are, for whoever does not know their names."""
        known = [
            name
            for name in dict.fromkeys(_events_of(self._workflow))
            if name in BY_NAME and BY_NAME[name].about
        ]
        if known:
            yield "The events:"
        for name in known:
            yield f"  {name}: {BY_NAME[name].about}"


def _each(workflow: Workflow) -> str:
    if workflow.naming is not None:
        return "for each of these values"
    kind = workflow.key
    return _EACH[kind] if isinstance(kind, KeyKind) else f"for each {names.field(kind.partition('.')[2])}"


def _window(window: Sliding | Tumbling | Calendar | SinceEnd | Lifetime) -> str:
    match window:
        case Sliding(duration=length):
            return f"in the last {names.span(length)}"
        case Tumbling(duration=length):
            return f"since the current span of {names.span(length)} began"
        case Calendar(period=period):
            return f"since the {period} began by the clock of {clock(window)}"
        case SinceEnd(calendar=calendar):
            return f"since the end of the {calendar.period} by the clock of {clock(calendar)}"
        case Lifetime():
            return "since the hub began to count"


def _events_of(workflow: Workflow) -> Iterator[str]:
    for aggregate in workflow.aggregates:
        if aggregate.over is None:
            yield aggregate.source
        if isinstance(aggregate.window, Since):
            yield aggregate.window.event
        if aggregate.retract is not None:
            yield aggregate.retract.event
    for anchor in workflow.anchors:
        if anchor.event is not None:
            yield anchor.event
    for trigger in workflow.triggers:
        match trigger:
            case OnEvent(event=event):
                yield event
            case Absent(event=event, after=after):
                yield event
                yield from (after,) if after is not None else ()
            case Becomes() | Crosses() | PeriodEnd() | Schedule() | Manual():
                pass
    yield from _awaited((*workflow.steps, *workflow.on_error))


def _awaited(steps: Iterable[Step]) -> Iterator[str]:
    for step in steps:
        match step:
            case Wait(event=str() as event):
                yield event
            case If(then=then, otherwise=otherwise):
                yield from _awaited((*then, *otherwise))
            case Parallel(branches=branches):
                for branch in branches:
                    yield from _awaited(branch)
            case ForEach(steps=inner):
                yield from _awaited(inner)
            case _:
                pass


_PARAMS: Final[TypeAdapter[dict[str, ParamFile]]] = TypeAdapter(dict[str, ParamFile])


def _param_files(workflow: Workflow) -> dict[str, ParamFile]:
    """Return what the file says of its parameters: a running workflow has no use for their units and comments."""
    document = read(taken_apart(workflow.text)[0], workflow.place.path, Problems())
    given: Any = document.data().get("params") if document is not None else None
    return _PARAMS.validate_python(given or {})


def _param(value: object, file: ParamFile | None) -> Param:
    bare = names.plain(value)
    if file is not None and file.currency is not None:
        return Param(f"{bare} {file.currency}", f"{bare} {file.currency}")
    # A formula divides a percent number by 100 itself, so it stands there without the sign.
    return Param(f"{bare} %" if file is not None and file.type == "percent" else bare, bare)


def printable(line: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in line)
