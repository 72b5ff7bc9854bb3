"""What names mean in each place of a workflow file, derived from the models of events, accounts and clients."""

import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from functools import cached_property, lru_cache
from typing import Annotated, Any, Final, Literal, Union, final, get_args, get_origin, get_type_hints

from typing_extensions import override

from hub.engine.account_rows import AccountRow, ClientRow
from hub.engine.held import INNER, GroupRow, PositionRow, SymbolRow
from hub.engine.keys import KeyedBy, KeyKind
from hub.engine.naming import Naming
from hub.engine.problems import did_you_mean
from hub.engine.program import Calendar
from hub.events.base import Data
from hub.events.catalogue import BY_NAME, event_type
from hub.events.decimals import DecimalText
from hub.events.declared import NONE_DECLARED, Declarations, Declared
from hub.events.risk import LevelCrossed, PositionCrossed, SymbolCrossed
from hub.expr import QUOTED, SAMPLED, Kind, Scope, Type
from hub.expr.declared import declared_fields

STRING: Final = Type(Kind.STRING)
NUMBER: Final = Type(Kind.NUMBER)
MONEY: Final = Type(Kind.MONEY)
PERCENT: Final = Type(Kind.PERCENT)
BOOL: Final = Type(Kind.BOOL)
TIME: Final = Type(Kind.TIME)
DURATION: Final = Type(Kind.DURATION)
ANY: Final = Type(Kind.ANY, optional=True)

# A record's decimals do not say what they count: these are money, every other is a plain number.
_MONEY_FIELDS: Final = frozenset({"balance", "credit", "initial_balance"})
# Signed decimals of events are money, but for these.
_PERCENT_FIELDS: Final = frozenset({"margin_level", "level"})
_OF_NO_UNIT: Final = frozenset(
    {(LevelCrossed, "value"), (LevelCrossed, "limit"), (LevelCrossed, "peak")}
    | {(model, name) for model in (PositionCrossed, SymbolCrossed) for name in ("value", "limit")}
)  # the unit is that of `field`
_SAMPLED_KINDS: Final = {"margin_level": PERCENT}
# What rows keep as text, and is one of a few words.
_WORDS: Final[Mapping[tuple[type, str], tuple[str, ...]]] = {
    (AccountRow, "type"): ("real", "demo", "contest"),
    (AccountRow, "platform"): ("mt4", "mt5"),
    (PositionRow, "side"): ("buy", "sell"),
}

_USE_CROSSES: Final = "use a `crosses` trigger, which fires when it passes a limit"
LATER_ROOTS: Final = frozenset({"secrets"})
ROOTS: Final = (
    frozenset(
        {
            "event",
            "account",
            "client",
            "params",
            "trigger",
            "steps",
            "now",
            "error",
            "period",
            "position",
            "symbol",
            "group",
        }
    )
    | LATER_ROOTS
)


def type_from(annotation: Any, *, name: str = "", money: bool = False) -> Type:
    """Return the type of the language for a field of one of our models.

    Their numbers are finite: a decimal of an event matched a pattern of digits, and rows are folded from those.
    """
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        signed = any(isinstance(m, DecimalText) and m.pattern.startswith("^-?") for m in arguments[1:])
        return type_from(arguments[0], name=name, money=signed)
    if origin in {Union, types.UnionType}:
        members = [member for member in arguments if member is not type(None)]
        found = type_from(members[0], name=name, money=money) if len(members) == 1 else ANY
        return found.or_missing() if len(members) < len(arguments) else found
    if origin is Literal:
        return replace(STRING, words=arguments)
    if origin is list:
        return Type(Kind.LIST, item=type_from(arguments[0]))
    if annotation is Decimal:
        found = PERCENT if name in _PERCENT_FIELDS else MONEY if money or name in _MONEY_FIELDS else NUMBER
        return replace(found, finite=True)
    simple = {str: STRING, int: replace(NUMBER, finite=True), bool: BOOL, datetime: TIME, date: STRING}
    return simple.get(annotation, ANY)


def _fields_of_record(record: type) -> dict[str, Type]:
    hints = get_type_hints(record, include_extras=True)
    return {
        name: replace(type_from(hint, name=name), words=_WORDS.get((record, name), ()))
        for name, hint in hints.items()
        if name != "v"
    }


