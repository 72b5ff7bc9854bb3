"""Parameters, aggregates, triggers and limits: what decides whether a workflow starts."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import time, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Final, Literal, cast
from zoneinfo import ZoneInfo, available_timezones

from hub.durations import duration
from hub.engine.complaints import LATER, later_source
from hub.engine.draft import Draft
from hub.engine.keys import KeyKind
from hub.engine.model import LimitFile, ParamFile, QuietFile, RunFile
from hub.engine.model_aggregates import (
    FUNCTIONS,
    AggregateFile,
    CalendarWindow,
    DaysFile,
    SlidingWindow,
    TumblingWindow,
)
from hub.engine.model_triggers import (
    AbsentFile,
    AbsentTrigger,
    BecomesTrigger,
    CrossesTrigger,
    EventTrigger,
    Trigger,
)
from hub.engine.nodes import Location, Scalar
from hub.engine.problems import did_you_mean, quoted
from hub.engine.program import (
    Absent,
    Aggregate,
    Becomes,
    Calendar,
    Crosses,
    Lifetime,
    Limit,
    OnEvent,
    Quiet,
    Retract,
    Sliding,
    Tumbling,
    Window,
)
from hub.engine.program import Trigger as CompiledTrigger
from hub.engine.scopes import ACCOUNT, ANY, NUMBER, ROOTS, event_root, is_undeclared, unknown_event
from hub.errors import ExpressionError
from hub.expr import FUNCTIONS as WORDS_CALLED
from hub.expr import Expression, Kind, Scope, Type
from hub.expr.check import check
from hub.expr.parse import parse
from hub.expr.types import NUMERIC

Field = Literal["equity", "floating", "free_margin", "margin_level"]
Replay = Literal["fire", "skip"]
Param = Decimal | str | bool | timedelta

_LIKE_A_ZONE: Final = re.compile(r"[A-Za-z_]+/[A-Za-z_/+0-9-]+")
_FIELDS: Final = ("equity", "floating", "free_margin", "margin_level")
# Nothing of these happens to an account, so nothing counted per account can start at them.
_WITHOUT_ACCOUNT: Final = (
    "connector.",
    "endpoint.",
    "delivery.",
    "notification.",
    "group.",
    "symbol.",
    "lead.",
)


def params(files: Mapping[str, ParamFile]) -> dict[str, Param]:
    return {name: _param(file) for name, file in files.items()}


def _param(file: ParamFile) -> Param:
    match file.default:
        case bool():
            return file.default
        case str() as text:
            return duration(text) if file.type == "duration" else text
        case number:
            return Decimal(number)


def param_types(files: Mapping[str, ParamFile]) -> dict[str, Type]:
    return {name: Type(Kind(file.type), currency=file.currency) for name, file in files.items()}


@lru_cache(maxsize=4096)
def name_problem(name: str) -> str | None:
    """Return why an aggregate cannot have this name, or None: its name stands alone in expressions."""
    if name in ROOTS or name in WORDS_CALLED:
        return f"{quoted(name)} has a meaning of its own in expressions: choose another name"
    try:
        check(parse(name), Scope({name: NUMBER}), None)
    except (ExpressionError, ValueError):
        return f"{quoted(name)} is a word of the language: choose another name"
    return None


def aggregate(
    draft: Draft, name: str, file: AggregateFile, given: Mapping[str, Param]
) -> tuple[Aggregate | None, Type]:
    """Return the aggregate and its type; the type is known even where the aggregate is not sound."""
    location: Location = ("aggregates", name)
    if problem := name_problem(name):
        draft.key_error(location, problem)
        return None, ANY
    function = next(word for word in FUNCTIONS if getattr(file, word) is not None)
    if not _source_is_sound(draft, location, file):
        return None, ANY
    scope = draft.scopes.aggregate(file.source)
    where = None
    sound = True
    if file.where is not None:
        where = draft.expression((*location, "where"), scope, Kind.BOOL)
        sound = where is not None
    value = None
    if function not in {"count", "distinct_days"}:
        expects = None if function in _TAKES_OTHERS else Kind.NUMBER
        value = draft.expression((*location, function), scope, expects)
        sound = _can_be_kept(draft, (*location, function), function, value) and sound
    window, retract = _window(draft, location, file.window), _retract(draft, location, file)
    days = _days(draft, location, file, window) if function == "distinct_days" else None
    type_ = _type(function, value)
    if not sound or window is None or (file.retract is not None and retract is None):
        return None, type_
    if function == "distinct_days" and days is None:
        return None, type_
    made = Aggregate("", name, file.source, function, value, where, window, retract, days)
    return replace(made, id=identity(made, given, draft.scopes.key)), type_


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


def _days(draft: Draft, location: Location, file: AggregateFile, window: Window | None) -> Calendar | None:
    """Return what a day is: as the file says, or as the calendar window has it."""
    match file.distinct_days, window:
        case (DaysFile(tz=zone, daily_at=daily_at), _):
            if _zone_is_known(draft, (*location, "distinct_days", "tz"), zone):
                return Calendar("day", zone, daily_at)
        case (_, Calendar(zone=zone, daily_at=daily_at)):
            return Calendar("day", zone, daily_at)
        case _ if window is not None:
            draft.error(
                (*location, "distinct_days"),
                "only a calendar window has days of its own: write `distinct_days: {tz: Europe/Prague}`",
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
    kind, currency = (Kind.NUMBER, None) if value is None else (value.type.kind, value.type.currency)
    found = Type(
        kind, currency=currency, finite=True
    )  # what expressions answer is finite, and so is what they add up to
    # Nothing adds up to nothing, but has no smallest, largest or average.
    return found.or_missing(function in {"min", "max", "avg"})


def identity(made: Aggregate, given: Mapping[str, Param], key: KeyKind) -> str:
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
        case Lifetime():
            pass
    definition = {
        "key": key.value,
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
    return hashlib.sha256(json.dumps(definition, sort_keys=True).encode()).hexdigest()[:32]


def _source_is_sound(draft: Draft, location: Location, file: AggregateFile) -> bool:
    if later_source(file.source):
        draft.error((*location, "from"), f"`from: {file.source}` {LATER}")
        return False
    return event_is_sound(draft, (*location, "from"), file.source, pattern=False)


def event_is_sound(draft: Draft, location: Location, name: str, *, pattern: bool) -> bool:
    if problem := unknown_event(name):
        draft.error(location, problem)
        return False
    if name.endswith(".*") and not pattern:
        draft.error(location, f"one type of event is needed here, not the pattern `{name}`")
        return False
    if draft.scopes.key is KeyKind.SYMBOL and not _names_symbol(name):
        draft.error(location, f"`{name}` names no symbol, so nothing kept by symbol hears of it")
        return False
    if name.startswith(_WITHOUT_ACCOUNT):
        draft.warn(location, f"`{name}` belongs to no account, so nothing counted per account comes of it")
    return True


def _names_symbol(name: str) -> bool:
    return is_undeclared(name) or "symbol" in (event_root(frozenset({name})).fields or {})


@lru_cache(maxsize=1)
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


@lru_cache(maxsize=1024)
def is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        return False
    return True


def _zone_is_known(draft: Draft, location: Location, zone: str) -> bool:
    if is_zone(zone):
        return True
    near = did_you_mean(zone, _zones()) or "; write it by name, such as Europe/Nicosia"
    draft.error(location, f"unknown time zone {quoted(zone)}{near}")
    return False


def _window(
    draft: Draft,
    location: Location,
    file: CalendarWindow | SlidingWindow | TumblingWindow | Literal["lifetime"],
) -> Window | None:
    match file:
        case SlidingWindow(sliding=span):
            return Sliding(span)
        case TumblingWindow(tumbling=span):
            return Tumbling(span)
        case CalendarWindow(calendar=period, tz=zone, daily_at=daily_at):
            known = _zone_is_known(draft, (*location, "window", "tz"), zone)
            return Calendar(period, zone, daily_at) if known else None
        case _:
            return Lifetime()


def _retract(draft: Draft, location: Location, file: AggregateFile) -> Retract | None:
    if file.retract is None:
        return None
    at: Location = (*location, "retract")
    if not event_is_sound(draft, (*at, "event"), file.retract.event, pattern=False):
        return None
    ref = file.retract.ref.removeprefix("event.")
    for source in (file.source, file.retract.event):
        fields = event_root(frozenset({source})).fields or {}
        if not is_undeclared(source) and ref not in fields:
            draft.error((*at, "ref"), f"{source} has no field {quoted(ref)}{did_you_mean(ref, fields)}")
            return None
    return Retract(file.retract.event, ref)


def trigger_ids(draft: Draft, files: list[Trigger]) -> list[str]:
    """Return an id for every trigger; edges and runs are counted under it, so it never depends on the order."""
    found: list[str] = []
    for position, file in enumerate(files):
        if file.id is None and len(files) > 1:
            draft.error(("when", position), "with several triggers each needs an `id`, such as `id: warning`")
        kind = type(file).__name__.removesuffix("Trigger").lower()
        name = file.id or kind
        if file.id is not None and name in found:
            draft.error(
                ("when", position, "id"), f"two triggers have the id {quoted(name)}: each needs its own"
            )
        found.append(name)
    return found


def trigger(
    draft: Draft, position: int, name: str, file: Trigger, on_replay: Replay
) -> CompiledTrigger | None:
    location: Location = ("when", position)
    match file:
        case EventTrigger():
            if not event_is_sound(draft, (*location, "event"), file.event, pattern=True):
                return None
            where = None
            if file.where is not None:
                where = draft.expression((*location, "where"), draft.scopes.where(file.event), Kind.BOOL)
                if where is None:
                    return None
            return OnEvent(name, file.event, where, file.on_replay or on_replay)
        case BecomesTrigger():
            condition = draft.expression((*location, "becomes"), draft.scopes.becomes, Kind.BOOL)
            if condition is None:
                return None
            if not any(_can_change(draft, path) for path in condition.reads):
                draft.warn(
                    (*location, "becomes"), "nothing in this condition changes with an event: it never fires"
                )
            return Becomes(name, condition, file.hold, file.on_first, file.on_replay or on_replay)
        case CrossesTrigger():
            return _crosses(draft, location, name, file)
        case AbsentTrigger():
            return _absent(draft, (*location, "absent"), name, file.absent)


def _absent(draft: Draft, location: Location, name: str, file: AbsentFile) -> Absent | None:
    where = after_where = None
    sound = event_is_sound(draft, (*location, "event"), file.event, pattern=True)
    if sound and file.where is not None:
        where = draft.expression((*location, "where"), draft.scopes.where(file.event), Kind.BOOL)
        sound = where is not None
    if file.after is not None:
        known = event_is_sound(draft, (*location, "after"), file.after, pattern=True)
        if known and file.after_where is not None:
            scope = draft.scopes.where(file.after)
            after_where = draft.expression((*location, "after_where"), scope, Kind.BOOL)
            known = after_where is not None
        sound = sound and known
    return Absent(name, file.event, where, file.within, file.after, after_where) if sound else None


def _can_change(draft: Draft, path: str) -> bool:
    root = path.partition(".")[0]
    return root in {"account", "client"} or root in draft.scopes.aggregates


def _crosses(draft: Draft, trigger_at: Location, name: str, file: CrossesTrigger) -> Crosses | None:
    location: Location = (*trigger_at, "crosses")
    if draft.scopes.key is not KeyKind.ACCOUNT:
        draft.error(
            trigger_at,
            f"`crosses` watches one account, and `key: {draft.scopes.key}` names none: use `key: account`",
        )
        return None
    side: Literal["below", "above"] = "below" if file.crosses.below is not None else "above"
    field = _watched(draft, (*location, "value"))
    limit = draft.expression((*location, side), draft.scopes.level, Kind.NUMBER)
    rearm = None
    if file.crosses.rearm is not None:
        rearm = draft.expression((*location, "rearm"), draft.scopes.level, Kind.NUMBER)
        if rearm is None:
            return None
    if field is None or limit is None:
        return None
    if rearm is not None:
        _rearm_is_behind(draft, (*location, "rearm"), side, limit, rearm)
    return Crosses(name, field, side, limit, rearm, file.on_first)


def _watched(draft: Draft, location: Location) -> Field | None:
    node = draft.document.node(location)
    text = node.text.strip() if isinstance(node, Scalar) else ""
    root, _, field = text.partition(".")
    if root == "account" and field in _FIELDS:
        return cast("Field", field)
    known = [f"account.{name}" for name in _FIELDS]
    near = did_you_mean(text, known) if root == "account" and field not in (ACCOUNT.fields or {}) else ""
    draft.error(
        location,
        f"`crosses` watches one of {', '.join(known)}, not {quoted(text)}{near or '; for anything else use `becomes`'}",
    )
    return None


def _rearm_is_behind(
    draft: Draft, location: Location, side: str, limit: Expression, rearm: Expression
) -> None:
    # Only where both are plain numbers can this be told while loading.
    if limit.reads or rearm.reads:
        return
    fires, arms = limit.evaluate({}), rearm.evaluate({})
    if not isinstance(fires, Decimal) or not isinstance(arms, Decimal):
        return
    if (arms < fires) if side == "below" else (arms > fires):
        word = "above" if side == "below" else "below"
        draft.error(location, f"`rearm` lies {word} the limit: otherwise it arms again while it still holds")


def limit(file: LimitFile | None) -> Limit | None:
    return Limit(file.max, file.every, file.per) if file is not None else None


def most_open(file: RunFile | None) -> int | None:
    return None if file is None else 1 if file.mode == "single" else file.max


def quiet(draft: Draft, file: QuietFile | None) -> Quiet | None:
    if file is None:
        return None
    location: Location = ("quiet_hours", "tz")
    name = file.tz.strip()
    zone: str | Expression | None = name
    if not is_zone(name):
        if _LIKE_A_ZONE.fullmatch(name):
            draft.error(location, f"unknown time zone {quoted(name)}{did_you_mean(name, _zones())}")
            return None
        zone = draft.expression(location, draft.scopes.scope, Kind.STRING)
    if zone is None:
        return None
    return Quiet(time.fromisoformat(file.start), time.fromisoformat(file.end), zone, file.then == "skip")
