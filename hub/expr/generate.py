"""Turns a checked tree into fast code, made of our own nodes and never of anybody's text.

The code answers only where every value it touched was there and of its declared kind. Otherwise it raises, and
the careful evaluator decides. Each read is guarded where it happens, so short circuits stay short.
"""

import ast
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Final, cast, final

from hub.expr.arithmetic import ARITHMETIC, COMPARE, CONTEXT, member, narrow, negate, not_member, refuse
from hub.expr.functions import FUNCTIONS
from hub.expr.paths import present, read
from hub.expr.tree import (
    And,
    Arithmetic,
    Call,
    Choice,
    Comparison,
    Hop,
    ListOf,
    Literal,
    Membership,
    Narrow,
    Negate,
    Node,
    Not,
    Or,
    Path,
)
from hub.expr.types import NUMERIC, Kind

Fast = Callable[[Mapping[str, object]], object]

_OPERATORS: Final[Mapping[str, ast.cmpop]] = {
    "==": ast.Eq(),
    "!=": ast.NotEq(),
    "<": ast.Lt(),
    "<=": ast.LtE(),
    ">": ast.Gt(),
    ">=": ast.GtE(),
}
_ORDERING: Final = frozenset({"<", "<=", ">", ">="})
# Methods of our own context: exact whatever context the caller runs in, bounded, and None raises in them.
_EXACT: Final[Mapping[str, Callable[..., Decimal]]] = {
    "+": CONTEXT.add,
    "-": CONTEXT.subtract,
    "*": CONTEXT.multiply,
    "/": CONTEXT.divide,
}
_MINUS: Final = CONTEXT.minus
_IS_FINITE: Final = CONTEXT.is_finite  # each look-up of a method makes another object


def generate(tree: Node) -> Fast:
    """Return the tree as a function of an environment."""
    writer = _Writer()
    code = compile(ast.fix_missing_locations(writer.function(tree)), "<expression>", "eval")
    # The only names in reach are the constants the writer bound; there are no builtins.
    made = eval(code, {"__builtins__": {}, **writer.bound})  # noqa: S307 - our own tree, see the module's first lines
    return cast(Fast, made)


def source_of(tree: Node) -> str:
    """Return the code as text, for whoever wants to look at it."""
    return ast.unparse(_Writer().function(tree))


def _arguments(name: str) -> ast.arguments:
    return ast.arguments(posonlyargs=[], args=[ast.arg(arg=name)], kwonlyargs=[], kw_defaults=[], defaults=[])


def _name(name: str) -> ast.expr:
    return ast.Name(id=name, ctx=ast.Load())


def _is(left: ast.expr, right: bool | None) -> ast.expr:
    return ast.Compare(left=left, ops=[ast.Is()], comparators=[ast.Constant(value=right)])


