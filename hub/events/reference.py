"""Renders the page about the catalogue of events in Markdown, from the models that check them."""

import json
import types
from collections.abc import Callable, Iterator
from datetime import date, datetime
from decimal import Decimal
from itertools import groupby
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from hub.events.base import Data
from hub.events.catalogue import BY_NAME, CUSTOM, EventType, Kind
from hub.events.decimals import DecimalText
from hub.events.examples import example_data

Tell = Callable[[EventType], bool]

_NUMBERS = {
    Kind.DEAL: "the number of the deal",
    Kind.TICKET: "MT4's ticket",
    Kind.MONEY: "the ticket",
    Kind.ORDER: "the number of the order",
}
_SPOKEN = {
    str: "text",
    int: "whole number",
    bool: "true or false",
    datetime: "time",
    date: "date",
}
_HEAD = """# Events

An event is one fact about one account, client, or part of the hub. This page lists every type with the fields of its `data`.
It is generated from the models that check events when they come in. `hub schema event` prints the same as JSON Schema, and
[/asyncapi.json](/asyncapi.json), or `hub schema asyncapi`, is what the hub delivers as an AsyncAPI 3.0 document.

- Money, lots and prices are decimals, written as text: `"1.50"`. Money is in the currency of the account, unless its name ends in
  `_base`.
- A percentage is a percent number: `"5"` is five percent.
- Times are UTC: `2026-06-23T09:00:00.123Z`. Deals, tickets, orders and logins are whole numbers.
- A field that is not there is not known. The hub never guesses one.
- **bold** fields are always there. Examples show `data` alone.
- Fields may be added to a type. They are never renamed or removed under its version, which is 1 unless it says otherwise. A type on its
  way out says since when, what to use instead, and until when it is told.

Types marked *told by the hub alone* cannot be posted. All others can, with [POST /v1/events](/docs/posting-events); some of them no
connector tells yet ([what connectors tell](/docs/connectors)).
"""


def render_events(*, told_by_the_hub: Tell, needs_account: Tell) -> str:
    """Return the page; who may post a type, and whether with an account, is the receiver's business to say."""
    parts = [_HEAD]
    for family, kinds in groupby(BY_NAME.values(), key=lambda kind: kind.name.partition(".")[0]):
        parts.append(f"## {family}\n")
        described: dict[type[Data], str] = {}
        parts += [_type(kind, described, told_by_the_hub(kind), needs_account(kind)) for kind in kinds]
    parts += [f"## {CUSTOM.name.partition('.')[0]}\n", _custom()]
    return "\n".join(parts)


def _type(kind: EventType, described: dict[type[Data], str], told_by_the_hub: bool, account: bool) -> str:
    notes = [kind.about]
    if told_by_the_hub:
        notes.append("*Told by the hub alone.*")
    elif not account:
        notes.append("An account may be named and need not be.")
    if kind.numbers:
        words = " or else ".join(f"`{field}` ({_NUMBERS[number]})" for field, number in kind.numbers)
        notes.append(f"Known by {words}.")
    if kind.schema > 1:
        notes.append(f"Version {kind.schema} of its `data`.")
    if kind.deprecated is not None:
        notes.append(f"**{kind.deprecated.in_words}**")
    first = described.setdefault(kind.model, kind.name)
    fields = _fields(kind.model) if first == kind.name else f"Fields as `{first}`.\n"
    return f"### {kind.name}\n\n{' '.join(notes)}\n\n{fields}\n{_example(kind)}"


def _example(kind: EventType) -> str:
    return f"Example: `{json.dumps(example_data(kind), ensure_ascii=False)}`\n"


def _custom() -> str:
    return (
        f"### {CUSTOM.name}\n\n{CUSTOM.about} Write `custom.` and a name of letters, digits and `_`, such as "
        "`custom.client_promoted`. Its `data` is any JSON object, or what [a file declares](/docs/declared-events).\n\n{_example(CUSTOM)}"
    )


def _fields(model: type[Data]) -> str:
    rows = [
        f"| {f'**`{name}`**' if field.is_required() else f'`{name}`'} | {_spoken(_annotation(field))} |"
        for name, field in model.model_fields.items()
    ]
    about = " ".join((model.__doc__ or "").split()) if model.__doc__ is not Data.__doc__ else ""
    table = "\n".join(["| field | holds |", "|---|---|", *rows])
    return f"{about}\n\n{table}\n" if about else f"{table}\n"


def _annotation(field: FieldInfo) -> Any:
    return Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation


def _spoken(annotation: Any) -> str:
    """Return in words what a field holds."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        base, *rules = arguments
        if base is Decimal:
            return _decimal(rules)
        return _spoken(base)
    if origin in {Union, types.UnionType}:
        members = [member for member in arguments if member is not type(None)]
        return _spoken(members[0]) if len(members) == 1 else "text, number, true or false"
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in arguments)
    if origin is dict:
        return _record(arguments[1])
    return _SPOKEN.get(annotation, "any JSON value")


def _record(value: Any) -> str:
    if isinstance(value, type) and value.__name__ == "Change":
        return 'what changed, by field: `{"leverage": {"before": 100, "after": 200}}`'
    return "an object"


def _decimal(rules: list[Any]) -> str:
    if any(getattr(rule, "gt", None) == 0 for rule in _flat(rules)):
        return "decimal above 0"
    signed = any(isinstance(rule, DecimalText) and rule.pattern.startswith("^-?") for rule in rules)
    return "decimal" if signed else "decimal, not negative"


def _flat(rules: list[Any]) -> Iterator[Any]:
    for rule in rules:
        yield from rule.metadata if isinstance(rule, FieldInfo) else (rule,)
