"""Forms of posted events that msgspec decodes in one step, generated from the pydantic models.

A form is narrower than its model: it takes the plain spelling of a field and nothing else. What it does not take is
not refused, it is left to pydantic. So a field whose rules are not understood here only costs speed: left out when it
is optional, and otherwise its whole type has no form.
"""

import types
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from operator import attrgetter
from re import Pattern
from re import compile as pattern_of
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec
from pydantic import BaseModel, Strict, StringConstraints
from pydantic.fields import FieldInfo

from hub.events.base import AccountRef, Moment
from hub.events.catalogue import EventType
from hub.events.decimals import DIGITS_AFTER, DIGITS_BEFORE, DecimalText
from hub.events.trade import TradeClosed
from hub.ingest.posted import PostedEvent, needs_account

_Known = TypeVar("_Known")

SEPARATOR = "\n"  # between texts that are checked together; no pattern takes it
_MOST = 2**63 - 1  # what a bound of msgspec's can say
_MOMENT_RULES = get_args(Moment)[1:]
# Digits are possessive, because nothing that follows could take one that was given back: less work. Groups are not: before
# Python 3.11.5 a possessive group that fails half-way keeps what it had read, and "5." would be a number.
_MOMENT = (
    r"(?:19[7-9]|2[01][0-9])[0-9]-[0-9][0-9]-[0-9][0-9]"
    r"T(?!2[4-9])[0-2][0-9]:[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,6}+)?Z"
)
# No zeros in front: Decimal would drop them, and the text could not stay as it is.
_DECIMAL = rf"(?!0[0-9])[0-9]{{1,{DIGITS_BEFORE}}}+(?:\.[0-9]{{1,{DIGITS_AFTER}}}+)?"
_ABOVE_ZERO = r"(?=[0-9.]*[1-9])"
# Text is searched for control characters once it is encoded, all fields of an event in one go.
_FREE_OF_CONTROLS = frozenset({r"^[^\x00-\x1f\x7f]*$", r"^[^\x00-\x1f\x7f]+$"})


@dataclass(frozen=True, slots=True)
class _Rule:
    """What msgspec decodes, and where there is one, the pattern of the text."""

    type: Any
    pattern: str = ""


class Told(msgspec.Struct):
    """Data of one type; every form has fields of its own."""


class Who(msgspec.Struct):
    """The account of a posted event."""

    server: str
    login: int
    group: str | None = None
    currency: str = ""


class Posted(msgspec.Struct):
    """A posted event; every form has its own data in it."""

    timestamp: str
    data: Any
    account: Who | None = None
    dedupe_key: str | None = None
    server_time: str | None = None


@dataclass(frozen=True, slots=True)
class Form:
    """`texts` gives what `with_account` or `alone` must match, together with the envelope's own texts."""

    kind: EventType
    posted: type[Posted]
    texts: Callable[[Any], tuple[str, ...]]
    with_account: Pattern[str]
    alone: Pattern[str]
    moments: tuple[str, ...]
    defaults: tuple[tuple[str, bool], ...]
    needs_account: bool
    has_symbol: bool
    has_net_profit: bool


def form_of(kind: EventType) -> Form | None:
    """Return the form of a type, or None when its model has rules that are not understood here."""
    rules = _rules(kind.model)
    if rules is None or not all(field in rules for field, _ in kind.numbers):
        return None
    model = kind.model.model_fields
    told = _struct(kind.model.__name__ + "Told", Told, kind.model, rules)
    posted: Any = msgspec.defstruct(  # typed as a plain Struct, whatever its bases are
        kind.model.__name__ + "Posted",
        [
            ("timestamp", str),
            ("data", told),
            ("account", _WHO | None, None),
            ("dedupe_key", _NAMED.type | None, None),
            ("server_time", str | None, None),
        ],
        bases=(Posted,),
        tag_field="type",
        tag=kind.name,
        forbid_unknown_fields=True,
        kw_only=True,
        gc=False,
    )
    checked = [name for name, rule in rules.items() if rule.pattern]
    patterns = [_pattern(rules[name], required=model[name].is_required()) for name in checked]
    return Form(
        kind=kind,
        posted=posted,
        texts=_texts(checked),
        with_account=_all([*patterns, _MOMENT, *_WHO_PATTERNS]),
        alone=_all([*patterns, _MOMENT]),
        moments=tuple(name for name in checked if rules[name].pattern == _MOMENT),
        defaults=tuple(
            (name, model[name].default)
            for name in rules
            if not model[name].is_required() and model[name].default is not None
        ),
        needs_account=needs_account(kind),
        has_symbol="symbol_class" in model,
        has_net_profit=kind.model is TradeClosed,
    )


def decoder_of(forms: Iterable[Form]) -> msgspec.json.Decoder[Posted]:
    union: Any = Union[tuple(form.posted for form in forms)]  # noqa: UP007 - there is no `|` for a tuple of types
    return msgspec.json.Decoder(union)


def _all(patterns: list[str]) -> Pattern[str]:
    return pattern_of(SEPARATOR.join(patterns))


