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
from hub.expr.shapes import (
    Shape,
    attribute,
    called,
    choice,
    compared,
    constant,
    either,
    every,
    function,
    keyed,
    listed,
    name,
    opposite,
    taken,
    written,
)
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

_OPERATORS: Final[Mapping[str, type[ast.cmpop]]] = {
    "==": ast.Eq,
    "!=": ast.NotEq,
    "<": ast.Lt,
    "<=": ast.LtE,
    ">": ast.Gt,
    ">=": ast.GtE,
}
_ORDERING: Final = frozenset({"<", "<=", ">", ">="})
# Methods of our own context: exact whatever context the caller runs in, bounded, and None raises in them.
_EXACT: Final[Mapping[str, Callable[..., Decimal]]] = {
    "+": CONTEXT.add,
    "-": CONTEXT.subtract,
    "*": CONTEXT.multiply,
    "/": CONTEXT.divide,
}
# Whatever the code may call, by the name it calls it, and no builtins: the same dictionary for every function.
_KNOWN: Final[dict[str, Any]] = {
    "__builtins__": {},
    "exact_minus": CONTEXT.minus,
    "is_finite": CONTEXT.is_finite,
    "member": member,
    "narrow": narrow,
    "negate": negate,
    "not_member": not_member,
    "present": present,
    "read": read,
    "refuse": refuse,
    **{f"exact_{run.__name__}": run for run in _EXACT.values()},
    **{f"do_{run.__name__}": run for run in (*ARITHMETIC.values(), *COMPARE.values())},
    **{f"call_{known.name}": known.run for known in FUNCTIONS.values()},
}
_ENV: Final = name("env")
_SOUGHT: Final = name("sought")
_NO: Final = constant(value=False)


def generate(tree: Node) -> Fast:
    """Return the tree as a function of an environment."""
    writer = _Writer()
    return cast(Fast, function(("env",), writer.value(tree), writer.constants, _KNOWN))


def generate_doubt(conditions: Sequence[tuple[Node, Roots]]) -> Doubt:
    """Return a function of an environment and a seeker, true when any condition answers anything but a plain no.

    Each brings the roots it finds elsewhere than in the environment, so that the same name may stand for something
    else in the next. What the fast code cannot answer raises here as well.
    """
    read_often = _read_often(conditions)
    writer = _Writer(read_often)
    doubts = [writer.doubt(tree, roots) for tree, roots in conditions]
    body = either([*doubts, _NO]) if doubts else _NO
    if read_often:
        # A lambda has no lines to take something in hand first: it does so in questions whose answer is always no.
        writer.read_from({})
        body = either(
            [*(_is_never(writer.in_hand[path.names], writer.access(path)) for path in read_often), body]
        )
    return cast(Doubt, function(("env", "sought"), body, writer.constants, _KNOWN))


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
    return written(("env",), _Writer().value(tree))


def _is(left: Shape, right: bool | None) -> Shape:
    return compared(left, ast.Is, constant(right))


def _is_never(word: str, value: Shape) -> Shape:
    """Return the code that gives a value a name, and asks whether it is what no value ever is."""
    return compared(taken(word, value), ast.Is, constant(...))


