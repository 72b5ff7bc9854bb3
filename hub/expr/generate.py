"""Turns a checked tree into fast code, made of our own nodes and never of anybody's text.

The code answers only where every value it touched was there and of its declared kind. Otherwise it raises, and
the careful evaluator decides. Each read is guarded where it happens, so short circuits stay short.
"""

import ast
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, NamedTuple, Protocol, cast, final

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
    children,
    paths,
)
from hub.expr.types import NUMERIC, Kind

Fast = Callable[[Mapping[str, object]], object]


class Seeker(Protocol):
    """Where what is sought is found by its name."""

    def __getitem__(self, _name: Any, /) -> object: ...


Doubt = Callable[[Mapping[str, object], Seeker], bool]


class Fixed(NamedTuple):
    """A root that is the same object whenever a condition is asked."""

    value: object


class Sought(NamedTuple):
    """A root whose value somebody has to be asked for, under a name of theirs, each time it is read."""

    name: object


Roots = Mapping[str, Fixed | Sought]
OFTEN: Final = 3  # conditions: to take a value in hand for them costs about as much as reading it three times

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


def generate_doubt(conditions: Sequence[tuple[Node, Roots]]) -> Doubt:
    """Return a function of an environment and a seeker, true when any condition answers anything but a plain no.

    Each brings the roots it finds elsewhere than in the environment, so that the same name may stand for something
    else in the next. What the fast code cannot answer raises here as well.
    """
    read_often = _read_often(conditions)
    writer = _Writer(read_often)
    doubts = [writer.doubt(tree, roots) for tree, roots in conditions]
    nobody = ast.Constant(value=False)
    body = ast.BoolOp(op=ast.Or(), values=[*doubts, nobody]) if doubts else nobody
    asked: ast.expr = body
    if read_often:
        # A lambda has no lines to take something in hand first: it does so in questions whose answer is always no.
        writer.read_from({})
        taken = [_is_never(writer.in_hand[path.names], writer.access(path)) for path in read_often]
        asked = ast.BoolOp(op=ast.Or(), values=[*taken, body])
    made = ast.Expression(body=ast.Lambda(args=_arguments("env", "sought"), body=asked))
    code = compile(ast.fix_missing_locations(made), "<conditions>", "eval")
    return cast(Doubt, eval(code, {"__builtins__": {}, **writer.bound}))  # noqa: S307 - as above


def _read_often(conditions: Sequence[tuple[Node, Roots]]) -> list[Path]:
    """Return the paths of the environment that several conditions read, each once."""
    seen: dict[tuple[str, ...], Path] = {}
    counts: Counter[tuple[str, ...]] = Counter()
    for tree, roots in conditions:
        for names, path in {path.names: path for path in paths(tree)}.items():
            if path.hops and names[0] not in roots and not _is_by_name(path):
                counts[names] += 1
                seen.setdefault(names, path)
    return [seen[names] for names, count in counts.items() if count >= OFTEN]


def needs_environment(tree: Node, roots: Roots) -> bool:
    """Return whether the code reads one of these roots by its name, which only an environment can answer."""
    return any(path.names[0] in roots for path in _read_by_name(tree))


def _read_by_name(node: Node) -> Iterator[Path]:
    if isinstance(node, Call) and node.function == "has":
        yield from paths(node)
    elif isinstance(node, Path) and _is_by_name(node):
        yield node
    for child in children(node):
        yield from _read_by_name(child)


def _is_by_name(path: Path) -> bool:
    return path.type.kind is Kind.ANY or Hop.DYNAMIC in path.hops


def source_of(tree: Node) -> str:
    """Return the code as text, for whoever wants to look at it."""
    return ast.unparse(_Writer().function(tree))


def _arguments(*names: str) -> ast.arguments:
    args = [ast.arg(arg=name) for name in names]
    return ast.arguments(posonlyargs=[], args=args, kwonlyargs=[], kw_defaults=[], defaults=[])


def _name(name: str) -> ast.expr:
    return ast.Name(id=name, ctx=ast.Load())


