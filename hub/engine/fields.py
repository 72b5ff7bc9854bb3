"""The kinds of scalars in a workflow file: names, expressions, durations, and how each has to be written."""

from datetime import timedelta
from decimal import Decimal
from typing import Annotated

from pydantic import BeforeValidator, StringConstraints, WithJsonSchema
from pydantic_core import PydanticCustomError

from hub import durations
from hub.engine.key_text import key_problem
from hub.engine.keys import FIELD, KeyKind
from hub.events.catalogue import BY_NAME
from hub.intents.verbs import VERBS

_KEYS = tuple(kind.value for kind in KeyKind)


def _key(value: object) -> object:
    if problem := key_problem(value):
        raise PydanticCustomError("hub", "{reason}", {"reason": problem})
    return value


def _scalar(value: object) -> object:
    if not isinstance(value, str | int | Decimal):
        raise PydanticCustomError("hub", "the default of a parameter is a number, a text, true or false")
    return value


def as_text(value: str | bool | int | Decimal) -> str:
    """Return a scalar as a file spells it."""
    match value:
        case bool():
            return "true" if value else "false"
        case Decimal():
            return format(value, "f")
        case _:
            return str(value)


def _expression(value: object) -> str:
    match value:
        case str() if value.strip():
            return value
        case bool() | int() | Decimal():
            return as_text(value)
        case _:
            raise PydanticCustomError("hub", "an expression is needed here, such as `lots > 20`")


def read_duration(value: object) -> timedelta:
    try:
        return durations.duration(value if isinstance(value, str) else str(value))
    except ValueError as error:
        raise PydanticCustomError("hub", "{reason}", {"reason": str(error)}) from error


def _every(value: object) -> timedelta | None:
    return None if value == "forever" else read_duration(value)


Key = Annotated[
    str,
    BeforeValidator(_key),
    WithJsonSchema(
        {
            "anyOf": [
                {"enum": list(_KEYS)},
                {"type": "string", "pattern": f"^{FIELD.pattern}$"},
                # An expression; a lone word is none.
                {"type": "string", "pattern": "[^A-Za-z0-9_]"},
            ]
        }
    ),
]
Default = Annotated[
    str | bool | int | Decimal,
    BeforeValidator(_scalar),
    WithJsonSchema({"type": ["string", "number", "boolean"]}),
]
Expr = Annotated[
    str,
    BeforeValidator(_expression),
    WithJsonSchema({"type": ["string", "number", "boolean"], "minLength": 1}),
]
Duration = Annotated[
    timedelta, BeforeValidator(read_duration), WithJsonSchema({"type": "string", "pattern": durations.FORM})
]
Every = Annotated[
    timedelta | None,
    BeforeValidator(_every),
    WithJsonSchema({"anyOf": [{"const": "forever"}, {"type": "string", "pattern": durations.FORM}]}),
]
Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]
TriggerId = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,63}$")]
# Steps, parameters and aggregates are named in expressions, where a minus would subtract.
Identifier = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
Line = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]
EventName = Annotated[
    str,
    StringConstraints(min_length=1, max_length=128),
    WithJsonSchema(
        {"anyOf": [{"enum": sorted(BY_NAME)}, {"type": "string", "pattern": r"^custom\.|\.\*$|^\*$"}]}
    ),
]
Source = Annotated[
    str,
    StringConstraints(min_length=1, max_length=128),
    WithJsonSchema(
        {
            "anyOf": [
                {"enum": ["positions", "accounts", *sorted(BY_NAME)]},
                {"type": "string", "pattern": r"^custom\."},
            ]
        }
    ),
]
VerbName = Annotated[
    str,
    StringConstraints(min_length=1, max_length=128),
    WithJsonSchema({"enum": sorted(VERBS)}),
]
