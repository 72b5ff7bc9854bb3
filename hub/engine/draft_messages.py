"""A step that names a message: it has to be there, to say what the verb needs, and to read only what the step gives it."""

import re
from collections.abc import Iterator, Mapping
from typing import Final

from typing_extensions import TypeIs

from hub.engine.draft import Draft
from hub.engine.message_files import Messages
from hub.engine.messages import KNOWN_ROOTS, LANGUAGE, NEEDS, SAYS, Message, Wording
from hub.engine.nodes import Location
from hub.engine.problems import did_you_mean, quoted
from hub.engine.program_steps import Chosen, Computed, Literally, Value, Worded
from hub.errors import ExpressionError
from hub.expr import Kind, Scope, Type, compile_expression
from hub.expr.check import check
from hub.expr.parse import parse
from hub.expr.tokens import WORDS
from hub.expr.tree import Choice, Literal, Node
from hub.intents.verbs import Verb

# Parameters that belong to a message by name; the last is the hub's own to say.
VARS: Final = "vars"
VERSION: Final = "template_version"
OWN: Final = frozenset({"template", VARS, "language", VERSION})
_PLAIN_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")
_ANY: Final = Type(Kind.ANY, optional=True)


class MessageDrafter:
    """Makes the parameters of one step that names a message."""

    def __init__(self, draft: Draft, messages: Messages, step: Location, verb: Verb, scope: Scope) -> None:
        self._draft = draft
        self._messages = messages
        self._with: Location = (*step, "with")
        self._verb = verb
        self._scope = scope

    def is_sound_without(self, given: Mapping[str, object]) -> bool:
        """Say of a step that names no message what only belongs to one."""
        strays = [name for name in ("vars", "language", VERSION) if name in given]
        for name in strays:
            self._draft.key_error(
                (*self._with, name), f"{quoted(name)} belongs to a message: name one with `template`"
            )
        return not strays

    def can_be_named(self, names: object) -> TypeIs[dict[str, object]]:
        """Say which vars have no name a text could read them by."""
        if not isinstance(names, dict):
            self._draft.error((*self._with, VARS), "values by name are needed, such as {loss: = loss_7d}")
            return False
        unfit = [name for name in names if not _PLAIN_NAME.fullmatch(name) or name in {*WORDS, *KNOWN_ROOTS}]
        for name in unfit:
            self._draft.key_error(
                (*self._with, VARS, name),
                f"{quoted(name)} cannot be the name of a value: a small letter, then letters, digits and `_`, "
                f"and no word of the language, nor {' or '.join(KNOWN_ROOTS)}",
            )
        return not unfit

    def params(
        self, given: Mapping[str, object], values: Mapping[str, Value] | None
    ) -> dict[str, Value] | None:
        """Return the parameters; `values` are the vars, None where something is wrong with them."""
        says = SAYS[self._verb.name]
        sound = self._nothing_twice(given, says)
        name = self._name(given["template"])
        found = [self._found(each) for each in self._names(name)] if name is not None else []
        messages = {each.name: each for each in found if each is not None}
        if name is None or not found or len(messages) < len(found):
            return None
        language = self._language(given)
        if values is None or ("language" in given and language is None):
            return None
        roots = {each: self._scope.roots[each] for each in KNOWN_ROOTS if each in self._scope.roots}
        known = Scope(
            {**roots, **{each: _type_of(value) for each, value in values.items()}},
            hint_for_sampled="give it as one of the `vars`: trigger.value, where a crossing brings it",
        )
        read = set[str]()
        for message in messages.values():
            sound = self._fits(message, known, values, read) and sound
        if not sound:
            return None
        for each in sorted(values.keys() - read):
            self._draft.problems.warn(
                self._draft.document.key_place((*self._with, VARS, each)),
                f"nothing in {', '.join(sorted(messages))} reads {quoted(each)}",
            )
        self._draft.messages.update(messages)
        chosen = Chosen(name, language, values, messages)
        return {
            "template": name,
            "language": Worded(chosen, "language", ()),
            VERSION: Worded(chosen, VERSION, ()),
            **{
                param: Worded(chosen, param, parts)
                for param, parts in says.items()
                if any(
                    each.part(parts) for message in messages.values() for each in message.wordings.values()
                )
            },
        }

    def _nothing_twice(self, given: Mapping[str, object], says: Mapping[str, object]) -> bool:
        twice = [name for name in given if name in says or name == VERSION]
        for name in twice:
            whose = "is for the hub to say" if name == VERSION else "is what the message says"
            self._draft.key_error((*self._with, name), f"{quoted(name)} {whose}: remove it")
        return not twice

    def _name(self, raw: object) -> Value | None:
        at: Location = (*self._with, "template")
        if isinstance(raw, str) and raw.startswith("= "):
            found = self._draft.expression(at, self._scope, Kind.STRING, computed=True)
            return Computed(found) if found is not None else None
        if isinstance(raw, str):
            return Literally(raw)
        self._draft.error(at, "the name of a message is needed, such as `template: loss-coaching`")
        return None

    def _names(self, name: Value) -> list[str]:
        """Return every name it may come to: they are written out, so that nothing unknown is asked for later."""
        if isinstance(name, Literally):
            return [str(name.value)]
        assert isinstance(name, Computed)
        found = list(_ends(name.expression.tree))
        if any(each is None for each in found):
            self._draft.error(
                (*self._with, "template"),
                'names of messages are written out: `= "one" if ... else "another"` chooses between them',
            )
            return []
        return sorted({each for each in found if each is not None})

    def _found(self, name: str) -> Message | None:
        message = self._messages.sound.get(name)
        if message is not None:
            return message
        at: Location = (*self._with, "template")
        broken = self._messages.broken.get(name)
        if broken is not None:
            self._draft.error(at, f"the message {quoted(name)} cannot be used: {broken}")
        else:
            near = did_you_mean(name, self._messages.names)
            none = "" if self._messages.names else ": there is no `templates` folder beside the workflows"
            self._draft.error(at, f"there is no message {quoted(name)}{near or none}")
        return None

    def _language(self, given: Mapping[str, object]) -> Value | None:
        raw = given.get("language")
        if raw is None:
            if "client" not in self._scope.roots:
                return None
            self._draft.reads.add(LANGUAGE)
            return Computed(compile_expression(LANGUAGE, self._scope))
        if isinstance(raw, str) and raw.startswith("= "):
            found = self._draft.expression((*self._with, "language"), self._scope, Kind.STRING, computed=True)
            return Computed(found) if found is not None else None
        if isinstance(raw, str):
            return Literally(raw)
        self._draft.error((*self._with, "language"), "a language is needed, such as de, or an expression")
        return None

    def _fits(self, message: Message, known: Scope, values: Mapping[str, Value], read: set[str]) -> bool:
        told = set[str]()
        for wording in message.wordings.values():
            for problem in self._misfits(message, wording, known, values, read):
                told.add(problem)
        for problem in sorted(told):
            at: Location = (*self._with, "template")
            self._draft.error(at, problem)
        return not told

    def _misfits(
        self, message: Message, wording: Wording, known: Scope, values: Mapping[str, Value], read: set[str]
    ) -> Iterator[str]:
        for row in NEEDS[self._verb.name]:
            if wording.part(row) is None:
                lacks = " nor ".join(f"`{each}`" for each in row)
                yield f"{quoted(message.name)} has no {lacks} in {wording.language}, which {self._verb.name} needs"
        for parts in SAYS[self._verb.name].values():
            part = wording.part(parts)
            for path, place in wording.reads[part] if part is not None else ():
                root = path.partition(".")[0]
                read.add(root)
                if root not in known.roots:
                    near = did_you_mean(root, values) or f": give it under `{VARS}`"
                    yield f"{quoted(message.name)} reads {quoted(root)} ({place}), and this step gives it no such value{near}"
                    continue
                try:
                    found = check(parse(path), known, None)
                except ExpressionError as error:
                    yield f"{quoted(message.name)} cannot read {quoted(path)} ({place}): {error.message}"
                    continue
                if found.type.kind is Kind.OBJECT:
                    yield f"{quoted(message.name)} reads {quoted(path)} ({place}), a record: name one of its fields"
                if root in KNOWN_ROOTS:
                    self._draft.reads.add(path)


def _ends(tree: Node) -> Iterator[str | None]:
    match tree:
        case Choice(then=then, otherwise=otherwise):
            yield from _ends(then)
            yield from _ends(otherwise)
        case Literal(value=str() as name):
            yield name
        case _:
            yield None


def _type_of(value: Value) -> Type:
    return value.expression.type if isinstance(value, Computed) else _ANY
