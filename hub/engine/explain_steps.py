"""Steps in plain English: numbered, those under a condition indented, texts for people shown as they are written."""

import re
from collections.abc import Mapping, Sequence
from typing import Final, final

from hub.engine import explain_names as names
from hub.engine import explain_requests as requests
from hub.engine import explain_verbs as verbs
from hub.engine.explain_conditions import Wording
from hub.engine.program_steps import (
    Approve,
    Chosen,
    Computed,
    Do,
    ForEach,
    If,
    Literally,
    Nested,
    Parallel,
    Rendered,
    Set,
    Step,
    Stop,
    Value,
    Wait,
    Worded,
)
from hub.expr.tree import Literal

MAX_LINES_OF_TEXT: Final = 40
REFUSED: Final = "If the broker refuses it, the run fails here."

_INDENT: Final = "   "  # what stands under a number
_INNER: Final = "  "
_GAP: Final = re.compile(r"\{\{-?\s*([a-z][a-z0-9_]*(?:\.[a-z0-9_]+)*)\s*((?:\|[^{}]*)?)-?\}\}")
_FALLBACK: Final = re.compile(r"""\|\s*(?:default|d)\(\s*(?:"([^"]*)"|'([^']*)')\s*\)""")
_BRANCH_FAILED: Final = {
    True: "If a branch fails, it goes on all the same.",
    False: "If a branch fails, the others end as soon as they can, and the run fails.",
}
_ITEM_FAILED: Final = {
    True: "If an item fails, it goes on with the others.",
    False: "If an item fails, the others end as soon as they can, and the run fails.",
}
_SHOWN: Final = {
    "event": "the event",
    "account": "the account",
    "client": "the client",
    "trigger": "what started it",
    "params": "its values",
    "steps": "what came of earlier steps",
}
_AFTER: Final = {
    "continue": "If that time passes, it goes on.",
    "stop": "If that time passes, the run ends.",
    "fail": "If that time passes, the run fails.",
}


