"""Several conditions asked at once: nearly every event changes nothing for any of them, and one answer says so."""

from collections.abc import Sequence
from typing import Final, Generic, NamedTuple, TypeVar

from hub.engine.trigger_rows import Edge
from hub.engine.values import Slot, Value
from hub.expr import Expression
from hub.expr.generate import Doubt, Roots, generate_doubt, needs_environment
from hub.expr.tree import Node, Not
from hub.expr.types import BOOL

MAX_JOINED: Final = 1024  # of one function: compiling takes a tenth of a millisecond for each


class Part(NamedTuple):
    """A condition with where it finds what it reads; `edge` where a condition that held has to be seen to let go."""

    condition: Expression | None
    roots: Roots
    edge: Slot | None


T = TypeVar("T")


class Joined(NamedTuple, Generic[T]):
    """`doubt` says whether any of those joined needs to be asked in full; the `rest` are asked one by one anyway."""

    doubt: Doubt
    edges: tuple[Slot, ...]
    rest: list[T]


def join(items: Sequence[T], parts: Sequence[Part]) -> Joined[T]:
    """Return the items as one question, in front of those that cannot be part of it."""
    conditions: list[tuple[Node, Roots]] = []
    edges: list[Slot] = []
    rest: list[T] = []
    for item, (condition, roots, edge) in zip(items, parts, strict=True):
        if condition is None or len(conditions) >= MAX_JOINED or needs_environment(condition.tree, roots):
            rest.append(item)
            continue
        conditions.append((condition.tree, roots))
        if edge is not None:
            edges.append(edge)
    return Joined(generate_doubt(conditions), tuple(edges), rest)


def alone(part: Part, *, held: bool) -> Doubt | None:
    """Return the question whether one condition may turn: where it `held`, into anything but a plain yes.

    None where its answer takes an environment of its own.
    """
    if part.condition is None or needs_environment(part.condition.tree, part.roots):
        return None
    tree = part.condition.tree
    asked = Not(start=tree.start, end=tree.end, type=BOOL, operand=tree) if held else tree
    return generate_doubt([(asked, part.roots)])


def is_up(edge: Value) -> bool:
    """Return whether a plain no changes something: the condition held, or what is stored is no answer of ours."""
    return type(edge) is not Edge or edge.value is True
