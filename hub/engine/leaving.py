"""Which conditions can begin to hold because something leaves a window: of the others no moment has to be watched.

Most count upwards: more lots, more losses. When a trade leaves such a window the condition can only let go, and nobody
waits for that before it holds. So one moment is enough, when all that was counted has left.
"""

from typing import Any, get_args

from hub.engine.program import Aggregate, Becomes, Sliding
from hub.events.catalogue import BY_NAME
from hub.events.decimals import DecimalText
from hub.expr.tree import And, Arithmetic, Call, Comparison, Literal, Node, Not, Or, Path, paths

RISING, LEVEL, FALLING = 1, 0, -1
_GREATER = {">", ">="}
_LESS = {"<", "<="}


def only_lets_go(trigger: Becomes, name: str, aggregate: Aggregate) -> bool:
    """Return whether what leaves this sliding window can end the trigger's condition, and never begin it."""
    if not isinstance(aggregate.window, Sliding) or not _counts_upwards(aggregate):
        return False
    return _direction(trigger.condition.tree, name) in {RISING, LEVEL}


def _counts_upwards(aggregate: Aggregate) -> bool:
    """Return whether less is counted when something leaves, whatever it is."""
    if aggregate.function in {"count", "distinct", "distinct_days", "max"}:
        return True
    return aggregate.function == "sum" and aggregate.value is not None and _is_never_negative(aggregate)


def _is_never_negative(aggregate: Aggregate) -> bool:
    assert aggregate.value is not None
    kind = BY_NAME.get(aggregate.source)
    fields = kind.model.model_fields if kind is not None else {}

    def never(node: Node) -> bool:
        match node:
            case Literal(value=value):
                return not isinstance(value, str | bool) and value is not None and value >= 0
            case Call(function="abs"):
                return True
            case Path(names=("event", name)) if name in fields:
                return _is_unsigned(fields[name].annotation, fields[name].metadata)
            case Arithmetic(operator="+" | "*" | "/", left=left, right=right):
                return never(left) and never(right)
            case _:
                return False

    return never(aggregate.value.tree)


def _is_unsigned(annotation: Any, metadata: Any) -> bool:
    marks = [
        *metadata,
        *(mark for each in get_args(annotation) for mark in getattr(each, "__metadata__", ())),
    ]
    return any(isinstance(mark, DecimalText) and not mark.signed for mark in marks)


def _direction(node: Node, name: str) -> int | None:
    """Return which way an answer goes when the aggregate grows: up, not at all, down; None where nobody can say."""
    if not any(path.names[0] == name for path in paths(node)):
        return LEVEL
    match node:
        case Path(names=(only,)) if only == name:
            return RISING
        case Not(operand=operand):
            return _turned(_direction(operand, name))
        case Comparison(operator=operator, left=left, right=right) if operator in _GREATER | _LESS:
            ways = [_direction(left, name), _turned(_direction(right, name))]
            return _together(ways) if operator in _GREATER else _turned(_together(ways))
        case And(parts=parts) | Or(parts=parts):
            return _together([_direction(part, name) for part in parts])
        case _:
            return None


def _turned(direction: int | None) -> int | None:
    return None if direction is None else -direction


def _together(ways: list[int | None]) -> int | None:
    moving = {way for way in ways if way != LEVEL}
    return moving.pop() if len(moving) == 1 else LEVEL if not moving else None