@final
class _Writer:
    def __init__(self, read_often: Sequence[Path] = ()) -> None:
        self.in_hand = {path.names: f"h{number}" for number, path in enumerate(read_often)}
        self.constants: dict[str, object] = {}
        self._names: dict[int, str] = {}
        self._temporaries = 0
        self._roots: Roots = {}

    def doubt(self, tree: Node, roots: Roots) -> Shape:
        """Return the code of one condition among several; what has to be sought comes last, and is often not needed."""
        self._roots = roots
        if isinstance(tree, And):  # one false part makes it false, whatever the others are: any order will do
            parts = sorted(tree.parts, key=self._seeks)
            asked = every([self.value(part) for part in parts])
        else:
            asked = self.value(tree)
        if tree.type.kind is Kind.BOOL:  # it answers True or False, or raises
            return asked
        return compared(asked, ast.IsNot, _NO)

    def read_from(self, roots: Roots) -> None:
        self._roots = roots

    def _seeks(self, node: Node) -> bool:
        return any(isinstance(self._roots.get(path.names[0]), Sought) for path in paths(node))

    def value(self, node: Node) -> Shape:
        match node:
            case Literal(value=None):
                return called("refuse")
            case Literal(value=value):
                return constant(value) if isinstance(value, bool) else self._bind(value)
            case Path():
                return self._read(node)
            case ListOf(items=items):
                return listed([self.value(item) for item in items])
            case Negate(operand=operand):
                if operand.type.kind in NUMERIC:
                    return called("exact_minus", self._used(operand))
                return called("negate", self.value(operand))
            case Arithmetic(operator=operator, left=left, right=right):
                exact = left.type.kind in NUMERIC and right.type.kind in NUMERIC and operator in _EXACT
                if exact:
                    return called(f"exact_{_EXACT[operator].__name__}", self._used(left), self._used(right))
                return called(f"do_{ARITHMETIC[operator].__name__}", self.value(left), self.value(right))
            case Comparison(operator=operator, left=left, right=right):
                if Kind.ANY in {left.type.kind, right.type.kind}:
                    return called(f"do_{COMPARE[operator].__name__}", self.value(left), self.value(right))
                if operator in _ORDERING:
                    return compared(self._used(left), _OPERATORS[operator], self._used(right))
                return compared(self.value(left), _OPERATORS[operator], self.value(right))
            case Membership():
                return self._membership(node)
            case And(parts=parts):
                return every([self.value(part) for part in parts])
            case Or(parts=parts):
                return either([self.value(part) for part in parts])
            case Not(operand=operand):
                return opposite(self.value(operand))
            case Choice(condition=condition, then=then, otherwise=otherwise):
                return choice(self.value(condition), self.value(then), self.value(otherwise))
            case Narrow(operand=operand, kind=kind):
                return called("narrow", self._bind(kind), self.value(operand))
            case Call(function="has", arguments=(path,)):
                return called("present", self._bind(path), _ENV)
            case Call(function="default", arguments=(first, _)):
                # Whoever gets past the first has no need of the fallback; the careful evaluator knows when to use it.
                return self.value(first)
            case Call(function=word, arguments=arguments):
                return called(f"call_{word}", *(self.value(argument) for argument in arguments))
            case _:
                raise AssertionError(f"no code for {type(node).__name__}")

    def _bind(self, value: object) -> Shape:
        # What is bound stays alive in the dictionary, so its id stays its own.
        word = self._names.setdefault(id(value), f"c{len(self.constants)}")
        self.constants[word] = value
        return name(word)

    def _membership(self, node: Membership) -> Shape:
        asked, container = node.item, node.container
        kinds = {asked.type.kind, container.type.kind}
        if container.type.item is None or container.type.item.kind is Kind.ANY or Kind.ANY in kinds:
            run = "not_member" if node.negated else "member"
            return called(run, self.value(asked), self._container(container))
        return compared(self.value(asked), ast.NotIn if node.negated else ast.In, self._container(container))

    def _used(self, node: Node) -> Shape:
        """Return the code of an operand whose operator raises for None and text itself.

        What the scope promises to be finite needs no guard there: the guard costs more than the comparison.
        """
        if isinstance(node, Path) and node.type.finite and Hop.DYNAMIC not in node.hops:
            return self._access(node)
        return self.value(node)

    def _container(self, container: Node) -> Shape:
        if isinstance(container, ListOf) and all(isinstance(item, Literal) for item in container.items):
            return self._bind(frozenset(item.value for item in container.items if isinstance(item, Literal)))
        return self.value(container)

    def _read(self, path: Path) -> Shape:
        if _is_by_name(path):
            return called("read", self._bind(path), _ENV)
        self._temporaries += 1
        word = f"t{self._temporaries}"
        value = taken(word, self._access(path))
        if path.type.kind in NUMERIC:
            # Refuses None, text and floats by raising, infinities and NaN by answering no.
            there = called("is_finite", value)
        elif path.type.kind is Kind.BOOL:
            there = either([_is(value, True), _is(name(word), False)])
        else:
            return choice(_is(value, None), called("refuse"), name(word))
        return choice(there, name(word), called("refuse"))

    def _access(self, path: Path) -> Shape:
        if path.names in self.in_hand and path.names[0] not in self._roots:
            return name(self.in_hand[path.names])
        return self.access(path)

    def access(self, path: Path) -> Shape:
        """Return the code that reads a path step by step."""
        root, *fields = path.names
        value = self._root(root)
        for field, hop in zip(fields, path.hops, strict=True):
            value = keyed(value, constant(field)) if hop is Hop.KEY else attribute(value, field)
        return value

    def _root(self, root: str) -> Shape:
        match self._roots.get(root):
            case Fixed(value=value):
                return self._bind(value)
            case Sought(name=sought):
                return keyed(_SOUGHT, self._bind(sought))
            case None:
                return keyed(_ENV, constant(root))
