"""Words that a field never has: a condition with a slip in one of them loads, and is never true."""

from collections.abc import Iterator

from hub.engine.draft import Draft
from hub.engine.nodes import Location, Scalar
from hub.engine.problems import did_you_mean, quoted
from hub.expr.tree import Comparison, ListOf, Literal, Membership, Node, Path, children


def warn_of_words(draft: Draft) -> None:
    """Warn of texts beside a field that is always another. A source may tell what nobody has heard of: so it loads."""
    for location, expression in draft.compiled:
        for field, literal in _beside_fields(expression.tree):
            word, words = literal.value, field.type.words
            if not isinstance(word, str) or word in words:
                continue
            known = ", ".join(words)
            near = did_you_mean(word, words)
            draft.problems.warn(
                draft.document.within(location, _before(draft, location, expression.text) + literal.start),
                f"`{field.dotted}` is one of {known}, and never {quoted(word)}{near}",
            )


def _beside_fields(node: Node) -> Iterator[tuple[Path, Literal]]:
    """Yield every field of a few words with a text it is compared with."""
    match node:
        case Comparison(left=Path() as field, right=Literal() as literal) if field.type.words:
            yield field, literal
        case Comparison(left=Literal() as literal, right=Path() as field) if field.type.words:
            yield field, literal
        case Membership(item=Path() as field, container=ListOf(items=items)) if field.type.words:
            yield from ((field, item) for item in items if isinstance(item, Literal))
        case _:
            pass
    for child in children(node):
        yield from _beside_fields(child)


def _before(draft: Draft, location: Location, text: str) -> int:
    """Return how many characters stand before an expression: the `= ` of a value that is worked out."""
    node = draft.document.node(location)
    return len(node.text) - len(text) if isinstance(node, Scalar) else 0
