"""Why an item was refused, in words a sender can act on: the field, the reason, and where there is one, the fix."""

import difflib
from collections.abc import Iterable, Sequence

import msgspec
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

MAX_ERRORS = 10
_SHOWN = 80
# What a field of a person's record looks like: nobody in marketing reads a pattern.
_WRITTEN = {
    "email": 'an address such as "ann@example.com"',
    "phone": 'a number such as "+357 22 123456"',
    "language": 'a language such as "en" or "pt-BR"',
    "country": 'two capital letters, such as "CY"',
    "currency": 'three to eight capitals, such as "USD"',
    "tags": "a tag: up to 64 letters, digits and _ . : - after a first letter or digit",
    "attributes": "a name of an attribute: up to 64 small letters, digits and _ after a first letter",
    "server": 'a server such as "live-1": up to 64 letters, digits and . _ - after a first letter or digit',
}


class FieldError(msgspec.Struct, frozen=True, omit_defaults=True):
    field: str
    reason: str
    fix: str = ""


class _Problem(msgspec.Struct, frozen=True):
    title: str = ""
    detail: str = ""


def nearest(word: str, known: Iterable[str]) -> str:
    """Return ``did you mean …?`` for the nearest known spelling, or nothing."""
    found = difflib.get_close_matches(word[:128], known, n=1, cutoff=0.6)
    return f"did you mean {found[0]}?" if found else ""


def shown(value: object) -> str:
    """Return a value from outside, short and on one line."""
    text = str(value)
    text = "".join(character if character.isprintable() else "?" for character in text[: _SHOWN + 1])
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"


def field_errors(error: ValidationError, model: type[BaseModel], *, inside: str = "") -> list[FieldError]:
    """Return what a model refused; `inside` is the field the model stands in."""
    found: list[FieldError] = []
    seen: set[str] = set()
    for detail in error.errors(include_url=False, include_input=False):
        place = [str(part) for part in detail["loc"] if not _is_internal(part)]
        path = ".".join(([inside] if inside else []) + place) or "body"
        if path in seen:  # one field, several members of a union: the first says enough
            continue
        if detail["type"] == "too_short" and any(each.startswith(f"{path}.") for each in seen):
            continue  # items that were refused are no longer counted: each has its own line
        seen.add(path)
        fix = ""
        if detail["type"] == "extra_forbidden" and len(place) == 1:
            fix = nearest(place[-1], model.model_fields)
        found.append(FieldError(shown(path), _reason(detail, place), fix))
        if len(found) == MAX_ERRORS:
            break
    return found


def _reason(detail: ErrorDetails, place: Sequence[str]) -> str:
    """Return what is wrong in the words of JSON, which is what the sender wrote."""
    context = detail.get("ctx", {})
    match detail["type"]:
        case "string_pattern_mismatch" if named := [_WRITTEN[part] for part in place if part in _WRITTEN]:
            return f"not {named[-1]}"
        case "extra_forbidden":
            return "unknown field"
        case "missing":
            return "missing"
        case "value_error":
            return detail["msg"].removeprefix("Value error, ")
        case "tuple_type" | "list_type":
            return "must be a list"
        case "dict_type" | "model_type" | "model_attributes_type":
            return "must be an object"
        case "too_short":
            return f"holds {context['actual_length']}, and at least {context['min_length']} must be there"
        case "too_long":
            return f"holds more than {context['max_length']}"
        case _:
            return detail["msg"]


def said_of_problem(text: bytes) -> str:
    """Return what an answer with a problem says, for a person: its detail, or the beginning of whatever came."""
    try:
        problem = msgspec.json.decode(text, type=_Problem)
    except msgspec.DecodeError:
        return shown(text[:300].decode(errors="replace"))
    return problem.detail or problem.title


def _is_internal(part: int | str) -> bool:
    """Return whether a part of pydantic's path names a branch of a union and no field."""
    return isinstance(part, str) and (
        part in {"text", "number", "bool", "int", "str"}
        or part.startswith(("function-", "tagged-union", "constrained-"))
    )