@final
class _Writer:
    def __init__(self) -> None:
        self.bound: dict[str, object] = {}
        self._names: dict[int, str] = {}
        self._temporaries = 0

    def function(self, tree: Node) -> ast.Expression:
        return ast.Expression(body=ast.Lambda(args=_arguments("env"), body=self.value(tree)))

    def value(self, node: Node) -> ast.expr:
        match node:
            case Literal(value=None):
                return self._call(refuse)
            case Literal(value=value):
                return ast.Constant(value=value) if isinstance(value, bool) else self._bind(value)
            case Path():
                return self._read(node)
            case ListOf(items=items):
                return ast.List(elts=[self.value(item) for item in items], ctx=ast.Load())
            case Negate(operand=operand):
                exact = operand.type.kind in NUMERIC
                return (
                    self._call(_MINUS, self._used(operand))
                    if exact
                    else self._call(negate, self.value(operand))
                )
            case Arithmetic(operator=operator, left=left, right=right):
                exact = left.type.kind in NUMERIC and right.type.kind in NUMERIC and operator in _EXACT
                if exact:
                    return self._call(_EXACT[operator], self._used(left), self._used(right))
                return self._call(ARITHMETIC[operator], self.value(left), self.value(right))
            case Comparison(operator=operator, left=left, right=right):
                if Kind.ANY in {left.type.kind, right.type.kind}:
                    return self._call(COMPARE[operator], self.value(left), self.value(right))
                if operator in _ORDERING:
                    return ast.Compare(self._used(left), [_OPERATORS[operator]], [self._used(right)])
                return self._compare(left, _OPERATORS[operator], self.value(right))
            case Membership():
                return self._membership(node)
            case And(parts=parts):
                return ast.BoolOp(op=ast.And(), values=[self.value(part) for part in parts])
            case Or(parts=parts):
                return ast.BoolOp(op=ast.Or(), values=[self.value(part) for part in parts])
            case Not(operand=operand):
                return ast.UnaryOp(op=ast.Not(), operand=self.value(operand))
            case Choice(condition=condition, then=then, otherwise=otherwise):
                return ast.IfExp(
                    test=self.value(condition), body=self.value(then), orelse=self.value(otherwise)
                )
            case Narrow(operand=operand, kind=kind):
                return self._call(narrow, self._bind(kind), self.value(operand))
            case Call(function="has", arguments=(path,)):
                return self._call(present, self._bind(path), _name("env"))
            case Call(function="default", arguments=(first, _)):
                # Whoever gets past the first has no need of the fallback; the careful evaluator knows when to use it.
                return self.value(first)
            case Call(function=name, arguments=arguments):
                return self._call(FUNCTIONS[name].run, *(self.value(argument) for argument in arguments))
            case _:
                raise AssertionError(f"no code for {type(node).__name__}")

    def _bind(self, value: object) -> ast.expr:
        # Bound objects stay alive in the dictionary, so their ids stay theirs.
        name = self._names.setdefault(id(value), f"c{len(self.bound)}")
        self.bound[name] = value
        return _name(name)

    def _call(self, run: Callable[..., object], *arguments: ast.expr) -> ast.expr:
        return ast.Call(func=self._bind(run), args=list(arguments), keywords=[])

    def _compare(self, left: Node, operator: ast.cmpop, right: ast.expr) -> ast.expr:
        return ast.Compare(left=self.value(left), ops=[operator], comparators=[right])

    def _membership(self, node: Membership) -> ast.expr:
        item, container = node.item, node.container
        kinds = {item.type.kind, container.type.kind}
        if container.type.item is None or container.type.item.kind is Kind.ANY or Kind.ANY in kinds:
            return self._call(
                not_member if node.negated else member, self.value(item), self._container(container)
            )
        operator = ast.NotIn() if node.negated else ast.In()
        return self._compare(item, operator, self._container(container))

    def _used(self, node: Node) -> ast.expr:
        """Return the code of an operand whose operator raises for None and text itself.

        What the scope promises to be finite needs no guard there: the guard costs more than the comparison.
        """
        if isinstance(node, Path) and node.type.finite and Hop.DYNAMIC not in node.hops:
            return _access(node)
        return self.value(node)

    def _container(self, container: Node) -> ast.expr:
        if isinstance(container, ListOf) and all(isinstance(item, Literal) for item in container.items):
            return self._bind(frozenset(item.value for item in container.items if isinstance(item, Literal)))
        return self.value(container)

    def _read(self, path: Path) -> ast.expr:
        if path.type.kind is Kind.ANY or Hop.DYNAMIC in path.hops:
            return self._call(read, self._bind(path), _name("env"))
        self._temporaries += 1
        name = f"t{self._temporaries}"
        taken = ast.NamedExpr(target=ast.Name(id=name, ctx=ast.Store()), value=_access(path))
        if path.type.kind in NUMERIC:
            # Refuses None, text and floats by raising, infinities and NaN by answering no.
            there = self._call(_IS_FINITE, taken)
        elif path.type.kind is Kind.BOOL:
            there = ast.BoolOp(op=ast.Or(), values=[_is(taken, True), _is(_name(name), False)])
        else:
            return ast.IfExp(test=_is(taken, None), body=self._call(refuse), orelse=_name(name))
        return ast.IfExp(test=there, body=_name(name), orelse=self._call(refuse))


def _access(path: Path) -> ast.expr:
    root, *fields = path.names
    value: ast.expr = ast.Subscript(value=_name("env"), slice=ast.Constant(value=root), ctx=ast.Load())
    for field, hop in zip(fields, path.hops, strict=True):
        if hop is Hop.KEY:
            value = ast.Subscript(value=value, slice=ast.Constant(value=field), ctx=ast.Load())
        else:
            value = ast.Attribute(value=value, attr=field, ctx=ast.Load())
    return value