ACCOUNT: Final = Type(
    Kind.OBJECT,
    fields=_fields_of_record(AccountRow)
    | {
        name: _SAMPLED_KINDS.get(name, MONEY).or_missing()
        for name in sorted(path.removeprefix("account.") for path in SAMPLED if path.startswith("account."))
    },
)
_CLIENT: Final = Type(Kind.OBJECT, fields=_fields_of_record(ClientRow))
POSITION: Final = Type(
    Kind.OBJECT,
    fields={name: type_ for name, type_ in _fields_of_record(PositionRow).items() if name not in INNER}
    | {"price": NUMBER.or_missing(), "profit": MONEY.or_missing()},
)
OWN: Final[Mapping[KeyedBy, Type]] = {
    KeyKind.POSITION: POSITION,
    KeyKind.SYMBOL: Type(
        Kind.OBJECT,
        fields=_fields_of_record(SymbolRow),
    ),
    KeyKind.GROUP: Type(Kind.OBJECT, fields=_fields_of_record(GroupRow)),
}
_TRIGGER: Final = Type(
    Kind.OBJECT, fields={"id": STRING, "value": NUMBER.or_missing(), "limit": NUMBER.or_missing(), "at": TIME}
)
_ERROR: Final = Type(Kind.OBJECT, fields={"step": STRING, "message": STRING})
PERIOD: Final = Type(Kind.OBJECT, fields={"label": STRING, "start": TIME, "end": TIME})
_ENVELOPE: Final = {"id": STRING, "type": STRING, "timestamp": TIME}


@final
class _Undeclared(Mapping[str, Type]):
    """The fields of a custom event: any name may be one, and its kind is looked at when the expression runs."""

    @override
    def __getitem__(self, name: str) -> Type:
        return _ENVELOPE.get(name, ANY)

    @override
    def __contains__(self, name: object) -> bool:
        return True

    @override
    def __iter__(self) -> Iterator[str]:
        return iter(_ENVELOPE)

    @override
    def __len__(self) -> int:
        return len(_ENVELOPE)


_ANY_EVENT: Final = Type(Kind.OBJECT, fields=_Undeclared())


def model_fields(model: type[Data]) -> dict[str, Type]:
    """Return the type of every field of an event's data."""
    found: dict[str, Type] = {}
    for name, field in model.model_fields.items():
        annotation = Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation
        type_ = NUMBER if (model, name) in _OF_NO_UNIT else type_from(annotation, name=name)
        found[name] = type_.or_missing() if not field.is_required() and field.default is None else type_
    return found


def matching(name: str) -> tuple[str, ...]:
    """Return the catalogue's types a name or a pattern such as `trade.*` stands for."""
    if name.endswith(".*"):
        return tuple(known for known in BY_NAME if known.startswith(name[:-1]))
    return (name,) if name in BY_NAME else ()


def is_undeclared(name: str, declared: Declarations = NONE_DECLARED) -> bool:
    """Whether it names custom events, whose fields nobody declared."""
    if not name.startswith("custom.") or name in declared.types:
        return False
    return name.endswith(".*") or event_type(name) is not None


def event_root(names: frozenset[str], declared: Declarations = NONE_DECLARED) -> Type:
    """Return the type of `event` where it may be any of the named types or patterns."""
    return _event_root(names, declared.of(sorted(names)))


@lru_cache(maxsize=512)
def _event_root(names: frozenset[str], declared: tuple[Declared, ...]) -> Type:
    known_names = {each.name for each in declared}
    if any(is_undeclared(name) for name in names - known_names):
        return _ANY_EVENT
    kinds = [BY_NAME[known] for name in sorted(names - known_names) for known in matching(name)]
    models = list(dict.fromkeys(kind.model for kind in kinds))
    every = [
        *(model_fields(model) for model in models),
        *(declared_fields(each) for each in declared),
    ]
    merged: dict[str, Type] = {}
    for fields in every:
        for name, type_ in fields.items():
            known = merged.get(name, type_)
            same = replace(known, optional=False) == replace(type_, optional=False)
            # What one event has as text and another as a number is read as whatever it is when it comes.
            same = same and known.written == type_.written
            words = (*dict.fromkeys(known.words + type_.words),) if known.words and type_.words else ()
            either = replace(type_, optional=known.optional or type_.optional, words=words)
            merged[name] = either if same else ANY
    for name, type_ in merged.items():
        if not all(name in fields for fields in every):
            merged[name] = type_.or_missing()
    return Type(Kind.OBJECT, fields={**merged, **_ENVELOPE})


