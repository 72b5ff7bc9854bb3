"""A compiled expression: what it reads, what it answers, and why."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Final, final

from typing_extensions import override

from hub.errors import ExpressionError
from hub.expr.check import check
from hub.expr.evaluate import Gap, evaluate
from hub.expr.explain import explain
from hub.expr.generate import Fast, generate, source_of
from hub.expr.parse import parse
from hub.expr.scope import Scope
from hub.expr.tree import And, Comparison, ListOf, Literal, Membership, Node, Path, paths
from hub.expr.types import NUMERIC, UNKNOWN, Kind, Type, Unknown

Equality = tuple[str, frozenset[object]]


def compile_expression(text: str, scope: Scope, *, expects: Kind | None = None) -> "Expression":
    """Compile once, while loading; everything wrong with the text is an ``ExpressionError`` with its place."""
    try:
        return Expression(text, check(parse(text), scope, expects))
    except RecursionError:
        # Depth is bounded, so this happens only to a caller who is close to the limit himself.
        raise ExpressionError("nested too deeply: use fewer parentheses", 0, len(text)) from None


@final
class Expression:
    """An expression ready to run: immutable, and safe to share between threads.

    Values come as ``Decimal``, ``str``, ``bool``, ``datetime``, ``timedelta`` or ``list``; a lone field comes as it
    is in the environment, so an integer login stays an integer. Nothing raises: without an answer it is ``UNKNOWN``.
    """

    __slots__ = ("_fast", "_tree", "equalities", "reads", "text", "type")

    def __init__(self, text: str, tree: Node) -> None:
        self.text: Final = text
        self.type: Final[Type] = tree.type
        self.reads: Final[frozenset[str]] = frozenset(path.dotted for path in paths(tree))
        self.equalities: Final[tuple[Equality, ...]] = tuple(_equalities(tree))
        self._tree: Final = tree
        self._fast: Final = generate(tree)

    @override
    def __repr__(self) -> str:
        return f"Expression({self.text!r})"

    @property
    def source(self) -> str:
        """Return the fast code as text."""
        return source_of(self._tree)

    @property
    def tree(self) -> Node:
        return self._tree

    @property
    def fast(self) -> Fast:
        """Return the fast code itself: whoever calls it asks ``test`` or ``evaluate`` instead when it raises."""
        return self._fast

    def references_root(self, name: str) -> bool:
        return any(path == name or path.startswith(name + ".") for path in self.reads)

    def evaluate(self, env: Mapping[str, object]) -> object:
        try:
            return self._fast(env)
        except Exception:  # whatever it was, something is missing or has no answer: look again, carefully
            return self.evaluate_carefully(env)

    def evaluate_carefully(self, env: Mapping[str, object]) -> object:
        """Answer as ``evaluate`` does, without the fast code; the two are tested against each other."""
        value = evaluate(self._tree, env)
        return UNKNOWN if isinstance(value, Gap) else value

    def test(self, env: Mapping[str, object]) -> bool | Unknown:
        """Return whether a condition holds, or ``UNKNOWN``, which refuses to be used as a bool."""
        try:
            value = self._fast(env)
        except Exception:  # as above; spelled out twice because this is the hot path
            value = self.evaluate_carefully(env)
        return value if value is True or value is False else UNKNOWN

    def holds(self, env: Mapping[str, object]) -> bool:
        """Return whether a condition is known to hold."""
        try:
            return self._fast(env) is True
        except Exception:  # as above
            return self.evaluate_carefully(env) is True

    def missing(self, env: Mapping[str, object]) -> list[str]:
        """Return the paths whose absence makes the answer unknown; empty if there is an answer."""
        value = evaluate(self._tree, env)
        if not isinstance(value, Gap):
            return []
        return list(dict.fromkeys(reason.path for reason in value.reasons if reason.path is not None))

    def explain(self, env: Mapping[str, object], *, answer: bool | None = None) -> str:
        """Return one sentence: the deciding part, its answer and its values. `answer`: what `test` has just said."""
        return explain(self.text, self._tree, env, answer=answer)


def _equalities(node: Node) -> list[Equality]:
    match node:
        case And(parts=parts):
            return [equality for part in parts for equality in _equalities(part)]
        case Comparison(operator="==", left=Path() as path, right=Literal() as literal):
            return _equality(path, [literal])
        case Comparison(operator="==", left=Literal() as literal, right=Path() as path):
            return _equality(path, [literal])
        case Membership(item=Path() as path, container=ListOf(items=items), negated=False):
            literals = [item for item in items if isinstance(item, Literal)]
            return _equality(path, literals) if len(literals) == len(items) else []
        case _:
            return []


def _equality(path: Path, literals: list[Literal]) -> list[Equality]:
    values = frozenset(literal.value for literal in literals)
    # Undeclared JSON may hold 0.1 as a float, whose hash is another than the decimal's: an index would miss it.
    if path.type.kind not in NUMERIC and any(isinstance(value, Decimal) for value in values):
        return []
    return [(path.dotted, values)]
