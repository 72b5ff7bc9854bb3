"""One text for every way of writing the same expression: blanks, quotes and needless parentheses make no difference.

What is kept under such a text is kept for ever, so it never changes: a new kind of part is written in a new way.
"""

import json
from collections.abc import Mapping
from datetime import timedelta
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal
from typing import Final

from hub.expr.tree import (
    MAX_CHARACTERS,
    And,
    Arithmetic,
    Call,
    Choice,
    Comparison,
    ListOf,
    Literal,
    Membership,
    Negate,
    Node,
    Not,
    Or,
    Path,
)

_EVERY_DIGIT: Final = Context(prec=MAX_CHARACTERS, Emax=MAX_EMAX, Emin=MIN_EMIN)


def canonical(node: Node, params: Mapping[str, object]) -> str:
    """Return the text of a tree as it was parsed, with the values of the parameters it reads in their places."""
    match node:
        case Literal(value=value):
            return _value(value)
        case Path(names=("params", name)) if name in params:
            return _value(params[name])
        case Path():
            return node.dotted
        case Negate(operand=operand):
            return f"(-{canonical(operand, params)})"
        case Not(operand=operand):
            return f"(not {canonical(operand, params)})"
        case Arithmetic() | Comparison():
            left, right = canonical(node.left, params), canonical(node.right, params)
            return f"({left} {node.operator} {right})"
        case Membership():
            word = "not in" if node.negated else "in"
            return f"({canonical(node.item, params)} {word} {canonical(node.container, params)})"
        case And(parts=parts) | Or(parts=parts):
            word = " and " if isinstance(node, And) else " or "
            return f"({word.join(canonical(part, params) for part in parts)})"
        case Choice():
            condition = canonical(node.condition, params)
            return f"({canonical(node.then, params)} if {condition} else {canonical(node.otherwise, params)})"
        case Call(arguments=arguments):
            return f"{node.function}({_listed(arguments, params)})"
        case ListOf(items=items):
            return f"[{_listed(items, params)}]"
        case _:
            raise AssertionError(f"the parser builds no {type(node).__name__}")


def _listed(nodes: tuple[Node, ...], params: Mapping[str, object]) -> str:
    return ", ".join(canonical(node, params) for node in nodes)


def _value(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            return json.dumps(value)
        case Decimal():
            return str(value.normalize(_EVERY_DIGIT)) if value else "0"
        case timedelta():
            return f"{value // timedelta(microseconds=1)}us"
        case _:
            raise AssertionError(f"no literal is {value!r}")
