"""The JSON of an answer: as deep as answers are, with numbers that are numbers, and nothing of what is deeper."""

import json
from decimal import Decimal
from typing import Any, Final

MOST_LEVELS: Final = 32


def read_json(content: bytes, *, exact: bool = False) -> Any:
    """Return what an answer says, with `exact` every digit of its numbers. Raises ValueError with why it is not read."""
    try:
        found = json.loads(
            content.decode(), parse_constant=_no_number, parse_float=Decimal if exact else float
        )
    except RecursionError:
        raise _too_deep() from None
    except ArithmeticError:
        raise ValueError("a number has a larger exponent than any number") from None
    if _deeper(found, MOST_LEVELS):
        raise _too_deep()
    return found


def _too_deep() -> ValueError:
    return ValueError(f"nested deeper than {MOST_LEVELS} levels")


def _deeper(value: object, levels: int) -> bool:
    """Return whether containers are nested more than so deep; level by level, so that itself it never is."""
    level = [value]
    for _ in range(levels):
        level = [
            inner
            for each in level
            if isinstance(each, dict | list)
            for inner in (each.values() if isinstance(each, dict) else each)
        ]
        if not level:
            return False
    return any(isinstance(each, dict | list) for each in level)


def _no_number(text: str) -> None:
    raise ValueError(f"{text} is no number of JSON")