@final
class StepSayings:
    def __init__(self, wording: Wording) -> None:
        self._wording = wording
        self._given: Mapping[
            str, str
        ] = {}  # what the message that is told of is given, by the names it reads

    def steps(self, steps: Sequence[Step], indent: str = "", *, more: bool = False) -> list[str]:
        """Return the lines; `more`: something follows that a refusal would prevent."""
        lines: list[str] = []
        for number, step in enumerate(steps, start=1):
            first, *others = self._step(step, more=more or number < len(steps))
            lines.append(f"{indent}{number}. {first}")
            lines += [f"{indent}{_INDENT}{line}" for line in others]
        return lines or [f"{indent}Nothing."]

    def _step(self, step: Step, *, more: bool) -> list[str]:
        match step:
            case Do():
                return self._do(step, more=more)
            case If():
                return self._if(step, more=more)
            case Set(id=name, values=values):
                return [f"Keeps under the name {name}: {self._pairs(values)}."]
            case Stop(reason=reason):
                return [f"Ends the run: {_ended(reason)}"]
            case Wait():
                return [self._wait(step)]
            case Approve():
                return self._approve(step)
            case Parallel():
                return self._parallel(step, more=more)
            case ForEach():
                return self._for_each(step, more=more)

    def _parallel(self, step: Parallel, *, more: bool) -> list[str]:
        lines = ["Does these side by side, and goes on when all are at their end:"]
        for number, branch in enumerate(step.branches, start=1):
            lines += [f"{_INNER}Branch {number}:", *self.steps(branch, _INNER * 2, more=more)]
        return [*lines, _BRANCH_FAILED[step.goes_on]]

    def _for_each(self, step: ForEach, *, more: bool) -> list[str]:
        at_once = "one after another" if step.concurrency == 1 else f"{step.concurrency} at a time"
        items = self._wording.value(step.items)
        first = f"For each {step.name} of {items}, {at_once}, at most {names.count(step.most, 'item')}:"
        return [first, *self.steps(step.steps, _INNER, more=more), _ITEM_FAILED[step.goes_on]]

    def _do(self, step: Do, *, more: bool) -> list[str]:
        said, blocks = {}, []
        chosen = chosen_of(step)
        for name, value in step.params.items():
            if isinstance(value, Worded) or (chosen is not None and name == "template"):
                continue
            if isinstance(value, Rendered) and "\n" in value.template.source.strip():
                blocks += self._text(name, value.template.source)
            elif name in {"data", "settings"}:
                said.update(self._each(value))
            else:
                said[name] = self.value(value)
        if chosen is not None and "subject" in step.params:
            said["subject"] = "of its message"
        sentence = verbs.sentence(step.verb, said)
        lines = [f"{sentence}:" if blocks else _ended(sentence), *blocks]
        if chosen is not None:
            lines += self._message(chosen, step)
        if step.verb.answers:
            fits = requests.expected(step)
            lines = [requests.said(step, self.value), *([fits] if fits is not None else [])]
        if (warning := verbs.warning(step.verb, taken_back=step.undo is not None)) is not None:
            lines.append(warning)
        lines += self._conditions(step)
        if (refused := _refused(step, more=more)) is not None:
            lines.append(refused)
        if step.undo is not None:
            taken = {name: self.value(value) for name, value in step.undo.params.items()}
            lines.append(f"If the run fails later, it {verbs.taken_back(step.undo.verb, taken)}.")
        return lines

    def _message(self, chosen: Chosen, step: Do) -> list[str]:
        """Return what a message by name says, in its default language, and in which others there is one."""
        lines: list[str] = []
        if len(chosen.messages) > 1:
            lines.append(f"Which message it is: {self.value(chosen.name)}.")
        self._given = {name: self.value(value) for name, value in chosen.values.items()}
        for name, message in sorted(chosen.messages.items()):
            default, *others = message.languages
            spoken = f", or in {_or(others)} for clients who speak it" if others else ""
            lines.append(f"The message is {name}, version {message.version}, in {default}{spoken}:")
            words = message.wording(default)
            for value in step.params.values():
                part = words.part(value.parts) if isinstance(value, Worded) else None
                if isinstance(value, Worded) and part is not None:
                    lines += self._text(value.says, words.parts[part].source)
        self._given = {}
        return lines

    def _conditions(self, step: Do) -> list[str]:
        told: list[str] = []
        if step.guard is not None:
            told.append(f"Only if, on a fresh look, {self._wording.condition(step.guard)}.")
        if step.verify is not None:
            told.append(f"Afterwards it looks whether {self._wording.condition(step.verify)}.")
        if step.timeout is not None:
            late = " It may happen yet, and is not asked for again." if step.verb.is_manager else ""
            told.append(f"Waits for what comes of it for at most {names.span(step.timeout)}.{late}")
        return told

    def _if(self, step: If, *, more: bool) -> list[str]:
        """Return a condition and what is done otherwise; a chain of them stays on one level, as `choose` has it."""
        if isinstance(step.condition.tree, Literal) and step.condition.tree.value is True:
            return ["Always:", *self.steps(step.then, _INNER, more=more)]
        lines = [f"If {self._wording.condition(step.condition)}:", *self.steps(step.then, _INNER, more=more)]
        match step.otherwise:
            case ():
                pass
            case (If() as another,):
                first, *others = self._if(another, more=more)
                lines += [f"Otherwise, {first[0].lower()}{first[1:]}", *others]
            case otherwise:
                lines += ["Otherwise:", *self.steps(otherwise, _INNER, more=more)]
        return lines

    def _wait(self, step: Wait) -> str:
        if step.span is not None:
            return f"Waits for {names.span(step.span)}."
        if step.until is not None:
            return f"Waits until {self._wording.value(step.until)}."
        limit = f", for at most {names.span(step.timeout)}" if step.timeout is not None else ""
        after = _AFTER[step.on_timeout]
        if step.condition is not None:
            return f"Waits until this holds: {self._wording.condition(step.condition)}{limit}. {after}"
        if step.event is None:
            return "Waits for the end of the quiet hours."
        where = ""
        if step.where is not None:
            where = f" where {self._wording.of_the_event().condition(step.where)}"
        since = (
            "One that came since what started the run happened counts"
            if step.from_trigger
            else "One that came since the run began counts"
            if step.from_start
            else "Only one that comes from now on counts"
        )
        return f"Waits for {names.one(step.event)}{where}{limit}. {since}. {after}"

    def _approve(self, step: Approve) -> list[str]:
        people = "a person" if step.quorum == 1 else f"{step.quorum} different people"
        barred = " or ".join(self.value(name) for name in step.not_by)
        but = f", but not by {barred}" if barred else ""
        seen = f", and {_listed([_SHOWN.get(name, name) for name in step.show])}" if step.show else ""
        lines = [
            f"Waits to be approved by {people} with the permission {step.permission}{but}.",
            f"They see what would be done from here on{seen}.",
        ]
        if step.text is not None:
            lines.append(f"They are asked: {self.value(step.text)}")
        silence = "it counts as rejected" if step.on_timeout == "reject" else "the run fails"
        lines.append(
            f"One who declines is enough. If it is not decided within {names.span(step.within)}, {silence}. "
            "What was approved is what is done, with the values of that moment."
        )
        return lines

    def value(self, value: Value) -> str:
        match value:
            case Literally(value=literal):
                return names.plain(literal)
            case Computed(expression=expression):
                return self._wording.value(expression)
            case Rendered(template=template):
                return f"“{self._filled(template.source.strip())}”"
            case Worded(chosen=chosen, says=says):
                return f"the {says.replace('_', ' ')} of the message {self.value(chosen.name)}"
            case Nested(parts=parts) if isinstance(parts, Mapping):
                return "{" + self._pairs(parts) + "}"
            case Nested(parts=parts):
                return "[" + ", ".join(self.value(part) for part in parts if not isinstance(part, str)) + "]"

    def _pairs(self, values: Mapping[str, Value]) -> str:
        return ", ".join(f"{name} = {self.value(value)}" for name, value in values.items())

    def _each(self, value: Value) -> dict[str, str]:
        """Return what an event carries, name by name."""
        match value:
            case Nested(parts=parts) if isinstance(parts, Mapping):
                return {name: self.value(part) for name, part in parts.items()}
            case Literally(value=Mapping() as given):
                return {name: names.plain(item) for name, item in given.items()}
            case _:
                return {"data": self.value(value)}

    def _text(self, name: str, source: str) -> list[str]:
        lines = self._filled(source.strip()).split("\n")
        shown = lines[:MAX_LINES_OF_TEXT]
        if len(lines) > len(shown):
            shown.append(f"… and {names.count(len(lines) - len(shown), 'line')} more")
        return [*([] if name == "text" else [f"{name}:"]), *(f"| {line}".rstrip() for line in shown)]

    def _filled(self, source: str) -> str:
        """Return text for people with its gaps in words; what is more than a value stays as it is written."""
        return _GAP.sub(self._gap, source)

    def _gap(self, gap: re.Match[str]) -> str:
        fallback = _FALLBACK.search(gap[2])
        instead = (fallback[1] or fallback[2]) if fallback is not None else None
        said = self._given.get(gap[1]) or self._wording.path(gap[1])
        return f"[{said}, or “{instead}”]" if instead else f"[{said}]"


