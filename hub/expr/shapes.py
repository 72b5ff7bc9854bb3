"""Code of one shape is made once: what tells two conditions of it apart is given to each function as constants of its own.

Blueprints make a condition a hundred times over, with another threshold each. With code of their own all of these would be
compiled, and most events would find theirs cold.
"""

import ast
from collections.abc import Callable, Mapping, Sequence
from types import CodeType, EllipsisType, FunctionType
from typing import Any, Final
from weakref import WeakValueDictionary

# A node of Python's tree as its class and its fields: unlike nodes, two of them can be compared. A tuple that begins with
# no class is a list of nodes.
Shape = tuple[Any, ...]

LOAD: Final[Shape] = (ast.Load,)
STORE: Final[Shape] = (ast.Store,)
# A call takes all constants in hand, but many a condition is answered by its first part.
MOST_GIVEN: Final = 64

# As long as a function uses it: files come and go. Two threads that miss the same code both make it, and both are right.
_MADE: Final[WeakValueDictionary[Shape, CodeType]] = WeakValueDictionary()


def constant(value: str | bool | EllipsisType | None) -> Shape:
    """Return what is the same in every function of this shape."""
    # Never a number: 1 equals True, and the one's code would answer for the other.
    return (ast.Constant, value)


def name(word: str) -> Shape:
    return (ast.Name, word, LOAD)


def taken(word: str, value: Shape) -> Shape:
    """Return the code that gives a value a name, and is that value."""
    return (ast.NamedExpr, (ast.Name, word, STORE), value)


def keyed(value: Shape, key: Shape) -> Shape:
    return (ast.Subscript, value, key, LOAD)


def attribute(value: Shape, field: str) -> Shape:
    return (ast.Attribute, value, field, LOAD)


def compared(left: Shape, operator: type[ast.cmpop], right: Shape) -> Shape:
    return (ast.Compare, left, ((operator,),), (right,))


def called(word: str, *arguments: Shape) -> Shape:
    return (ast.Call, name(word), arguments, ())


def opposite(value: Shape) -> Shape:
    return (ast.UnaryOp, (ast.Not,), value)


def listed(values: Sequence[Shape]) -> Shape:
    return (ast.List, tuple(values), LOAD)


def either(values: Sequence[Shape]) -> Shape:
    return (ast.BoolOp, (ast.Or,), tuple(values))


def every(values: Sequence[Shape]) -> Shape:
    return (ast.BoolOp, (ast.And,), tuple(values))


def choice(test: Shape, then: Shape, otherwise: Shape) -> Shape:
    return (ast.IfExp, test, then, otherwise)


def function(
    arguments: tuple[str, ...],
    body: Shape,
    constants: Mapping[str, object],
    known: dict[str, Any],
) -> Callable[..., object]:
    """Return a function of these arguments, which reads its constants by their names, and `known` by theirs.

    The constants follow its arguments, as defaults. Whoever calls it gives what its type says, and no text of anybody has
    a say in how many that are, so no other value ever takes a constant's place.
    """
    if len(constants) > MOST_GIVEN:
        return FunctionType(_compiled((arguments, body)), {**known, **constants})
    shape = ((*arguments, *constants), body)
    code = _MADE.get(shape)
    if code is None:
        code = _MADE[shape] = _compiled(shape)
    return FunctionType(code, known, argdefs=tuple(constants.values()))


def written(arguments: tuple[str, ...], body: Shape) -> str:
    """Return the code as text."""
    return ast.unparse(_tree((arguments, body)))


def _compiled(shape: Shape) -> CodeType:
    tree = ast.fix_missing_locations(ast.Expression(_tree(shape)))
    # Made of our own nodes, and run only to define a function: nothing is called.
    made: FunctionType = eval(compile(tree, "<expression>", "eval"), {"__builtins__": {}})  # noqa: S307
    return made.__code__


def _tree(shape: Shape) -> ast.Lambda:
    arguments, body = shape
    given = [ast.arg(word) for word in arguments]
    return ast.Lambda(ast.arguments([], given, None, [], [], None, []), _node(body))


def _node(part: Any) -> Any:
    if not isinstance(part, tuple):
        return part
    if part and isinstance(part[0], type):
        kind, *fields = part
        return kind(*map(_node, fields))
    return list(map(_node, part))
