"""Validation errors in the words of a person who writes workflow files: the place, the reason, the fix."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from hub.engine.model import NAMED, TAGGED, ParamFile, WorkflowFile
from hub.engine.model_aggregates import AggregateFile
from hub.engine.model_anchors import AnchorFile
from hub.engine.model_part import Part
from hub.engine.model_triggers import TRIGGER_KEYS
from hub.engine.nodes import Document, Mapping
from hub.engine.problems import Problems, did_you_mean, quoted

LATER: Final = "is part of the format but not of this version yet"
_DISCRIMINATING: Final = {
    "when": ("a trigger", TRIGGER_KEYS),
    "steps": (
        "a step",
        ("do", "if", "choose", "parallel", "for_each", "wait", "approve", "set", "stop"),
    ),
    "window": ("a window", ("calendar", "sliding", "tumbling", "since")),
}
_TRIGGER_TAGS: Final = frozenset(f"({key})" for key in TRIGGER_KEYS)


def complain(
    document: Document, error: ValidationError, problems: Problems, whole: type[Part] = WorkflowFile
) -> None:
    """Say what is wrong with a file; `whole` is what the file should be."""
    for detail in error.errors(include_url=False):
        _one(document, detail, problems, whole)


def _one(document: Document, detail: ErrorDetails, problems: Problems, whole: type[Part]) -> None:
    location = _without_tags(detail["loc"])
    kind = detail["type"]
    if kind == "extra_forbidden":
        key = str(location[-1])
        problems.error(document.key_place(location), _unknown_key(key, detail["loc"], whole))
    elif kind == "missing":
        problems.error(document.place(location), f"`{detail['loc'][-1]}` is missing{_needed(detail, whole)}")
    elif kind in {"union_tag_not_found", "union_tag_invalid"}:
        _no_discriminator(document, location, problems)
    elif location and location[-1] == "[key]":
        problems.error(document.key_place(location[:-1]), _name_form(str(location[-2])))
    else:
        problems.error(document.place(_pointed_at(location, kind)), sentence(detail, _label(location)))


def _pointed_at(location: tuple[str | int, ...], kind: str) -> tuple[str | int, ...]:
    inner = {"hub.default": "default", "hub.currency": "currency"}.get(kind)
    return (*location, inner) if inner else location


def _without_tags(location: Iterable[str | int]) -> tuple[str | int, ...]:
    # Tags say which of several models was tried; a file does not contain them.
    return tuple(part for part in location if part not in TAGGED)


def _label(location: tuple[str | int, ...]) -> str:
    words = [part for part in location if isinstance(part, str) and part != "[key]"]
    return quoted(words[-1]) if words else "the file"


def model_at(location: tuple[str | int, ...], whole: type[Part] = WorkflowFile) -> type[Part]:
    """Return the model of the mapping that holds the last part of the location."""
    parents = location[:-1]
    if not parents:
        return whole
    if parents[0] in whole.inner:
        return whole.inner[str(parents[0])]
    if parents[:1] == ("params",):
        return ParamFile
    if parents[:1] == ("anchors",) and len(parents) > 1:
        return AnchorFile
    named = parents[2:] if parents[:1] == ("aggregates",) else parents
    for part in reversed(named):
        if isinstance(part, str) and (found := TAGGED.get(part) or NAMED.get(part)):
            return found
    return AggregateFile if parents[:1] == ("aggregates",) else WorkflowFile


def keys_of(model: type[Part]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]


def _unknown_key(key: str, location: tuple[str | int, ...], whole: type[Part]) -> str:
    model = model_at(location, whole)
    known = keys_of(model)
    if key in model.later:
        return f"`{key}` {LATER}"
    rivals = {tag.strip("()") for tag in _TRIGGER_TAGS}
    if key in rivals and any(part in _TRIGGER_TAGS for part in location):
        return f"a trigger is one of {', '.join(TRIGGER_KEYS[:-1])} and {TRIGGER_KEYS[-1]}: move `{key}` into a trigger of its own"
    near = did_you_mean(key, [*known, *model.later])
    return f"unknown key {quoted(key)}{near or '; known are ' + ', '.join(known)}"


def _no_discriminator(document: Document, location: tuple[str | int, ...], problems: Problems) -> None:
    list_key = next((part for part in reversed(location) if part in _DISCRIMINATING), None)
    if list_key is None:
        list_key = "steps"  # the lists under then and else hold steps as well
    what, keys = _DISCRIMINATING[str(list_key)]
    node = document.node(location)
    if not isinstance(node, Mapping):
        if list_key == "window":
            message = _WINDOWS
        else:
            message = f"{what} is a mapping with one of the keys {', '.join(keys)}"
        problems.error(document.place(location), message)
        return
    later = {key for key in node.items if any(key in model.later for model in _models(keys))}
    for key in sorted(later):
        problems.error(node.keys[key], f"`{key}` {LATER}")
    if later:
        return
    near = next((hint for key in node.items if (hint := did_you_mean(key, keys))), "")
    problems.error(node.place, f"{what} needs one of the keys {', '.join(keys)}{near}")


def _models(keys: tuple[str, ...]) -> list[type[Part]]:
    return [TAGGED[f"({key})"] for key in keys]


def _needed(detail: ErrorDetails, whole: type[Part]) -> str:
    model = model_at(detail["loc"], whole)
    name = detail["loc"][-1]
    field = next((f for key, f in model.model_fields.items() if (f.alias or key) == name), None)
    return f": {field.description}" if field is not None and field.description else ""


def _name_form(name: str) -> str:
    return f"{quoted(name)} is not a name: write small letters, digits and _, beginning with a letter"


def sentence(detail: ErrorDetails, label: str) -> str:
    """Return what is wrong with one value."""
    given, context = shown(detail["input"]), detail.get("ctx", {})
    match detail["type"]:
        case kind if kind.startswith("hub"):
            return detail["msg"]
        case "literal_error":
            expected = str(context.get("expected", ""))
            if label == "`window`":
                return _WINDOWS
            if str(detail["input"]) == expected:
                return f"{label} is the number {expected}: write it without quotes"
            near = did_you_mean(str(detail["input"]), [word.strip(" '") for word in _words(expected)])
            return f"{label} is {expected.replace(chr(39), '')}, not {given}{near}"
        case "string_type":
            return f"{label} is text, not {given}: put it between quotes"
        case "bool_type" | "bool_parsing":
            return f"{label} is true or false, not {given}"
        case "is_instance_of" if context.get("class") == "Decimal":
            return f"{label} is a plain number, not {given}"
        case "int_type" | "int_parsing" | "int_from_float" | "is_instance_of":
            return f"{label} is a whole number, not {given}"
        case "int_parsing_size":
            return f"{label} is a whole number, and not as large as {given}"
        case "model_type" | "model_attributes_type" | "dict_type":
            return f"{label} is a mapping, `key: value`, not {given}"
        case "list_type":
            return f"{label} is a list, not {given}: begin each item with `- `"
        case "too_short":
            return f"{label} is empty: it needs at least {context.get('min_length', 1)}"
        case "too_long" | "string_too_long":
            what = " characters" if detail["type"] == "string_too_long" else ""
            return f"{label} has at most {context.get('max_length')}{what}: shorten it"
        case "string_pattern_mismatch":
            return f"{label} cannot be {given}: {_form(str(context.get('pattern', '')))}"
        case "decimal_type" | "decimal_parsing" | "finite_number":
            return f"{label} is a plain number, not {given}"
        case kind if kind in _BOUNDS:
            word, bound = _BOUNDS[kind]
            return f"{label} is {word} {context[bound]}, not {given}"
        case _:
            message = detail["msg"].removeprefix("Input ")
            return f"{label}, {given}, {message}" if message.startswith("should") else f"{label}: {message}"


_WINDOWS: Final = (
    "a window is `{calendar: month, tz: Europe/Nicosia}`, `{sliding: 7d}`, `{tumbling: 1h}`, `{since: period_end}`, "
    "`{since: {event: ...}}`, `{since: {anchor: ...}}` or `lifetime`"
)
_BOUNDS: Final = {
    "greater_than": ("more than", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than": ("less than", "lt"),
    "less_than_equal": ("at most", "le"),
}
_FORMS: Final = {
    r"^[a-z0-9][a-z0-9-]{0,63}$": "write small letters, digits and -, at most 64",
    r"^[a-z][a-z0-9_-]{0,63}$": "write small letters, digits, - and _, beginning with a letter",
    r"^[a-z][a-z0-9_]{0,63}$": "write small letters, digits and _, beginning with a letter",
    r"^[A-Z0-9]{3,8}$": "write a currency code such as USD",
    r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+$": "write words with points between them, such as money.approve",
    r"^event\.[a-z][a-z0-9_]*$": "write a field of the event, such as event.deal",
    r"^([01][0-9]|2[0-3]):[0-5][0-9]$": 'write a time of day such as "17:00"',
    r"^custom(\.[a-z0-9][a-z0-9_]*)+$": "write custom.something, in small letters, digits and _",
    r"^[^\x00-\x1f\x7f]+$": "write one line, without control characters",
}


def _form(pattern: str) -> str:
    if pattern.startswith(r"^[^\x00-\x1f\x7f]"):
        return "write one line, without control characters"
    if "}@[" in pattern:
        return "write the blueprint and its version, such as daily-loss@2"
    if "@" in pattern:
        return "write an address such as name@example.com"
    if pattern.startswith(("^-?[0-9]", "^[0-9]")):
        sign = "" if pattern.startswith("^-?") else " without a sign"
        return f"write a plain number{sign}, with at most 16 digits before the point and 10 after it"
    return _FORMS.get(pattern, "it has another form")


def _words(expected: str) -> list[str]:
    return expected.replace(" or ", ", ").split(", ")


def shown(value: Any) -> str:
    """Return a value as a message names it: short, and never a whole mapping."""
    match value:
        case None:
            return "nothing"
        case bool():
            return "true" if value else "false"
        case int() | Decimal():
            return quoted(format(value, "f") if isinstance(value, Decimal) else str(value))
        case str():
            return quoted(value)
        case dict():
            return "a mapping"
        case list():
            return "a list"
        case _:
            return "this"


__all__ = ["LATER", "complain", "keys_of", "model_at", "sentence", "shown"]
