"""What the operators do to values: shared by the fast code and the careful evaluator, so that they cannot differ.

Nothing here depends on the caller's decimal context. Whatever has no answer raises ``Unknowable``.
"""

import decimal
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final, Never

from hub.expr.types import NUMERIC, Kind, spoken

# Emax makes a result of 1e31 or more an Overflow: no product of hostile factors can grow without end.
CONTEXT: Final = decimal.Context(
    prec=38,
    rounding=decimal.ROUND_HALF_EVEN,
    Emin=-200,
    Emax=30,
    traps=[decimal.InvalidOperation, decimal.DivisionByZero, decimal.Overflow],
)
MAX_TEXT: Final = 10_000
MAX_ITEMS: Final = 10_000
MAX_MICROSECONDS: Final = 10**17  # about three thousand years
MICROSECOND: Final = timedelta(microseconds=1)

Number = Decimal | int


class Unknowable(Exception):
    """A value that cannot be had, and why."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def refuse() -> Never:
    """Leave the fast code: something is missing, and the careful evaluator will say what."""
    raise Unknowable("a value is missing")


def kind_of(value: object) -> Kind:
    """Return what a value is, seen from inside the language."""
    match value:
        case bool():
            return Kind.BOOL
        case int() | Decimal():
            return Kind.NUMBER
        case str():
            return Kind.STRING
        case datetime():
            return Kind.TIME
        case timedelta():
            return Kind.DURATION
        case list() | tuple() | set() | frozenset():
            return Kind.LIST
        case _:
            return Kind.OBJECT


def exact(value: object) -> object:
    """Return a float, which only undeclared JSON can hold, as the decimal it was written as."""
    return Decimal(repr(value)) if isinstance(value, float) else value


def number(value: object) -> Number:
    if isinstance(value, (int, Decimal)) and not isinstance(value, bool):
        return value
    raise Unknowable(f"{spoken(kind_of(value))} where a number is needed")


def narrow(kind: Kind, value: object) -> object:
    """Return an undeclared value as it is if it is of the kind needed."""
    found = kind_of(value)
    if found is kind or (found is Kind.NUMBER and kind in NUMERIC):
        return value
    raise Unknowable(f"{spoken(found)} where {spoken(kind)} is needed")


def text(value: object) -> str:
    if isinstance(value, str):
        return value
    raise Unknowable(f"{spoken(kind_of(value))} where text is needed")


def moment(value: object) -> datetime:
    if isinstance(value, datetime):
        return value
    raise Unknowable(f"{spoken(kind_of(value))} where a time is needed")


def same_kind(left: object, right: object) -> Kind:
    one, other = kind_of(left), kind_of(right)
    if one is not other:
        raise Unknowable(f"{spoken(one)} cannot be compared with {spoken(other)}")
    if one in {Kind.LIST, Kind.OBJECT}:
        raise Unknowable(f"{spoken(one)} cannot be compared")
    return one


def equal(left: object, right: object) -> bool:
    same_kind(left, right)
    return left == right


def unequal(left: object, right: object) -> bool:
    same_kind(left, right)
    return left != right


def _ordered(left: object, right: object) -> int:
    """Return -1, 0 or 1."""
    match left, right:
        case (bool(), _) | (_, bool()):
            pass
        case ((int() | Decimal()), (int() | Decimal())):
            return (left > right) - (left < right)
        case str(), str():
            return (left > right) - (left < right)
        case datetime(), datetime():
            return (left > right) - (left < right)
        case timedelta(), timedelta():
            return (left > right) - (left < right)
        case _:
            pass
    kind = same_kind(left, right)
    raise Unknowable(f"{spoken(kind)} has no order")


def less(left: object, right: object) -> bool:
    return _ordered(left, right) < 0


def at_most(left: object, right: object) -> bool:
    return _ordered(left, right) <= 0


def more(left: object, right: object) -> bool:
    return _ordered(left, right) > 0


def at_least(left: object, right: object) -> bool:
    return _ordered(left, right) >= 0


def member(item: object, container: object) -> bool:
    """Return whether the item equals one of the list: like ``or`` of ``==``, so a mismatch matters only without a hit."""
    if not isinstance(container, (list, tuple, set, frozenset)):
        raise Unknowable(f"{spoken(kind_of(container))} where a list is needed")
    if len(container) > MAX_ITEMS:
        raise Unknowable(f"a list of more than {MAX_ITEMS} items")
    mismatch: Unknowable | None = None
    for candidate in container:
        try:
            if equal(item, exact(candidate)):
                return True
        except Unknowable as problem:
            mismatch = problem
    if mismatch is not None:
        raise mismatch
    return False


def not_member(item: object, container: object) -> bool:
    return not member(item, container)


def add(left: object, right: object) -> object:
    match left, right:
        case str(), str():
            if len(left) + len(right) > MAX_TEXT:
                raise Unknowable(f"a text of more than {MAX_TEXT} characters")
            return left + right
        case datetime(), timedelta():
            return _in_utc(left) + right
        case timedelta(), datetime():
            return _in_utc(right) + left
        case timedelta(), timedelta():
            return left + right
        case _:
            return CONTEXT.add(number(left), number(right))


def subtract(left: object, right: object) -> object:
    match left, right:
        case datetime(), datetime():
            return _in_utc(left) - _in_utc(right)
        case datetime(), timedelta():
            return _in_utc(left) - right
        case timedelta(), timedelta():
            return left - right
        case _:
            return CONTEXT.subtract(number(left), number(right))


def _in_utc(value: datetime) -> datetime:
    # Python adds to the wall clock of a zone, which is an hour off across a change of clocks.
    if value.tzinfo is None:
        raise Unknowable("a time without a zone")
    return value.astimezone(UTC)


def multiply(left: object, right: object) -> object:
    match left, right:
        case timedelta(), _:
            return duration(CONTEXT.multiply(left // MICROSECOND, number(right)))
        case _, timedelta():
            return duration(CONTEXT.multiply(right // MICROSECOND, number(left)))
        case _:
            return CONTEXT.multiply(number(left), number(right))


def divide(left: object, right: object) -> object:
    match left, right:
        case timedelta(), timedelta():
            return CONTEXT.divide(left // MICROSECOND, right // MICROSECOND)
        case timedelta(), _:
            return duration(CONTEXT.divide(left // MICROSECOND, number(right)))
        case _:
            return CONTEXT.divide(number(left), number(right))


def duration(microseconds: Decimal) -> timedelta:
    if not abs(microseconds) <= MAX_MICROSECONDS:
        raise Unknowable("the duration is too long")
    return timedelta(microseconds=int(microseconds.to_integral_value(decimal.ROUND_HALF_EVEN)))


def floor_divide(left: object, right: object) -> Decimal:
    """Round down, as Python's ``//`` does for its own integers and decimals do not."""
    one, other = number(left), number(right)
    quotient = CONTEXT.divide_int(one, other)
    remainder = CONTEXT.remainder(one, other)
    if remainder and (remainder < 0) != (other < 0):
        return CONTEXT.subtract(quotient, 1)
    return quotient


