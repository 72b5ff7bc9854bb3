"""Why an item was refused, in words a sender can act on: the field, the reason, and where there is one, the fix."""

import difflib
from collections.abc import Iterable

import msgspec
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

MAX_ERRORS = 10
_SHOWN = 80


class FieldError(msgspec.Struct, frozen=True, omit_defaults=True):
    field: str
    reason: str
    fix: str = ""


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
        found.append(FieldError(shown(path), _reason(detail), fix))
        if len(found) == MAX_ERRORS:
            break
    return found


def _reason(detail: ErrorDetails) -> str:
    """Return what is wrong in the words of JSON, which is what the sender wrote."""
    context = detail.get("ctx", {})
    match detail["type"]:
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


def _is_internal(part: int | str) -> bool:
    """Return whether a part of pydantic's path names a branch of a union and no field."""
    return isinstance(part, str) and (
        part in {"text", "number", "bool", "int", "str"}
        or part.startswith(("function-", "tagged-union", "constrained-"))
    )
