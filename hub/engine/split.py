"""Candidates split by the equality literals of their conditions: one dictionary lookup instead of a row of tests."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from hub.engine.joined import Joined
from hub.expr import Expression
from hub.expr.generate import Doubt

Equalities = Sequence[tuple[str, frozenset[object]]]
Get = Callable[[Any], object]

ROOTS = ("event", "account", "client")
_ROOTS = {name: number for number, name in enumerate(ROOTS)}
_ONE_EQUALITY = re.compile(
    r"""\s*[a-z_.]+\s*(?:==\s*(?:"[^"\\]*"|'[^'\\]*'|[0-9.]+|true|false|True|False)|in\s*\[[^\[\]()]*\])\s*"""
)


class Item(Protocol):
    """`gate`: its condition, where that must hold first of all; None when it has none."""

    @property
    def order(self) -> int: ...
    @property
    def gate(self) -> Expression | None: ...


T = TypeVar("T", bound=Item)


class Hits(Generic[T]):
    """What stands under one literal. `sure`: the gate is known to hold, because the lookup proves it.

    `joined` is the one question for all that is sure, from whoever has made it; `unproved` that for the others.
    `doubts` are those two as functions, where they answer for everybody whose condition did not hold.
    """

    __slots__ = ("doubts", "joined", "sure", "unproved", "unsure")

    def __init__(self) -> None:
        self.sure: list[T] = []
        self.unsure: list[T] = []
        self.doubts: Sequence[Doubt] | None = None
        self.joined: Joined[T] | None = None
        self.unproved: Joined[T] | None = None


class Table(NamedTuple, Generic[T]):
    """Items under the literals of one field of a root."""

    root: int
    get: Get
    hits: dict[object, Hits[T]]
    field: str


class Split(Generic[T]):
    """Finds, for the roots of one input, the items whose equality could hold.

    An item stands under one of its equalities, the one that tells most items apart; an item without any always
    comes. A missing value equals no literal, so it finds none: the condition would not be true.
    """

    __slots__ = ("_always", "_none", "_tables", "is_plain", "items", "single")

    def __init__(self, items: Iterable[tuple[T, Equalities]]) -> None:
        listed = [(item, [pair for pair in equalities if _indexable(pair[0])]) for item, equalities in items]
        distinct: defaultdict[str, set[object]] = defaultdict(set)
        for _, equalities in listed:
            for path, values in equalities:
                distinct[path] |= values
        self._always: Hits[T] = Hits()
        self._none: Hits[T] = Hits()
        tables: dict[str, Table[T]] = {}
        for item, equalities in listed:
            if not equalities:
                _put(self._always, item, sure=item.gate is None)
                continue
            path, values = max(equalities, key=lambda pair: (len(distinct[pair[0]]), pair[0]))
            if path not in tables:
                tables[path] = Table(*_getter(path), {}, path.split(".")[1])
            sure = item.gate is None or _is_only(item.gate, path)
            for value in values:
                _put(tables[path].hits.setdefault(value, Hits()), item, sure=sure)
        self._tables = [tables[path] for path in sorted(tables)]
        self.is_plain = not tables  # every item always comes
        self.items = (
            (*self._always.sure, *self._always.unsure) if self.is_plain else tuple(item for item, _ in listed)
        )
        # One place to look: what is sure comes in the order it was given in, and comes once.
        self.single = not tables or (len(tables) == 1 and not (self._always.sure or self._always.unsure))

    @property
    def always(self) -> Hits[T]:
        """Return what is found whatever an input says."""
        return self._always

    @property
    def tables(self) -> Sequence[Table[T]]:
        return self._tables

    def only(self, now: Sequence[Any], before: Sequence[Any]) -> Hits[T] | None:
        """Return what `find` finds, where that stands in one place and is sure; None where `find` has to look."""
        if not self.single:
            return None
        hits = self._always
        if self._tables:
            root, get, table, _ = self._tables[0]
            record, earlier = now[root], before[root]
            try:
                value = get(record)
                if record is not earlier and get(earlier) != value:
                    return None
                hits = table.get(value, self._none)
            except (AttributeError, TypeError):  # as in `find`
                return None
        return None if hits.unsure else hits

    def find(self, now: Sequence[Any], before: Sequence[Any], sure: list[T], unsure: list[T]) -> None:
        """Add the items for the roots (event, account, client) as they are, and as they were where that differs.

        Those whose gate the lookup proved come to `sure`; of the others it has to be asked.
        """
        always = self._always
        sure += always.sure
        unsure += always.unsure
        if not self._tables:
            return
        for root, get, table, _ in self._tables:
            record = now[root]
            try:
                value = get(record)
                hits = table.get(value)
            except (
                AttributeError,
                TypeError,
            ):  # not a field of this type of event, or a list: equal to no literal
                value = hits = None
            if hits is not None:
                sure += hits.sure
                unsure += hits.unsure
            if record is not before[root]:
                was = get(before[root])
                if was != value:
                    left = table.get(was)
                    if left is not None:
                        unsure += left.sure
                        unsure += left.unsure


def _put(found: Hits[T], item: T, *, sure: bool) -> None:
    (found.sure if sure else found.unsure).append(item)


def _is_only(gate: Expression, path: str) -> bool:
    """Return whether a condition says nothing but that this path equals a literal, or one of several."""
    return (
        gate.reads == {path} and len(gate.equalities) == 1 and _ONE_EQUALITY.fullmatch(gate.text) is not None
    )


def _indexable(path: str) -> bool:
    parts = path.split(".")
    return parts[0] in _ROOTS and (len(parts) == 2 or (len(parts) == 3 and parts[1] == "attributes"))


def _getter(path: str) -> tuple[int, Get]:
    root, field, *rest = path.split(".")
    if not rest:
        return _ROOTS[root], attrgetter(field)
    key = rest[0]

    def attribute(record: Any) -> object:
        return (getattr(record, field) or {}).get(key)

    return _ROOTS[root], attribute
