"""Which types may be combined, and what comes of it: the rules of money, time and text."""

from dataclasses import replace
from decimal import Decimal
from typing import Final

from hub.errors import ExpressionError
from hub.expr.tree import Literal, Node, Path
from hub.expr.types import ANY, BOOL, DURATION, NUMBER, ORDERED, STRING, TIME, Kind, Type

_FINE: Final = {
    ("+", Kind.STRING, Kind.STRING): STRING,
    ("-", Kind.TIME, Kind.TIME): DURATION,
    ("+", Kind.TIME, Kind.DURATION): TIME,
    ("-", Kind.TIME, Kind.DURATION): TIME,
    ("+", Kind.DURATION, Kind.TIME): TIME,
    ("+", Kind.DURATION, Kind.DURATION): DURATION,
    ("-", Kind.DURATION, Kind.DURATION): DURATION,
    ("/", Kind.DURATION, Kind.DURATION): NUMBER,
    **{("*", Kind.DURATION, kind): DURATION for kind in (Kind.NUMBER, Kind.PERCENT)},
    **{("*", kind, Kind.DURATION): DURATION for kind in (Kind.NUMBER, Kind.PERCENT)},
    **{("/", Kind.DURATION, kind): DURATION for kind in (Kind.NUMBER, Kind.PERCENT)},
}


def problem(message: str, node: Node) -> ExpressionError:
    return ExpressionError(message, node.start, node.end - node.start)


def is_null(node: Node) -> bool:
    return isinstance(node, Literal) and node.value is None


def arithmetic(operator: str, left: Node, right: Node, whole: Node) -> Type:
    one, other = left.type, right.type
    optional = one.optional or other.optional
    for side in (left, right):
        if is_null(side):
            raise problem("null is no value: write `default(x, 0)` for what may be missing", side)
    if (
        operator in {"/", "//", "%"}
        and isinstance(right, Literal)
        and right.value == 0
        and right.value is not False
    ):
        raise problem("this divides by zero", right)
    if one.numeric and other.numeric:
        return _numbers(operator, left, right, whole).or_missing(optional)
    if (result := _FINE.get((operator, one.kind, other.kind))) is not None:
        return result.or_missing(optional)
    if Kind.ANY in {one.kind, other.kind} and not {one.kind, other.kind} & {
        Kind.BOOL,
        Kind.LIST,
        Kind.OBJECT,
    }:
        if operator in {"//", "%"} or (operator != "+" and one.kind is other.kind):
            return (NUMBER if operator in {"//", "%"} else ANY).or_missing()
        return ANY.or_missing()
    raise problem(f"`{operator}` cannot join {one} and {other}{_hint(operator, one, other)}", whole)


def _hint(operator: str, one: Type, other: Type) -> str:
    kinds = {one.kind, other.kind}
    if Kind.STRING in kinds and operator == "%":
        return ": to write texts with values use a template"
    if Kind.STRING in kinds and operator == "*":
        return ": text is not repeated"
    if Kind.STRING in kinds and operator == "+":
        return ": to write numbers into text use a template, to read a number from text `number(x)`"
    if Kind.TIME in kinds and (one.numeric or other.numeric):
        return ": write how long, such as `hours(6)`"
    return ""


def _numbers(operator: str, left: Node, right: Node, whole: Node) -> Type:
    one, other = left.type, right.type
    moneys = [type_ for type_ in (one, other) if type_.kind is Kind.MONEY]
    if len(moneys) == 2:
        currency = same_currency(one, other, whole)
        if operator == "*":
            raise problem("money times money is nothing anybody can pay", whole)
        if operator in {"/", "//"}:
            return NUMBER
        return Type(Kind.MONEY, currency=currency)
    if not moneys:
        return NUMBER
    money = replace(moneys[0], optional=False)
    match operator:
        case "*":
            return money
        case "/" | "//" if other.kind is Kind.MONEY:
            raise problem(f"{one} divided by money means nothing: divide money by money", whole)
        case "/" | "//":
            return money
        case _ if money.currency is not None:
            raise problem(
                f"`{operator}` cannot join {one} and {other}: declare the other as money in {money.currency} too",
                whole,
            )
        case _:
            return money


def same_currency(one: Type, other: Type, whole: Node) -> str | None:
    """Return the currency both sides share; the account's own, unnamed one goes with any."""
    if one.currency and other.currency and one.currency != other.currency:
        raise problem(f"{one} and {other} do not mix: convert one of them first", whole)
    return one.currency or other.currency


def comparable(operator: str, left: Node, right: Node, whole: Node) -> Type:
    """Return true-or-false if the two sides can be compared."""
    one, other = left.type, right.type
    if is_null(left) or is_null(right):
        name = next((side.dotted for side in (left, right) if isinstance(side, Path)), "x")
        hint = f"has({name})" if operator == "!=" else f"not has({name})"
        raise problem(f"nothing can be compared with null: write `{hint}`", whole)
    for side in (left, right):
        if side.type.kind in {Kind.LIST, Kind.OBJECT}:
            hint = (
                ": write `in`, or compare a field"
                if side.type.kind is Kind.LIST
                else ": compare one of its fields"
            )
            raise problem(f"{side.type} cannot be compared{hint}", side)
        if operator not in {"==", "!="} and side.type.kind not in ORDERED | {Kind.ANY}:
            raise problem(f"{side.type} has no order: `{operator}` cannot be used", side)
    if one.kind is Kind.MONEY and other.kind is Kind.MONEY:
        same_currency(one, other, whole)
    if one.kind is other.kind or (one.numeric and other.numeric) or Kind.ANY in {one.kind, other.kind}:
        return BOOL.or_missing(one.optional or other.optional)
    raise problem(f"{one} cannot be compared with {other}{_unquote(left, right)}", whole)


def _unquote(left: Node, right: Node) -> str:
    for literal, against in ((left, right), (right, left)):
        if not isinstance(literal, Literal) or not isinstance(literal.value, str):
            continue
        if against.type.numeric and literal.value.replace(".", "", 1).lstrip("-").isdigit():
            return f": write {literal.value} without quotes"
        if against.type.kind is Kind.BOOL:
            return ": write true or false without quotes"
        if against.type.kind is Kind.TIME:
            return ': write `time("...")`'
    for literal, against in ((left, right), (right, left)):
        if (
            isinstance(literal, Literal)
            and isinstance(literal.value, Decimal)
            and against.type.kind is Kind.STRING
        ):
            return f': write "{literal.value}" in quotes'
    return ""


def alike(one: Node, other: Node, whole: Node) -> Type:
    """Return the type that holds both, for branches, fallbacks and lists."""
    left, right = one.type, other.type
    optional = left.optional or right.optional
    if is_null(one) or is_null(other):
        return (right if is_null(one) else left).or_missing()
    if left.numeric and right.numeric:
        if Kind.MONEY in {left.kind, right.kind}:
            currency = same_currency(left, right, whole)
            return Type(Kind.MONEY, optional=optional, currency=currency)
        return (left if left.kind is right.kind else NUMBER).or_missing(optional)
    if left.kind is Kind.LIST and right.kind is Kind.LIST:
        item = left.item if left.item == right.item else ANY
        return Type(Kind.LIST, optional=optional, item=item)
    if left.kind is right.kind and left.fields == right.fields:
        return left.or_missing(optional)
    if Kind.ANY in {left.kind, right.kind}:
        return ANY.or_missing(optional)
    raise problem(f"{left} and {right} do not go together here: both have to be of one kind", whole)
