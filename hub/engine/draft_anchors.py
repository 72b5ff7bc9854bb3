"""Anchors on their way from a file to a program: their types, what may be sampled, and limits that follow a peak."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Final, Literal, cast

from hub.engine.draft import Draft
from hub.engine.draft_aggregates import Param, name_problem
from hub.engine.draft_names import event_is_sound, zone_is_known
from hub.engine.keys import KeyKind
from hub.engine.model_anchors import AnchorFile
from hub.engine.nodes import Location
from hub.engine.problems import quoted
from hub.engine.program import Anchor, Calendar, Sampled, Trailing
from hub.engine.scopes import ANY
from hub.expr import SAMPLED, Expression, Kind, Type
from hub.expr.tree import Arithmetic, Call, Narrow, Negate, Node, Path, paths
from hub.expr.types import NUMERIC

FIELDS: Final = ("equity", "floating", "free_margin", "margin_level")
_KEPT: Final = NUMERIC | {Kind.STRING, Kind.BOOL, Kind.TIME, Kind.DURATION, Kind.ANY}

How = Literal["daily", "once", "event", "max", "min"]


def anchor(
    draft: Draft, name: str, file: AnchorFile, given: Mapping[str, Param]
) -> tuple[Anchor | None, Type]:
    """Return the anchor and its type; those before it in the file are known to it."""
    location: Location = ("anchors", name)
    if problem := name_problem(name):
        draft.key_error(location, problem)
        return None, ANY
    if name in draft.scopes.aggregates:
        draft.key_error(location, f"{quoted(name)} is an aggregate already: each needs a name of its own")
        return None, ANY
    how = _how(file)
    taken = _taken(draft, location, file, how)
    if taken is None:
        return None, ANY
    field = _trailed(taken) if how in {"max", "min"} else None
    type_ = replace(taken.type, optional=True, finite=taken.type.numeric)
    sound = taken.type.kind in _KEPT and _may_be_sampled(draft, location, how, taken, field)
    if taken.type.kind not in _KEPT:
        draft.error((*location, "take"), f"an anchor remembers one value, and this is {taken.type}")
    day = _day(draft, location, file) if file.daily_at is not None else None
    where = None
    if sound and file.event is not None:
        where, sound = draft.where((*location, "where"), file.where, draft.scopes.where(file.event))
    kind = Kind.NUMBER if taken.type.numeric else None if taken.type.kind is Kind.ANY else taken.type.kind
    first = lock = None
    if file.first is not None:
        first = draft.expression((*location, "first"), draft.scopes.anchor(), kind)
        sound = sound and first is not None
    if file.lock is not None:
        lock = draft.expression((*location, "lock"), draft.scopes.anchor(), kind)
        sound = sound and lock is not None
    shifts = file.cash_flows == "shift"
    if shifts and not _may_shift(draft, (*location, "cash_flows"), how, taken, field):
        return None, type_
    if field is not None:
        draft.trails.add(name)
    if not sound or (file.daily_at is not None and day is None):
        return None, type_
    made = Anchor(name, how, taken, "", first, lock, day, file.event, where, field, shifts)
    return replace(made, definition=_definition(made, given)), type_


def _how(file: AnchorFile) -> How:
    if file.max is not None:
        return "max"
    if file.min is not None:
        return "min"
    return "daily" if file.daily_at is not None else "event" if file.event is not None else "once"


def _taken(draft: Draft, location: Location, file: AnchorFile, how: How) -> Expression | None:
    if (how == "daily" or draft.scopes.key is KeyKind.ACCOUNT) and how in {"daily", "max", "min"}:
        scope = draft.scopes.anchor(sampled=True)
    elif file.event is not None:
        if not event_is_sound(draft, (*location, "event"), file.event, pattern=True):
            return None
        scope = draft.scopes.where(file.event)
    else:
        scope = draft.scopes.anchor()
    if how == "daily" and draft.scopes.key is not KeyKind.ACCOUNT:
        draft.error(
            (*location, "daily_at"),
            f"days are those of an account, and `key: {draft.scopes.kept_by}` names none: use `key: account`",
        )
        return None
    expects = Kind.NUMBER if how in {"max", "min"} else None
    return draft.expression((*location, how if how in {"max", "min"} else "take"), scope, expects)


def _trailed(taken: Expression) -> Sampled | None:
    tree = taken.tree
    if isinstance(tree, Path) and tree.names[0] == "account" and len(tree.names) == 2:
        return cast("Sampled", tree.names[1]) if tree.names[1] in FIELDS else None
    return None


def _may_be_sampled(
    draft: Draft, location: Location, how: How, taken: Expression, field: Sampled | None
) -> bool:
    sampled = sorted(taken.reads & SAMPLED)
    unknown = [path for path in sampled if path.removeprefix("account.") not in FIELDS]
    if unknown:
        known = ", ".join(f"account.{each}" for each in FIELDS)
        at = (*location, how if how in {"max", "min"} else "take")
        draft.error(
            at, f"{unknown[0]} is not told when a day rolls over: of what is sampled there are {known}"
        )
        return False
    if sampled and how in {"max", "min"} and field is None:
        draft.error(
            (*location, how),
            f"between events the {how} of a sampled value itself is followed: write `{how}: {sampled[0]}`, and reckon "
            f"with it in the limit, such as `below: {location[-1]} - 2000`",
        )
        return False
    return True


def _may_shift(draft: Draft, location: Location, how: How, taken: Expression, field: Sampled | None) -> bool:
    if draft.scopes.key is not KeyKind.ACCOUNT:
        draft.error(
            location,
            f"money comes to an account, and `key: {draft.scopes.kept_by}` is none: use `key: account`",
        )
        return False
    if not taken.type.numeric:
        draft.error(location, f"money moves numbers, and this is {taken.type}")
        return False
    if field is not None:
        # A sample may hold money whose event is still on its way: a peak that took it in would be moved by it again.
        draft.error(
            location,
            f"account.{field} is followed between the events, and a sample may hold money before its event comes: follow "
            f"`{how}: account.balance`, or the ends of days, where a value moves with the balance itself",
        )
        return False
    return True


def _day(draft: Draft, location: Location, file: AnchorFile) -> Calendar | None:
    assert file.daily_at is not None
    assert file.tz is not None
    if not zone_is_known(draft, (*location, "tz"), file.tz):
        return None
    return Calendar("day", file.tz, file.daily_at)


def _definition(made: Anchor, given: Mapping[str, Param]) -> str:
    """Return what a remembered value is the value of; an extreme of samples is the same whatever is reckoned with it."""
    if made.trails:
        said: list[object] = [made.how, made.field]
    else:
        reads = made.take.reads | (made.where.reads if made.where is not None else frozenset())
        said = [
            made.how,
            made.take.text.strip(),
            [made.day.zone, made.day.daily_at] if made.day is not None else None,
            made.event,
            made.where.text.strip() if made.where is not None else None,
            {name: str(given[name]) for name in sorted(given) if f"params.{name}" in reads},
            *(["shift"] if made.shifts else []),
        ]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:16]


def trailing(draft: Draft, location: Location, limit: Expression) -> Trailing | None:
    """Return how a limit follows a peak, or None where it reads none; one that cannot be followed is an error."""
    names = sorted(draft.trails & limit.reads)
    if not names:
        return None
    name = names[0]
    if len(names) > 1:
        draft.error(location, f"a limit follows one peak, and this reads {' and '.join(names)}")
        return None
    tree = limit.tree
    line, others = tree, tuple[Node, ...]()
    extreme = tree.function if isinstance(tree, Call) and tree.function in {"min", "max"} else ""
    if isinstance(tree, Call) and extreme:
        following = [part for part in tree.arguments if _reads(part, name)]
        others = tuple(part for part in tree.arguments if not _reads(part, name))
        line = following[0] if len(following) == 1 else tree
    if _degree(line, name) != 1:
        draft.error(
            location,
            f"a limit follows `{name}` in a straight line: add to it, multiply it by what stands still, and put "
            f"`min(...)` or `max(...)` around all of it, such as `min({name} - 2000, account.initial_balance)`",
        )
        return None
    beside = tuple(Expression(limit.text, part) for part in others)
    made = Expression(limit.text, line)
    return Trailing(name, made, beside if extreme == "max" else (), beside if extreme == "min" else ())


def _reads(node: Node, name: str) -> bool:
    return any(path.names[0] == name for path in paths(node))


_CURVED: Final = 2


def _degree(node: Node, name: str) -> int:
    """Return 0 for what stands still, 1 for what is a straight line of the anchor, more for all else."""
    if not _reads(node, name):
        return 0
    match node:
        case Path():
            return 1
        case Negate(operand=operand) | Narrow(operand=operand):
            return _degree(operand, name)
        case Arithmetic(operator="+" | "-", left=left, right=right):
            return max(_degree(left, name), _degree(right, name))
        case Arithmetic(operator="*", left=left, right=right):
            return _degree(left, name) + _degree(right, name)
        case Arithmetic(operator="/", left=left, right=right) if not _reads(right, name):
            return _degree(left, name)
        case _:
            return _CURVED