def _pattern(rule: _Rule, *, required: bool) -> str:
    return f"(?:{rule.pattern})" if required else f"(?:{rule.pattern})?"


def _texts(names: list[str]) -> Callable[[Any], tuple[str, ...]]:
    if len(names) > 1:
        return attrgetter(*names)
    if names:
        (name,) = names
        return lambda data: (getattr(data, name),)
    return lambda _data: ()


def _rules(model: type[BaseModel]) -> dict[str, _Rule] | None:
    hints = get_type_hints(model, include_extras=True)
    rules: dict[str, _Rule] = {}
    for name, field in model.model_fields.items():
        rule = _rule(hints[name])
        plain_default = field.is_required() or field.default is None or (rule and rule.type is bool)
        if rule is not None and plain_default:
            rules[name] = rule
        elif field.is_required() or field.default is not None:
            return None
    return rules if model.model_config.get("extra") == "forbid" else None


def _rule(annotation: Any) -> _Rule | None:
    """Return the rule of a field, `| None` or not: that it is absent is told by the field not being there."""
    origin = get_origin(annotation)
    if origin in {Union, types.UnionType}:
        members = [member for member in get_args(annotation) if member is not type(None)]
        return _rule(members[0]) if len(members) == 1 else None
    if origin is Literal:
        return _Rule(annotation) if all(type(value) is str for value in get_args(annotation)) else None
    if origin is not Annotated:
        return None
    base, *given = get_args(annotation)
    if base is datetime:
        return _Rule(str, _MOMENT) if tuple(given) == _MOMENT_RULES else None
    found: list[Any] = []
    for rule in given:
        found += rule.metadata if isinstance(rule, FieldInfo) else [rule]
    if base is Decimal:
        return _decimal(found)
    if base is str and len(found) == 1 and isinstance(found[0], StringConstraints):
        return _text(found[0])
    if not any(isinstance(rule, Strict) and rule.strict for rule in found):
        return None
    found = [rule for rule in found if not isinstance(rule, Strict)]
    if base is bool and not found:
        return _Rule(bool)
    return _whole(found) if base is int else None


def _decimal(rules: list[Any]) -> _Rule | None:
    if not rules or not isinstance(rules[0], DecimalText):
        return None
    pattern = ("-?" if rules[0].pattern.startswith("^-?") else "") + _DECIMAL
    for rule in rules[1:]:
        if _bounds(rule) != {"gt": 0}:
            return None
        pattern = _ABOVE_ZERO + pattern
    return _Rule(str, pattern)


def _whole(rules: list[Any]) -> _Rule | None:
    least, most = -(2**63), _MOST
    for rule in rules:
        match _bounds(rule):
            case {"ge": bound}:
                least = max(least, bound)
            case {"gt": bound}:
                least = max(least, bound + 1)
            case {"lt": bound}:
                most = min(most, bound - 1)
            case {"le": bound}:
                most = min(most, bound)
            case _:
                return None
    return _Rule(Annotated[int, msgspec.Meta(ge=least, le=most)])


def _text(rules: StringConstraints) -> _Rule | None:
    known = {"strict", "min_length", "max_length", "pattern"}
    said = {name for name, value in vars(rules).items() if value not in {None, False}}
    pattern = rules.pattern
    if not said <= known or not rules.strict or not isinstance(pattern, str):
        return None
    size = msgspec.Meta(min_length=rules.min_length or int("+" in pattern[-2:]), max_length=rules.max_length)
    kind = Annotated[str, size]
    if pattern in _FREE_OF_CONTROLS:
        return _Rule(kind)
    # Without escapes and wildcards a pattern says the same to pydantic's engine and to this one.
    inner = pattern[1:-1]
    plain = pattern[0] == "^" and pattern[-1] == "$" and not {"\\", "(", "|", "$"} & set(inner)
    return _Rule(kind, inner) if plain and "[^" not in inner else None


def _bounds(rule: Any) -> dict[str, Any]:
    return {name: getattr(rule, name) for name in ("ge", "gt", "le", "lt") if hasattr(rule, name)}


def _struct(
    name: str, base: type[msgspec.Struct], model: type[BaseModel], rules: dict[str, _Rule]
) -> type[msgspec.Struct]:
    fields: list[Any] = []
    for field, rule in rules.items():
        if model.model_fields[field].is_required():
            fields.append((field, rule.type))
        elif rule.pattern:  # an empty text stands for an absent one: no pattern here takes it
            fields.append((field, str, ""))
        else:
            fields.append((field, rule.type | None, None))
    return msgspec.defstruct(
        name, fields, bases=(base,), omit_defaults=True, forbid_unknown_fields=True, kw_only=True, gc=False
    )


def _known(rule: _Known | None) -> _Known:
    if rule is None:
        raise TypeError("the envelope of an event has a field that no form can say")
    return rule


_WHO_RULES = _known(_rules(AccountRef))
_WHO = _struct("PostedWho", Who, AccountRef, _WHO_RULES)
_WHO_PATTERNS = [_pattern(_WHO_RULES[name], required=name == "server") for name in ("server", "currency")]
_NAMED = _known(_rule(get_type_hints(PostedEvent, include_extras=True)["dedupe_key"]))