@final
@dataclass(frozen=True)
class Scopes:
    """The scopes of one workflow; each place may read what is known there, and only that.

    By another key than the account an event still has its account, but between events there is none. `by_events`: it
    starts at nothing else.
    """

    params: Mapping[str, Type]
    aggregates: Mapping[str, Type]
    key: KeyedBy = KeyKind.ACCOUNT
    by_events: bool = False
    by_levels: bool = False  # it starts at nothing else than events and levels
    by_quotes: bool = False  # it starts at quotes: the passing of a symbol's level that need not last
    calendars: Sequence[Calendar] = ()  # whose periods the workflow speaks of
    by_periods: bool | None = None  # whether it starts at the end of periods alone; None: never at one
    inputs: Mapping[str, Type] | None = None  # what somebody gives who starts it; None: nobody does
    declared: Declarations = NONE_DECLARED  # events of the integrator's own
    naming: Naming | None = None  # where the key is worked out

    @property
    def kept_by(self) -> str:
        """Return the key as the file writes it."""
        return self.naming.text if self.naming is not None else str(self.key)

    def keyed(self, event: str | None = None) -> Scope:
        """Return what a key is made of where any event may come, or one of a type."""
        names = frozenset({event}) if event is not None else None
        what = _ANY_EVENT if names is None else event_root(names, self.declared)
        return Scope(
            {**self._with_event, "event": what},
            hint_for_sampled="a key is made of values that events tell, such as account.country",
        )

    @cached_property
    def _trigger(self) -> Type:
        if self.inputs is None:
            return _TRIGGER
        given = Type(Kind.OBJECT, fields=self.inputs, mapping=True)
        return replace(
            _TRIGGER, fields={**(_TRIGGER.fields or {}), "inputs": given, "by": STRING.or_missing()}
        )

    @property
    def names_account(self) -> bool:
        """Whether an account is known whenever the workflow starts."""
        # A position with a level knows whose it is.
        return (
            self.by_events or self.key is KeyKind.ACCOUNT or (self.by_levels and self.key is KeyKind.POSITION)
        )

    @cached_property
    def _with_event(self) -> dict[str, Type]:
        known = {"account": ACCOUNT, "client": _CLIENT, "params": Type(Kind.OBJECT, fields=self.params)}
        own = OWN.get(self.key)
        return known | {str(self.key): own} if own is not None else known

    @cached_property
    def _standing(self) -> dict[str, Type]:
        """What is known without an event too."""
        known = dict(self._with_event)
        if self.key is not KeyKind.ACCOUNT:
            del known["account"]
        if self.key not in {KeyKind.ACCOUNT, KeyKind.CLIENT}:
            del known["client"]
        return known

    @cached_property
    def _sometimes(self) -> dict[str, Type]:
        """What steps know, if the workflow began at an event."""
        if self.by_events:
            return self._with_event
        known = self._standing
        return {name: type_.or_missing(name not in known) for name, type_ in self._with_event.items()}

    @cached_property
    def scope(self) -> Scope:
        """Asked before any trigger: about the account and its client."""
        facts = self._with_event if self.by_events else self._standing
        return Scope({**facts, "now": TIME}, hint_for_sampled=_USE_CROSSES)

    def stands(self, root: str) -> bool:
        """Return whether it is known between events."""
        return root in self._standing or root == "now"

    @cached_property
    def scope_with_event(self) -> Scope:
        """Return the scope where an event is looked at: its account and client are known then, whatever the key."""
        return Scope({**self._with_event, "now": TIME}, hint_for_sampled=_USE_CROSSES)

    def aggregate(self, source: str) -> Scope:
        return Scope(
            {**self._with_event, "event": event_root(frozenset({source}), self.declared)},
            hint_for_sampled=_USE_CROSSES,
        )

    def rows(self, over: str) -> Scope:
        """Of each open position with its account, or of each account."""
        known = {**self._with_event, "position": POSITION} if over == "positions" else self._with_event
        return Scope(known, hint_for_sampled="what stands is made of values that events tell")

    def anchor(self, *, sampled: bool = False) -> Scope:
        """Return what an anchor is made of: the anchors before it, too. `sampled`: taken when a sample is at hand."""
        return Scope(
            {**self._standing, **self.aggregates},
            sampled_allowed=sampled,
            hint_for_sampled="only an anchor with `daily_at`, `max` or `min` takes what is sampled",
        )

    @cached_property
    def becomes(self) -> Scope:
        return Scope({**self._standing, **self.aggregates, "now": TIME}, hint_for_sampled=_USE_CROSSES)

    def where(self, event: str) -> Scope:
        return Scope(
            {
                **self._with_event,
                **self.aggregates,
                "now": TIME,
                "event": event_root(frozenset({event}), self.declared),
            },
            hint_for_sampled=_USE_CROSSES,
        )

    @cached_property
    def level(self) -> Scope:
        """A limit moves only with what events tell: a sampled or passing value in it would never stand still."""
        return Scope(
            {**self._standing, **self.aggregates},
            hint_for_sampled="a limit is made of values that events tell, such as account.balance",
        )

    def grant(self, *, of_period: bool) -> Scope:
        """Return what a grant is made of: it is worked out anew with every event that changes something in here."""
        known = {**self._standing, **self.aggregates}
        hint = "a grant is made of values that events tell, such as account.balance"
        return Scope({**known, "period": PERIOD} if of_period else known, hint_for_sampled=hint)

    def awaited(self, event: str, events: frozenset[str], done: tuple[str, ...], *, certain: bool) -> Scope:
        """`event` is the one that comes, `trigger.event` the one of `events` the run began with."""
        roots = self.steps(events, done, crossed=False, certain=certain).roots
        began = dict(self._trigger.fields or {})
        if "event" in roots:
            began["event"] = roots["event"]
        named = {
            "trigger": replace(self._trigger, fields=began),
            "event": event_root(frozenset({event}), self.declared),
        }
        return Scope({**roots, **named}, hint_for_sampled=_USE_CROSSES)

    def steps(
        self,
        events: frozenset[str],
        done: tuple[str, ...],
        *,
        crossed: bool,
        certain: bool = True,
        failed: bool = False,
    ) -> Scope:
        """`done` ran before; `crossed`: it starts at crossings; not `certain`: it also starts without an event.

        `failed`: for what happens on an error.
        """
        roots = {
            **self._sometimes,
            **self.aggregates,
            "now": TIME,
            "trigger": self._trigger,
            "steps": Type(Kind.OBJECT, fields=dict.fromkeys(done, Type(Kind.OBJECT, optional=True))),
        }
        if events:
            roots["event"] = event_root(events, self.declared).or_missing(not certain)
        if self.by_periods is not None:
            roots["period"] = PERIOD.or_missing(not self.by_periods)
        if failed:
            roots["error"] = _ERROR
        hint = "use trigger.value" if crossed else "use a `crosses` trigger, which brings trigger.value"
        return Scope(roots, sampled=SAMPLED - QUOTED if self.by_quotes else SAMPLED, hint_for_sampled=hint)