def _refused(step: Do, *, more: bool) -> str | None:
    """Return what becomes of the run where the step does not come about."""
    told: list[str] = []
    if (retry := step.retry) is not None:
        longer = f", each pause {names.plain(retry.factor)} times the one before" if retry.factor != 1 else ""
        longest = f", none longer than {names.span(retry.up_to)}" if retry.up_to is not None else ""
        told.append(
            f"If {_who(step)} it is asked for again, {names.times(retry.max)} at most, "
            f"for the first time after {names.span(retry.delay)}{longer}{longest}."
        )
    if step.goes_on:
        told.append("If it does not come about, the run goes on.")
    elif step.verb.answers and more:
        told.append("If no such answer comes, the run fails here.")
    elif step.verb.is_manager and more:
        told.append("If it is refused for good, the run fails here." if told else REFUSED)
    return " ".join(told) or None


def chosen_of(step: Do) -> Chosen | None:
    """Return the message a step names, if it names one."""
    return next((value.chosen for value in step.params.values() if isinstance(value, Worded)), None)


def _or(words: Sequence[str]) -> str:
    *others, last = words
    return f"{', '.join(others)} or {last}" if others else last


def _listed(words: Sequence[str]) -> str:
    *others, last = words
    return f"{', '.join(others)} and {last}" if others else last


def _who(step: Do) -> str:
    if not step.verb.answers:
        return "the broker refuses it,"
    return (
        "no answer comes, or one that says it failed,"
        if step.may_repeat
        else "the other system takes no requests for now,"
    )


def _ended(reason: str) -> str:
    return reason if reason.endswith((".", "!", "?", ".”", "!”", "?”")) else f"{reason}."
