"""What a step publishes: a type it may tell, with the fields that type has."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from hub.engine.draft import Draft
from hub.engine.draft_declared import ask_whether_declared
from hub.engine.nodes import Location
from hub.engine.nodes import Mapping as Node
from hub.engine.problems import did_you_mean, quoted
from hub.engine.program_steps import Computed, Literally, Nested, Value
from hub.engine.scopes import unknown_event
from hub.events.catalogue import BY_NAME, is_custom
from hub.events.declared import Declared, DeclaredField
from hub.events.declared_types import SPOKEN, FieldType, Misfit
from hub.expr import Kind
from hub.expr.declared import TAKES

# What the platforms and the hub itself report cannot be claimed by a workflow: others act on it.
PUBLISHABLE: Final = ("custom.", "challenge.")
_LIKELY: Final = (FieldType.DECIMAL, FieldType.BOOLEAN, FieldType.MOMENT, FieldType.DURATION)


def told_by(draft: Draft, params: Mapping[str, Value]) -> Declared | None:
    """Return what is declared of the event a step publishes."""
    found = params["type"]
    return draft.scopes.declared.get(str(found.value)) if isinstance(found, Literally) else None


def may_publish(draft: Draft, at: Location, params: Mapping[str, Value]) -> None:
    location: Location = (*at, "with", "type")
    if not isinstance(params["type"], Literally):
        draft.error(location, "the type of a published event is written out, such as custom.client_promoted")
        return
    name = str(params["type"].value)
    if problem := unknown_event(name):
        draft.error(location, problem)
    elif name.startswith("custom.") and not is_custom(name):
        draft.error(location, f"{quoted(name)} is a pattern: write one type, such as custom.client_promoted")
    elif not name.startswith(PUBLISHABLE):
        draft.error(
            location,
            f"{quoted(name)} is reported by the platforms or the hub itself: publish a custom.* event",
        )
    elif name in BY_NAME:
        _fits_the_type(draft, at, name)
    elif (declared := draft.scopes.declared.get(name)) is not None:
        ask_whether_declared(draft, location, name)
        _fits_the_declaration(draft, at, declared, params.get("data"))
    else:
        parts = _parts(params.get("data")) or {}
        ask_whether_declared(draft, location, name, {field: _likely(part) for field, part in parts.items()})


def _fits_the_type(draft: Draft, at: Location, name: str) -> None:
    fields = BY_NAME[name].model.model_fields
    data = draft.document.node((*at, "with", "data"))
    for key in data.items if isinstance(data, Node) else ():
        if key not in fields:
            draft.key_error(
                (*at, "with", "data", key),
                f"{name} has no field {quoted(key)}{did_you_mean(key, fields) or _as_evidence(key, fields)}",
            )


def _as_evidence(key: str, fields: Mapping[str, object]) -> str:
    return f": say it as evidence, in `values: {{{key}: ...}}`" if "values" in fields else ""


def _fits_the_declaration(draft: Draft, at: Location, declared: Declared, data: Value | None) -> None:
    here: Location = (*at, "with", "data")
    parts = _parts(data)
    if parts is None:  # worked out as a whole: what is in it is known when the step runs
        return
    for name, part in parts.items():
        field = declared.fields.get(name)
        if field is None:
            draft.key_error(
                (*here, name), f"{declared.name} has no field {quoted(name)}: {declared.near(name)}"
            )
        elif (misfit := _misfit(field, part)) is not None:
            draft.error((*here, name), f"`{name}` of {declared.name} {misfit}")
    for name, field in declared.fields.items():
        if field.required and (name not in parts or parts[name] == Literally(None)):
            where = here if draft.document.node(here) is not None else (*at, "with", "type")
            draft.error(
                where, f"{declared.name} always has `{name}` ({SPOKEN[field.type]}): add it under `data`"
            )


def _parts(data: Value | None) -> Mapping[str, Value] | None:
    match data:
        case None:
            return {}
        case Literally(value=dict() as values):
            return {name: Literally(value) for name, value in values.items()}
        case Nested(parts=Mapping() as parts):
            return parts
        case _:
            return None


def _misfit(field: DeclaredField, part: Value) -> str | None:
    """Return why a value can never fit a field, None where it may."""
    match part:
        case Literally(value=None):
            return None
        case Literally(value=value):
            try:
                field.read(value)
            except Misfit as misfit:
                return misfit.reason
            return None
        case Computed(expression=expression):
            found = expression.type
            if found.kind is Kind.ANY or found.kind in TAKES[field.type]:
                return None
            return f"is {SPOKEN[field.type]}, and this is {found}"
        case Nested():
            return f"is {SPOKEN[field.type]}, and this is a mapping or a list"
        case _:
            return None


def _likely(part: Value) -> FieldType:
    """Return the type a field has, to judge by what is told of it."""
    match part:
        case Literally(value=bool()):
            return FieldType.BOOLEAN
        case Literally(value=int()):
            return FieldType.INTEGER
        case Literally(value=Decimal()):
            return FieldType.DECIMAL
        case Computed(expression=expression):
            return next((kind for kind in _LIKELY if expression.type.kind in TAKES[kind]), FieldType.STRING)
        case _:
            return FieldType.STRING