def _is(left: ast.expr, right: bool | None) -> ast.expr:
    return ast.Compare(left=left, ops=[ast.Is()], comparators=[ast.Constant(value=right)])


def _is_never(name: str, value: ast.expr) -> ast.expr:
    """Return the code that gives a value a name, and asks whether it is what no value ever is."""
    taken = ast.NamedExpr(target=ast.Name(id=name, ctx=ast.Store()), value=value)
    return ast.Compare(left=taken, ops=[ast.Is()], comparators=[ast.Constant(value=...)])


@final
class _Writer:
    def __init__(self, read_often: Sequence[Path] = ()) -> None:
        self.in_hand = {path.names: f"h{number}" for number, path in enumerate(read_often)}
        self.bound: dict[str, object] = {}
        self._names: dict[int, str] = {}
        self._temporaries = 0
        self._roots: Roots = {}

    def function(self, tree: Node) -> ast.Expression:
        return ast.Expression(body=ast.Lambda(args=_arguments("env"), body=self.value(tree)))

    def doubt(self, tree: Node, roots: Roots) -> ast.expr:
        """Return the code of one condition among several; what has to be sought comes last, and is often not needed."""
        self._roots = roots
        if isinstance(tree, And):  # one false part makes it false, whatever the others are: any order will do
            parts = sorted(tree.parts, key=self._seeks)
            asked: ast.expr = ast.BoolOp(op=ast.And(), values=[self.value(part) for part in parts])
        else:
            asked = self.value(tree)
        if tree.type.kind is Kind.BOOL:  # it answers True or False, or raises
            return asked
        return ast.Compare(left=asked, ops=[ast.IsNot()], comparators=[ast.Constant(value=False)])

    def read_from(self, roots: Roots) -> None:
        self._roots = roots

    def _seeks(self, node: Node) -> bool:
        return any(isinstance(self._roots.get(path.names[0]), Sought) for path in paths(node))

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
            return self._access(node)
        return self.value(node)

    def _container(self, container: Node) -> ast.expr:
        if isinstance(container, ListOf) and all(isinstance(item, Literal) for item in container.items):
            return self._bind(frozenset(item.value for item in container.items if isinstance(item, Literal)))
        return self.value(container)

    def _read(self, path: Path) -> ast.expr:
        if _is_by_name(path):
            return self._call(read, self._bind(path), _name("env"))
        self._temporaries += 1
        name = f"t{self._temporaries}"
        taken = ast.NamedExpr(target=ast.Name(id=name, ctx=ast.Store()), value=self._access(path))
        if path.type.kind in NUMERIC:
            # Refuses None, text and floats by raising, infinities and NaN by answering no.
            there = self._call(_IS_FINITE, taken)
        elif path.type.kind is Kind.BOOL:
            there = ast.BoolOp(op=ast.Or(), values=[_is(taken, True), _is(_name(name), False)])
        else:
            return ast.IfExp(test=_is(taken, None), body=self._call(refuse), orelse=_name(name))
        return ast.IfExp(test=there, body=_name(name), orelse=self._call(refuse))

    def _access(self, path: Path) -> ast.expr:
        if path.names in self.in_hand and path.names[0] not in self._roots:
            return _name(self.in_hand[path.names])
        return self.access(path)

    def access(self, path: Path) -> ast.expr:
        """Return the code that reads a path step by step."""
        root, *fields = path.names
        value = self._root(root)
        for field, hop in zip(fields, path.hops, strict=True):
            if hop is Hop.KEY:
                value = ast.Subscript(value=value, slice=ast.Constant(value=field), ctx=ast.Load())
            else:
                value = ast.Attribute(value=value, attr=field, ctx=ast.Load())
        return value

    def _root(self, name: str) -> ast.expr:
        match self._roots.get(name):
            case Fixed(value=value):
                return self._bind(value)
            case Sought(name=sought):
                return ast.Subscript(value=_name("sought"), slice=self._bind(sought), ctx=ast.Load())
            case None:
                return ast.Subscript(value=_name("env"), slice=ast.Constant(value=name), ctx=ast.Load())