_BELONGS: Final = {
    "symbol": "`symbol` is not known here: workflows with `key: symbol` know it; an event's is `event.symbol`",
    "group": "`group` is not known here: workflows with `key: group` know it; an account's is `account.group`",
    "position": "`position` is not known here: aggregates `from: positions` and workflows with `key: position` know it",
    "event": "`event` is not known here: only `where`, aggregates and the steps of an event's workflow know it",
    "trigger": "`trigger` is not known here: only steps know what started them",
    "error": "`error` is not known here: only the steps of `on_error` know what failed",
    "period": "`period` is not known here: only a grant by a calendar, and the steps of a workflow that starts at "
    "`period_end`, know one",
    "steps": "`steps` is not known here: only later steps know what came of earlier ones",
    "now": "`now` is not known here: the value would have to change without an event",
}


def about_unknown(name: str, aggregates: Mapping[str, Type], key: str) -> str | None:
    """Return a better sentence for a name that exists, but not in this place or not in this version."""
    if name in {"account", "client"}:
        return f"`{name}` is not known here: with `key: {key}` there is one only while an event is looked at, as in `where`"
    if name == "secrets":
        return (
            "`secrets` are known in http.request only: in `auth`, `headers` and `url.base`, as a whole value"
        )
    if name in LATER_ROOTS:
        return f"`{name}` is part of the format but not of this version yet"
    if name in aggregates:
        return f"aggregate `{name}` is not known here: read it in triggers and steps"
    return _BELONGS.get(name)


def unknown_event(name: str) -> str | None:
    """Return what is wrong with the name of an event type, or None."""
    if matching(name) or is_undeclared(name):
        return None
    if name.startswith("custom."):
        return f"`{name}` is not a name for an event: write custom.something, in letters, digits and _"
    if name.endswith("*"):
        return f"no event type fits `{name}`; patterns end in `.*`, such as trade.*"
    return f"unknown event type `{name}`{did_you_mean(name, BY_NAME) or '; your own begin with custom.'}"
