"""What the answer to a request has to look like: text, numbers, truth values, lists and records of them.

A `?` behind the name of a type means that it may be missing. What is not named is not kept.
"""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final

MOST_FIELDS: Final = 64
DEEPEST: Final = 4
MOST_ITEMS: Final = 200
LONGEST_TEXT: Final = 1_024
MOST_DIGITS: Final = 28
KINDS: Final = ("string", "number", "bool")
Shape = str | list[Any] | Mapping[str, Any]


class Misfit(ValueError):
    """The answer is not what the step expects: the text says where."""


def shape_problem(shape: object, depth: int = 0, where: str = "schema") -> str | None:
    """Return what is wrong with a shape as a workflow file writes it, or None."""
    if depth > DEEPEST:
        return f"{where}: nested too deeply: {DEEPEST} levels are read"
    match shape:
        case str():
            if shape.removesuffix("?") in KINDS:
                return None
            return f"{where}: {shape!r} is no type: write {', '.join(KINDS)}, with ? where it may be missing"
        case [item]:
            return shape_problem(item, depth + 1, f"{where}[]")
        case list():
            return f"{where}: a list has one type, such as [string]"
        case Mapping():
            if not shape or len(shape) > MOST_FIELDS:
                return f"{where}: a record has 1 to {MOST_FIELDS} fields"
            names = (str(name) for name in shape)
            inner = (shape_problem(shape[name], depth + 1, f"{where}.{name}") for name in names)
            return next((problem for problem in inner if problem is not None), None)
        case _:
            return f"{where}: {shape!r} is no type: write {', '.join(KINDS)}, [TYPE] or a record of them"


def may_be_missing(shape: object) -> bool:
    return isinstance(shape, str) and shape.endswith("?")


def conform(shape: Shape, value: object, *, told: bool = False, where: str = "body") -> Any:
    """Return of an answer what the shape names, checked. Raises Misfit.

    `told`: it was checked before, and numbers are texts with exactly their digits.
    """
    match shape:
        case Mapping():
            if not isinstance(value, Mapping):
                raise Misfit(f"{where} is no record")
            found: dict[str, Any] = {}
            for name, inner in shape.items():
                if value.get(name) is not None:
                    found[name] = conform(inner, value[name], told=told, where=f"{where}.{name}")
                elif not may_be_missing(inner):
                    raise Misfit(f"{where}.{name} is missing")
            return found
        case [inner]:
            if not isinstance(value, list):
                raise Misfit(f"{where} is no list")
            if len(value) > MOST_ITEMS:
                raise Misfit(f"{where} has {len(value)} items: at most {MOST_ITEMS} are read")
            return [conform(inner, item, told=told, where=f"{where}[{n}]") for n, item in enumerate(value)]
        case str():
            return _plain(shape.removesuffix("?"), value, told=told, where=where)
        case _:
            raise Misfit(f"{where}: the schema of the step cannot be read")


def tellable(value: Any) -> Any:
    """Return checked values as an outcome tells them."""
    match value:
        case Decimal():
            return format(value, "f")
        case Mapping():
            return {name: tellable(inner) for name, inner in value.items()}
        case list():
            return [tellable(inner) for inner in value]
        case _:
            return value


def _plain(kind: str, value: object, *, told: bool, where: str) -> Any:
    if kind == "string" and isinstance(value, str):
        if len(value) > LONGEST_TEXT:
            raise Misfit(f"{where} has {len(value)} characters: at most {LONGEST_TEXT} are read")
        return value
    if kind == "bool" and isinstance(value, bool):
        return value
    if kind == "number" and not isinstance(value, bool) and isinstance(value, int | Decimal):
        return _number(value, where)
    if kind == "number" and told and isinstance(value, str):
        return _number(value, where)
    raise Misfit(f"{where} is no {kind}")


def _number(value: int | Decimal | str, where: str) -> Decimal:
    if isinstance(value, int) and value.bit_length() > 96:
        raise Misfit(f"{where} has too many digits")
    try:
        number = Decimal(value)
    except InvalidOperation:
        raise Misfit(f"{where} is no number") from None
    exponent = number.as_tuple().exponent
    if (
        not isinstance(exponent, int)
        or len(number.as_tuple().digits) > MOST_DIGITS
        or abs(exponent) > MOST_DIGITS
    ):
        raise Misfit(f"{where} has too many digits")
    return number