def modulo(left: object, right: object) -> Decimal:
    """Return the remainder with the sign of the divisor, the other half of ``floor_divide``."""
    one, other = number(left), number(right)
    remainder = CONTEXT.remainder(one, other)
    if remainder and (remainder < 0) != (other < 0):
        return CONTEXT.add(remainder, other)
    return remainder


def negate(value: object) -> object:
    return -value if isinstance(value, timedelta) else CONTEXT.minus(number(value))


Operator = Callable[[object, object], object]
ARITHMETIC: Final[dict[str, Operator]] = {
    "+": add,
    "-": subtract,
    "*": multiply,
    "/": divide,
    "//": floor_divide,
    "%": modulo,
}
COMPARE: Final[dict[str, Callable[[object, object], bool]]] = {
    "==": equal,
    "!=": unequal,
    "<": less,
    "<=": at_most,
    ">": more,
    ">=": at_least,
}


def why_not(problem: Exception, operator: str = "") -> str:
    """Put what went wrong in an operation into words."""
    match problem:
        case Unknowable(reason=reason):
            return reason
        case decimal.DivisionByZero() | decimal.DivisionUndefined() | ZeroDivisionError():
            return "division by zero"
        case decimal.Overflow() | OverflowError():
            return "the result is too large"
        case decimal.InvalidOperation():
            return "division by zero" if operator in {"/", "//", "%"} else "the result is not a number"
        case _:
            return "it cannot be worked out"
