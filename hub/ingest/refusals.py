"""Why an item was refused, in words a sender can act on: the field, the reason, and where there is one, the fix."""

import difflib
from collections.abc import Iterable

import msgspec
from pydantic import BaseModel, ValidationError

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
    for detail in error.errors(include_url=False, include_context=False, include_input=False):
        place = [str(part) for part in detail["loc"] if not _is_internal(part)]
        path = ".".join(([inside] if inside else []) + place) or "body"
        if path in seen:  # one field, several members of a union: the first says enough
            continue
        seen.add(path)
        fix = ""
        reason = detail["msg"]
        if detail["type"] == "extra_forbidden":
            reason = "unknown field"
            fix = nearest(place[-1], model.model_fields) if len(place) == 1 and place else ""
        elif detail["type"] == "missing":
            reason = "missing"
        found.append(FieldError(shown(path), reason, fix))
        if len(found) == MAX_ERRORS:
            break
    return found


def _is_internal(part: int | str) -> bool:
    """Return whether a part of pydantic's path names a branch of a union and no field."""
    return isinstance(part, str) and (
        part in {"text", "number", "bool", "int", "str"}
        or part.startswith(("function-", "tagged-union", "constrained-"))
    )
