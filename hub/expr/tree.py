"""The expression as a tree: the parser builds it without types, the checker builds it again with them."""

from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from typing import Final

from hub.expr.types import ANY, Kind, Type

MAX_CHARACTERS: Final = 2_000
MAX_NODES: Final = 400
MAX_DEPTH: Final = 64


class Hop(Enum):
    """How one step of a path is taken."""

    ATTRIBUTE = "attribute"
    KEY = "key"
    DYNAMIC = "dynamic"  # a mapping nobody declared: look before stepping


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    start: int
    end: int
    type: Type = ANY


@dataclass(frozen=True, slots=True, kw_only=True)
class Literal(Node):
    value: Decimal | str | bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Path(Node):
    names: tuple[str, ...]
    hops: tuple[Hop, ...] = ()  # one for each name after the root

    @property
    def dotted(self) -> str:
        return ".".join(self.names)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListOf(Node):
    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Negate(Node):
    operand: Node


@dataclass(frozen=True, slots=True, kw_only=True)
class Arithmetic(Node):
    operator: str
    left: Node
    right: Node


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison(Node):
    operator: str
    left: Node
    right: Node


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership(Node):
    item: Node
    container: Node
    negated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class And(Node):
    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Or(Node):
    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Not(Node):
    operand: Node


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice(Node):
    condition: Node
    then: Node
    otherwise: Node


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Node):
    function: str
    arguments: tuple[Node, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Narrow(Node):
    """An undeclared value where one kind is needed: looked at when the expression runs. The checker adds it."""

    operand: Node
    kind: Kind


def children(node: Node) -> tuple[Node, ...]:
    match node:
        case ListOf(items=parts) | And(parts=parts) | Or(parts=parts) | Call(arguments=parts):
            return parts
        case Negate(operand=operand) | Not(operand=operand) | Narrow(operand=operand):
            return (operand,)
        case Arithmetic(left=left, right=right) | Comparison(left=left, right=right):
            return (left, right)
        case Membership(item=item, container=container):
            return (item, container)
        case Choice(condition=condition, then=then, otherwise=otherwise):
            return (condition, then, otherwise)
        case _:
            return ()


def size(root: Node) -> int:
    # Without recursion: the parser asks before it knows how deep the tree is.
    count, waiting = 0, [root]
    while waiting:
        count += 1
        waiting.extend(children(waiting.pop()))
    return count


def paths(node: Node) -> list[Path]:
    """Return every path in the tree, in the order of the text."""
    if isinstance(node, Path):
        return [node]
    return [path for child in children(node) for path in paths(child)]
