"""Aggregates on their way from a file to a program: their types, their windows, and what makes two of them one."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Final, Literal

from hub.engine.draft import Draft
from hub.engine.draft_grants import since_end
from hub.engine.draft_names import event_is_sound, is_zone, zone_is_known
from hub.engine.keys import KeyedBy
from hub.engine.model_aggregates import (
    FUNCTIONS,
    AggregateFile,
    CalendarWindow,
    DaysFile,
    ShareFile,
    SinceAnchorFile,
    SinceFile,
    SinceWindow,
    SlidingWindow,
    TumblingWindow,
)
from hub.engine.model_anchors import AnchorFile
from hub.engine.nodes import Location
from hub.engine.problems import did_you_mean, quoted
from hub.engine.program import (
    Aggregate,
    Calendar,
    Lifetime,
    Retract,
    Since,
    SinceEnd,
    Sliding,
    Tumbling,
    Window,
)
from hub.engine.scopes import ANY, NUMBER, PERCENT, ROOTS, event_root, is_undeclared
from hub.errors import ExpressionError
from hub.expr import FUNCTIONS as WORDS_CALLED
from hub.expr import Expression, Kind, Scope, Type
from hub.expr.check import check
from hub.expr.parse import parse
from hub.expr.types import NUMERIC
from hub.expr.written import written_kinds

Param = Decimal | str | bool | timedelta


# Functions there have not always been: an aggregate of that name goes on, and stored versions load.
_LATER_WORDS: Final = frozenset({"duration"})


@lru_cache(maxsize=4096)
def name_problem(name: str) -> str | None:
    """Return why an aggregate cannot have this name, or None: its name stands alone in expressions."""
    if name in ROOTS or (name in WORDS_CALLED and name not in _LATER_WORDS):
        return f"{quoted(name)} has a meaning of its own in expressions: choose another name"
    try:
        check(parse(name), Scope({name: NUMBER}), None)
    except (ExpressionError, ValueError):
        return f"{quoted(name)} is a word of the language: choose another name"
    return None


def aggregate(
    draft: Draft,
    name: str,
    file: AggregateFile,
    given: Mapping[str, Param],
    anchors: Mapping[str, AnchorFile],
) -> tuple[Aggregate | None, Type]:
    """Return the aggregate and its type; the type is known even where the aggregate is not sound."""
    location: Location = ("aggregates", name)
    if problem := name_problem(name):
        draft.key_error(location, problem)
        return None, ANY
    function = next(word for word in FUNCTIONS if getattr(file, word) is not None)
    if not event_is_sound(draft, (*location, "from"), file.source, pattern=False):
        return None, ANY
    if file.window is None:
        draft.error(location, "`window` is missing: over which time, such as `window: {sliding: 7d}`")
        return None, ANY
    scope = draft.scopes.aggregate(file.source)
    where, sound = draft.where((*location, "where"), file.where, scope)
    value = None
    if function not in {"count", "distinct_days"}:
        expects = None if function in _TAKES_OTHERS else Kind.NUMBER
        at: Location = (*location, function)
        if isinstance(file.best_day_share, ShareFile):
            at = (*at, "of")
        value = draft.expression(at, scope, expects)
        sound = _can_be_kept(draft, at, function, value) and sound
    window = _window(draft, location, file.window, function, anchors)
    retract = _retract(draft, location, file)
    days = _days(draft, location, function, file, window) if function in _BY_DAY else None
    type_ = _type(function, value)
    if isinstance(window, Since) and window.missing:
        type_ = type_.or_missing()
    if not sound or window is None or (file.retract is not None and retract is None):
        return None, type_
    if isinstance(window, Since) and retract is not None and retract.event == window.event:
        draft.error((*location, "window", "since", "event"), f"`{window.event}` takes back already")
        return None, type_
    if function in _BY_DAY and days is None:
        return None, type_
    made = Aggregate("", name, file.source, function, value, where, window, retract, days)
    return replace(made, id=identity(made, given, draft.scopes.key)), type_


_BY_DAY: Final = frozenset({"distinct_days", "best_day_share"})
_TAKES_OTHERS: Final = {
    "last": NUMERIC | {Kind.STRING, Kind.BOOL, Kind.TIME, Kind.DURATION, Kind.ANY},
    "distinct": NUMERIC | {Kind.STRING, Kind.ANY},
}


def _can_be_kept(draft: Draft, location: Location, function: str, value: Expression | None) -> bool:
    if value is None:
        return False
    takes = _TAKES_OTHERS.get(function)
    if takes is None or value.type.kind in takes:
        return True
    what = "keeps one value" if function == "last" else "tells texts or numbers apart"
    draft.error(location, f"`{function}` {what}, and this is {value.type}")
    return False


def _days(
    draft: Draft, location: Location, function: str, file: AggregateFile, window: Window | None
) -> Calendar | None:
    """Return what a day is: as the file says, or as the calendar window has it."""
    said = getattr(file, function)
    match said, window:
        case (DaysFile(tz=zone, daily_at=daily_at), _):
            if zone_is_known(draft, (*location, function, "tz"), zone):
                return Calendar("day", zone, daily_at)
        case (_, Calendar(zone=zone, daily_at=daily_at)):
            return Calendar("day", zone, daily_at)
        case _ if window is not None:
            of = f"of: {said}, " if isinstance(said, str) else ""
            draft.error(
                (*location, function),
                f"only a calendar window has days of its own: write `{function}: {{{of}tz: Europe/Prague}}`",
            )
        case _:
            pass
    return None


def _type(function: str, value: Expression | None) -> Type:
    if function == "last":
        found = value.type if value is not None else ANY
        return replace(found, optional=True, finite=found.numeric)
    if function == "distinct":
        return replace(NUMBER, finite=True)
    if function == "best_day_share":
        return replace(PERCENT, finite=True, optional=True)
    kind, currency = (Kind.NUMBER, None) if value is None else (value.type.kind, value.type.currency)
    found = Type(
        kind, currency=currency, finite=True
    )  # what expressions answer is finite, and so is what they add up to
    # Nothing adds up to nothing, but has no smallest, largest or average.
    return found.or_missing(function in {"min", "max", "avg"})


def identity(made: Aggregate, given: Mapping[str, Param], key: KeyedBy) -> str:
    """Return what two aggregates share only if they are the same: 128 bits of the hash of the definition.

    The values of the parameters it reads belong to it: with another value it would have counted something else.
    """
    reads = {path for expression in (made.value, made.where) if expression for path in expression.reads}
    window: list[str] = [type(made.window).__name__]
    match made.window:
        case Calendar(period, zone, daily_at):
            window += [period, zone, daily_at]
        case Sliding(span):
            window.append(str(span // timedelta(milliseconds=1)))
        case Tumbling(span):
            window.append(str(span // timedelta(milliseconds=1)))
        case SinceEnd(Calendar(period, zone, daily_at)):
            window += [period, zone, daily_at]
        case Since(event, where, missing):
            window += [event, where.text.strip() if where else "", "missing" if missing else "all"]
            reads |= where.reads if where else frozenset()
        case Lifetime():
            pass
    definition = {
        "key": str(key),
        "from": made.source,
        "function": made.function,
        "value": made.value.text.strip() if made.value else None,
        "where": made.where.text.strip() if made.where else None,
        "window": window,
        "params": {name: str(given[name]) for name in sorted(given) if f"params.{name}" in reads},
        "retract": [made.retract.event, made.retract.ref] if made.retract else None,
    }
    if made.days is not None:
        definition["days"] = [made.days.zone, made.days.daily_at]
    # What is read out of a text counts otherwise than the text would have: a declaration that says so begins anew.
    written = {
        path: how
        for expression in (made.value, made.where)
        if expression is not None
        for path, how in written_kinds(expression.tree).items()
    }
    if written:
        definition["written"] = written
    return hashlib.sha256(json.dumps(definition, sort_keys=True).encode()).hexdigest()[:32]


def _window(
    draft: Draft,
    location: Location,
    file: CalendarWindow | SlidingWindow | TumblingWindow | SinceWindow | Literal["lifetime"],
    function: str,
    anchors: Mapping[str, AnchorFile],
) -> Window | None:
    match file:
        case SlidingWindow(sliding=span):
            return Sliding(span)
        case TumblingWindow(tumbling=span):
            return Tumbling(span)
        case CalendarWindow(calendar=period, tz=zone, daily_at=daily_at):
            known = zone_is_known(draft, (*location, "window", "tz"), zone)
            return Calendar(period, zone, daily_at) if known else None
        case SinceWindow(since=SinceFile() as since):
            return _since(draft, (*location, "window", "since"), since)
        case SinceWindow(since=SinceAnchorFile(anchor=name)):
            return _since_anchor(draft, (*location, "window", "since", "anchor"), name, anchors)
        case SinceWindow():
            return since_end(draft, location, function)
        case _:
            return Lifetime()


def _since(draft: Draft, location: Location, file: SinceFile) -> Since | None:
    if not event_is_sound(draft, (*location, "event"), file.event, pattern=False):
        return None
    where, sound = draft.where((*location, "where"), file.where, draft.scopes.aggregate(file.event))
    if not sound:
        return None
    return Since(file.event, where, file.otherwise == "missing")


def _since_anchor(
    draft: Draft, location: Location, name: str, anchors: Mapping[str, AnchorFile]
) -> Window | None:
    """Return what the window would be if it said itself when the anchor is taken."""
    draft.reads.add(name)
    match anchors.get(name):
        case None:
            draft.error(location, f"there is no anchor {quoted(name)}{did_you_mean(name, anchors)}")
            return None
        case AnchorFile(daily_at=str() as daily_at, tz=str() as zone):
            return Calendar("day", zone, daily_at) if is_zone(zone) else None  # the anchor complains itself
        case AnchorFile(event=str() as event, where=where):
            if not event_is_sound(draft, location, event, pattern=False):
                return None
            scope = draft.scopes.aggregate(event)
            which, sound = draft.where(("anchors", name, "where"), where, scope)
            return Since(event, which, missing=False) if sound else None
        case _:
            draft.error(
                location,
                f"a window begins with an anchor that is taken when a day begins, or at an event, and {quoted(name)} is not",
            )
            return None


def _retract(draft: Draft, location: Location, file: AggregateFile) -> Retract | None:
    if file.retract is None:
        return None
    at: Location = (*location, "retract")
    if not event_is_sound(draft, (*at, "event"), file.retract.event, pattern=False):
        return None
    ref = file.retract.ref.removeprefix("event.")
    for source in (file.source, file.retract.event):
        fields = event_root(frozenset({source}), draft.scopes.declared).fields or {}
        if not is_undeclared(source, draft.scopes.declared) and ref not in fields:
            draft.error((*at, "ref"), f"{source} has no field {quoted(ref)}{did_you_mean(ref, fields)}")
            return None
    return Retract(file.retract.event, ref)
