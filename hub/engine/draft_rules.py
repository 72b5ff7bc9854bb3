"""Parameters, triggers and limits: what decides whether a workflow starts."""

import re
from collections.abc import Mapping
from datetime import time
from decimal import Decimal
from typing import Final, Literal, cast

from hub.durations import duration
from hub.engine import draft_timed
from hub.engine.draft import Draft
from hub.engine.draft_aggregates import Param
from hub.engine.draft_anchors import FIELDS, trailing
from hub.engine.draft_grants import period_end
from hub.engine.draft_names import event_is_sound, is_zone, zones
from hub.engine.keys import KeyedBy, KeyKind
from hub.engine.model import LimitFile, ParamFile, QuietFile, RunFile
from hub.engine.model_grants import PeriodEndTrigger
from hub.engine.model_timed import ManualTrigger, ScheduleTrigger
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
from hub.engine.program import Absent, Becomes, Crosses, OfPosition, OfSymbol, OnEvent, Sampled
from hub.engine.program import Trigger as CompiledTrigger
from hub.engine.program_timed import Limit, Quiet
from hub.engine.scopes import ACCOUNT, OWN
from hub.events.watched import POSITION_FIELDS, SYMBOL_FIELDS
from hub.expr import Expression, Kind, Type

Replay = Literal["fire", "skip"]

_LIKE_A_ZONE: Final = re.compile(r"[A-Za-z_]+/[A-Za-z_/+0-9-]+")
_WATCHED: Final[Mapping[KeyedBy, tuple[str, ...]]] = {
    KeyKind.ACCOUNT: tuple(f"account.{name}" for name in FIELDS),
    KeyKind.POSITION: tuple(f"position.{name}" for name in POSITION_FIELDS),
    KeyKind.SYMBOL: tuple(f"symbol.{name}" for name in SYMBOL_FIELDS),
}


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


def trigger_ids(draft: Draft, files: list[Trigger]) -> list[str]:
    """Return an id for every trigger; edges and runs are counted under it, so it never depends on the order."""
    found: list[str] = []
    for position, file in enumerate(files):
        if file.id is None and len(files) > 1:
            draft.error(("when", position), "with several triggers each needs an `id`, such as `id: warning`")
        kind = "period_end"
        if not isinstance(file, PeriodEndTrigger):
            kind = type(file).__name__.removesuffix("Trigger").lower()
        name = file.id or kind
        if file.id is not None and name in found:
            draft.error(
                ("when", position, "id"), f"two triggers have the id {quoted(name)}: each needs its own"
            )
        found.append(name)
    return found


def trigger(
    draft: Draft, position: int, name: str, file: Trigger, on_replay: Replay, *, critical: bool = False
) -> CompiledTrigger | None:
    location: Location = ("when", position)
    match file:
        case EventTrigger():
            if not event_is_sound(draft, (*location, "event"), file.event, pattern=True):
                return None
            at, scope = (*location, "where"), draft.scopes.where(file.event)
            where, sound = draft.where(at, file.where, scope, scope_is_asked=draft.scopes.by_events)
            if not sound:
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
            for peak in sorted(draft.trails & condition.reads):
                draft.warn(
                    (*location, "becomes"),
                    f"`{peak}` is read as it was told last, with a crossing or a new day: only the limit of a `crosses` "
                    "trigger follows every sample",
                )
            return Becomes(name, condition, file.hold, file.on_first, file.on_replay or on_replay)
        case CrossesTrigger():
            return _crosses(draft, location, name, file, critical=critical)
        case PeriodEndTrigger():
            return period_end(draft, location, name, file)
        case AbsentTrigger():
            return _absent(draft, (*location, "absent"), name, file.absent)
        case ScheduleTrigger():
            return draft_timed.schedule(draft, (*location, "schedule"), name, file.schedule)
        case ManualTrigger():
            return draft_timed.manual(draft, (*location, "manual"), name, file.manual)


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
    return root in {"account", "client"} or root in draft.scopes.aggregates  # which anchors are among


def _crosses(
    draft: Draft, trigger_at: Location, name: str, file: CrossesTrigger, *, critical: bool
) -> Crosses | None:
    location: Location = (*trigger_at, "crosses")
    if draft.scopes.key not in _WATCHED:
        draft.error(
            trigger_at,
            f"`crosses` watches one account, position or symbol, and `key: {draft.scopes.kept_by}` names none: use `key: account`, "
            "`key: position` or `key: symbol`",
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
    if critical and file.crosses.hold is not None and file.crosses.gap is None:
        draft.error(
            (*location, "for"),
            "`priority: critical` says what becomes of `for` when the feed is away: add `gap: restart` (it has to hold anew) "
            "or `gap: continue` (it counts on)",
        )
    trails = trailing(draft, (*location, side), limit)
    rearm_trails = trailing(draft, (*location, "rearm"), rearm) if rearm is not None else None
    if rearm_trails is not None and (trails is None or trails.anchor != rearm_trails.anchor):
        draft.error((*location, "rearm"), f"`rearm` follows `{rearm_trails.anchor}`, and the limit does not")
    return Crosses(
        name,
        field,
        side,
        limit,
        rearm,
        file.on_first,
        file.crosses.inclusive,
        file.crosses.hold,
        file.crosses.gap or "restart",
        trails,
        rearm_trails,
    )


def _watched(draft: Draft, location: Location) -> Sampled | OfPosition | OfSymbol | None:
    node = draft.document.node(location)
    text = node.text.strip() if isinstance(node, Scalar) else ""
    root, _, field = text.partition(".")
    key = draft.scopes.key
    known = _WATCHED[key]
    if text in known:
        return cast("Sampled | OfPosition | OfSymbol", field)
    type_ = OWN.get(key, ACCOUNT)
    near = did_you_mean(text, known) if root == key and field not in (type_.fields or {}) else ""
    other = next((kind for kind, names in _WATCHED.items() if kind != key and text in names), None)
    if other is not None:
        near = f"; that is known with `key: {other}`"
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
    if file is None or file.mode == "queued":
        return None
    return 1 if file.mode == "single" else file.max


def quiet(draft: Draft, file: QuietFile | None) -> Quiet | None:
    if file is None:
        return None
    location: Location = ("quiet_hours", "tz")
    name = file.tz.strip()
    zone: str | Expression | None = name
    if not is_zone(name):
        if _LIKE_A_ZONE.fullmatch(name):
            draft.error(location, f"unknown time zone {quoted(name)}{did_you_mean(name, zones())}")
            return None
        zone = draft.expression(location, draft.scopes.scope, Kind.STRING)
    if zone is None:
        return None
    return Quiet(time.fromisoformat(file.start), time.fromisoformat(file.end), zone, file.then == "skip")
