"""How far a condition is from holding: what there is, what it takes, and what remains."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, DivisionByZero, InvalidOperation, Overflow

from hub.expr import Expression
from hub.expr.evaluate import Gap, evaluate
from hub.expr.explain import shown
from hub.expr.tree import And, Comparison, Literal, Narrow, Node, Not, Or

_TURNED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}
_UP = frozenset({">", ">="})
_ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Distance:
    """`share` is how far it has come, from 0 to 1; of several conditions the one with the largest is the nearest."""

    text: str
    share: Decimal


def distances(condition: Expression, env: Mapping[str, object]) -> list[Distance]:
    """Return what still stands between a condition and its holding, as far as that is a matter of more or less."""
    return _of(condition.tree, condition.text, env)


def between(name: str, side: str, value: Decimal, limit: Decimal) -> Distance | None:
    """Return how far a sampled value is from a level; None once it is past it."""
    return _far(name, "<" if side == "below" else ">", value, limit)


def _of(node: Node, text: str, env: Mapping[str, object]) -> list[Distance]:
    if evaluate(node, env) is True:
        return []
    match node:
        case Narrow(operand=operand):
            return _of(operand, text, env)
        case And(parts=parts):
            return [found for part in parts for found in _of(part, text, env)]
        case Or(parts=parts):
            ways = [found for part in parts if (found := _of(part, text, env))]
            # Of several ways the one that is nearest to its end, and that is as far as its hardest part.
            return max(ways, key=lambda way: min(each.share for each in way), default=[])
        case Not(operand=Comparison() as inner):
            return _compared(
                inner, {"<": ">=", "<=": ">", ">": "<=", ">=": "<"}.get(inner.operator, ""), text, env
            )
        case Comparison():
            return _compared(node, node.operator, text, env)
        case _:
            return []


def _compared(node: Comparison, operator: str, text: str, env: Mapping[str, object]) -> list[Distance]:
    if operator not in _TURNED:
        return []
    left, right = node.left, node.right
    if isinstance(left, Literal) and not isinstance(right, Literal):  # 20 < lots is said as lots > 20
        left, right, operator = right, left, _TURNED[operator]
    have, need = _number(evaluate(left, env)), _number(evaluate(right, env))
    if have is None or need is None:
        return []
    found = _far(" ".join(text[left.start : left.end].split()), operator, have, need)
    return [found] if found is not None else []


def _number(value: object) -> Decimal | None:
    if isinstance(value, Gap | bool) or not isinstance(value, Decimal | int):
        return None
    number = Decimal(value)
    return number if number.is_finite() else None


def _far(name: str, operator: str, have: Decimal, need: Decimal) -> Distance | None:
    """Say `17.4 of 20` where it has to grow, and by how much it has to fall where it has to fall."""
    remains = need - have if operator in _UP else have - need
    if remains < 0:
        return None
    more = "more than " if operator in {">", "<"} else ""
    if operator in _UP:
        text = f"{name}: {shown(have)} of {shown(need)}, "
        text += f"{more}{shown(remains)} to go" if remains else "and it has to be more"
        share = _share(have, need) if need > 0 else _ZERO
    else:
        text = f"{name}: {shown(have)}, has to fall "
        text += f"by {more}{shown(remains)} to {shown(need)}" if remains else "below that"
        share = _share(need, have) if have > 0 else _ZERO
    return Distance(text, share)


def _share(part: Decimal, whole: Decimal) -> Decimal:
    try:
        return max(_ZERO, min(Decimal(1), part / whole))
    except (DivisionByZero, InvalidOperation, Overflow):
        return _ZERO
