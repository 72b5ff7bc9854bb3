"""Aggregates over what stands at present, on their way from a file to a program: open positions, or accounts."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final, Literal

from hub.engine.draft import Draft
from hub.engine.draft_aggregates import Param, identity, name_problem
from hub.engine.keys import KeyKind
from hub.engine.model_aggregates import FUNCTIONS, AggregateFile
from hub.engine.nodes import Location
from hub.engine.program import Aggregate, Lifetime
from hub.engine.scopes import ANY
from hub.expr import Expression, Kind, Type

Over = Literal["positions", "accounts"]
_ADDED_UP: Final = ("sum", "count", "min", "max", "avg")
_NEEDS_NONE: Final = {
    "window": "a `from: {over}` has no window: it is what stands now",
    "retract": "a `from: {over}` has no `retract`: what is gone does not count",
}


def is_over_rows(file: AggregateFile) -> bool:
    return file.source in {"positions", "accounts"}


def aggregate(
    draft: Draft, name: str, file: AggregateFile, given: Mapping[str, Param]
) -> tuple[Aggregate | None, Type]:
    """Return the aggregate and its type; the type is known even where the aggregate is not sound."""
    location: Location = ("aggregates", name)
    over: Over = "positions" if file.source == "positions" else "accounts"
    if problem := name_problem(name):
        draft.key_error(location, problem)
        return None, ANY
    function = next(word for word in FUNCTIONS if getattr(file, word) is not None)
    if not _form_is_sound(draft, location, over, function, file):
        return None, ANY
    scope = draft.scopes.rows(over)
    value = None
    where, sound = draft.where((*location, "where"), file.where, scope)
    if function != "count":
        value = draft.expression((*location, function), scope, Kind.NUMBER)
        sound = value is not None and sound
    type_ = _type(value)
    if not sound:
        return None, type_
    if value is not None and _mixes_currencies(value, where):
        draft.warn(
            (*location, function),
            'accounts may have different currencies: add `account.currency == "USD"` to `where`',
        )
    made = Aggregate("", name, file.source, _function(function), value, where, Lifetime(), None, over=over)
    return replace(made, id=identity(made, given, draft.scopes.key)), type_


def _form_is_sound(draft: Draft, location: Location, over: Over, function: str, file: AggregateFile) -> bool:
    if function not in _ADDED_UP:
        draft.error(
            (*location, function), f"`from: {over}` knows {', '.join(_ADDED_UP)}: `{function}` is of events"
        )
        return False
    for key, sentence in _NEEDS_NONE.items():
        if getattr(file, key) is not None:
            draft.error((*location, key), sentence.format(over=over))
            return False
    kind = draft.scopes.key
    if kind is KeyKind.POSITION or not isinstance(kind, KeyKind):
        draft.error(
            (*location, "from"),
            f"`key: {draft.scopes.kept_by}` names no {over}: `from: {over}` is for account, client, group, symbol and all",
        )
        return False
    if over == "accounts" and kind in {KeyKind.ACCOUNT, KeyKind.SYMBOL}:
        why = "names one account" if kind is KeyKind.ACCOUNT else "has no accounts of its own"
        draft.error(
            (*location, "from"), f"`key: {kind}` {why}: `from: accounts` is for client, group and all"
        )
        return False
    return True


def _function(name: str) -> Literal["sum", "count", "min", "max", "avg"]:
    match name:
        case "sum" | "count" | "min" | "max" | "avg":
            return name
        case _:
            raise AssertionError(name)


def _type(value: Expression | None) -> Type:
    """Return a number that may be missing: of more rows than are kept, nobody knows what they add up to."""
    if value is None:
        return Type(Kind.NUMBER, finite=True, optional=True)
    return Type(value.type.kind, currency=value.type.currency, finite=True, optional=True)


def _mixes_currencies(value: Expression, where: Expression | None) -> bool:
    pinned = where is not None and any(path == "account.currency" for path, _ in where.equalities)
    return value.type.kind is Kind.MONEY and value.type.currency is None and not pinned
