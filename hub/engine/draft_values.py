"""What stands under `with:`: literals checked against the verb now, expressions and human text compiled."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated, Any, Final

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from hub.engine.complaints import sentence
from hub.engine.draft import Draft
from hub.engine.draft_messages import OWN, VARS, MessageDrafter
from hub.engine.messages import SAYS
from hub.engine.nodes import Location
from hub.engine.problems import did_you_mean, quoted
from hub.engine.program_steps import Computed, Literally, Nested, Rendered, Value
from hub.engine.scopes import type_from
from hub.expr import Kind, Scope
from hub.intents.verbs import HUMAN_TEXT, Verb
from hub.text import TextError

_NUMERIC: Final = frozenset({Kind.NUMBER, Kind.MONEY, Kind.PERCENT})
_UNCHECKED: Final = frozenset({Kind.ANY, Kind.OBJECT})


@lru_cache(maxsize=512)
def parameters(model: type[BaseModel]) -> dict[str, FieldInfo]:
    return {field.alias or name: field for name, field in model.model_fields.items()}


@lru_cache(maxsize=1024)
def _adapter(model: type[BaseModel], name: str) -> TypeAdapter[Any]:
    return TypeAdapter(_annotation(parameters(model)[name]))


@lru_cache(maxsize=1024)
def kind_of(model: type[BaseModel], name: str) -> Kind | None:
    """Return the kind a parameter's expression has to be of, or None where any will do."""
    found = type_from(_annotation(parameters(model)[name])).kind
    return None if found in _UNCHECKED else Kind.NUMBER if found in _NUMERIC else found


def _annotation(field: FieldInfo) -> Any:
    return Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation


def compile_params(
    draft: Draft, step: Location, verb: Verb, given: Mapping[str, object], scope: Scope
) -> dict[str, Value] | None:
    """Return the parameters of one step; everything wrong with them is noted."""
    known = parameters(verb.params)
    location: Location = (*step, "with")
    made: dict[str, Value] = {}
    sound = True
    if verb.name in SAYS:
        said = _said(draft, step, verb, given, scope)
        made, sound = said or {}, said is not None
        if not sound and "template" in given:
            return None
        given = {name: raw for name, raw in given.items() if name not in made and name not in OWN}
    for name, raw in given.items():
        at: Location = (*location, name)
        if name not in known:
            near = did_you_mean(name, known) or f"; it has {', '.join(known)}"
            draft.key_error(at, f"{verb.name} has no parameter {quoted(name)}{near}")
            sound = False
            continue
        value = _Values(draft, scope).value(
            at, raw, human=name in HUMAN_TEXT, expects=kind_of(verb.params, name)
        )
        if value is None or not _fits(draft, at, verb, name, value):
            sound = False
        else:
            made[name] = value
    for name, field in known.items():
        if field.is_required() and name not in given and name not in made:
            where = location if draft.document.node(location) is not None else (*step, "do")
            draft.error(where, f"{verb.name} needs `{name}`: add it under `with`")
            sound = False
    return made if sound else None


def _said(
    draft: Draft, step: Location, verb: Verb, given: Mapping[str, object], scope: Scope
) -> dict[str, Value] | None:
    """Return what a message by name says for the verb: nothing where none is named."""
    drafter = MessageDrafter(draft, draft.known_messages, step, verb, scope)
    if "template" not in given:
        return {} if drafter.is_sound_without(given) else None
    names = given.get(VARS, {})
    if not drafter.can_be_named(names):
        return drafter.params(given, None)
    return drafter.params(given, compile_values(draft, (*step, "with", VARS), names, scope))


def compile_values(
    draft: Draft, location: Location, given: Mapping[str, object], scope: Scope
) -> dict[str, Value] | None:
    """Return values of any kind, each by its name; everything wrong with them is noted."""
    compiler = _Values(draft, scope)
    made = {name: compiler.value((*location, name), raw) for name, raw in given.items()}
    found = {name: value for name, value in made.items() if value is not None}
    return found if len(found) == len(made) else None


def compile_value(
    draft: Draft, location: Location, given: object, scope: Scope, *, human: bool = False
) -> Value | None:
    """Return one value; everything wrong with it is noted."""
    return _Values(draft, scope).value(location, given, human=human)


def _fits(draft: Draft, at: Location, verb: Verb, name: str, value: Value) -> bool:
    try:
        _adapter(verb.params, name).validate_python(_known_part(value))
    except _NotYet:
        return True
    except ValidationError as error:
        for detail in error.errors(include_url=False)[:5]:
            _complain(draft, at, name, detail)
        return False
    except TextError as error:
        draft.error(at, error.message)
        return False
    return True


def _complain(draft: Draft, at: Location, name: str, detail: ErrorDetails) -> None:
    inner = tuple(
        part
        for part in detail["loc"]
        if isinstance(part, int) or draft.document.node((*at, part)) is not None
    )
    draft.error((*at, *inner), sentence(detail, f"`{name}`"))


class _NotYet(Exception):
    """The value is known only when the step runs; it is validated again then."""


def _known_part(value: Value) -> object:
    match value:
        case Literally(value=literal):
            return literal
        case Rendered(template=template) if not template.paths():
            return template.render({})
        case Nested(parts=parts) if isinstance(parts, Mapping):
            # The names can be checked already, and what stands there; where any JSON is allowed, nothing is too.
            return {name: _known_or_none(part) for name, part in parts.items()}
        case _:
            raise _NotYet


def _known_or_none(part: Value) -> object:
    match part:
        case Literally(value=literal):
            return literal
        case Nested(parts=Mapping()):
            return {}
        case _:
            return None


class _Values:
    def __init__(self, draft: Draft, scope: Scope) -> None:
        self._draft = draft
        self._scope = scope

    def value(
        self, at: Location, raw: object, *, human: bool = False, expects: Kind | None = None
    ) -> Value | None:
        match raw:
            case str() if raw.startswith("= "):
                expression = self._draft.expression(at, self._scope, expects, computed=True)
                return Computed(expression) if expression is not None else None
            case str() if human:
                template = self._draft.template(at, raw, self._scope)
                return (
                    Rendered(template, self._draft.written(template, self._scope))
                    if template is not None
                    else None
                )
            case str():
                return self._literal(at, raw)
            case dict():
                return self._mapping(at, raw)
            case list():
                return self._list(at, raw)
            case _:
                return Literally(raw)

    def _literal(self, at: Location, raw: str) -> Value | None:
        if raw.startswith("="):
            self._draft.error(
                at, f"{quoted(raw)} is neither text nor an expression: an expression begins with `= `"
            )
            return None
        if "{{" in raw or "{%" in raw:
            self._draft.error(
                at,
                "`{{ }}` is filled in only in "
                f"{', '.join(sorted(HUMAN_TEXT))}: write an expression, `= ...`, instead",
            )
            return None
        return Literally(raw)

    def _mapping(self, at: Location, raw: dict[str, object]) -> Value | None:
        parts: dict[str, Value] = {}
        sound = True
        for name, item in raw.items():
            value = self.value((*at, name), item)
            if value is None:
                sound = False
            else:
                parts[name] = value
        if not sound:
            return None
        return Literally(raw) if _all_literal(parts.values()) else Nested(parts)

    def _list(self, at: Location, raw: list[object]) -> Value | None:
        values = [self.value((*at, position), item) for position, item in enumerate(raw)]
        parts = tuple(value for value in values if value is not None)
        if len(parts) < len(values):
            return None
        return Literally(raw) if _all_literal(parts) else Nested(parts)


def _all_literal(parts: Any) -> bool:
    return all(isinstance(part, Literally) for part in parts)
