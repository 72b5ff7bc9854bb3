"""Values that stand as text in their record, as JSON writes decimals and times, and are of another kind to whoever reads them.

Reading one is a call of the language's own function on the text, so that nothing else has to know of it. What cannot be
read is unknown, as any other missing value is.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Final, final

from hub.expr.evaluate import Gap, evaluate
from hub.expr.paths import step
from hub.expr.tree import Call, Hop, Node, Path, children
from hub.expr.types import ANY, Kind

# Which function reads which kind out of a text.
READS: Final[Mapping[str, Kind]] = {"number": Kind.NUMBER, "time": Kind.TIME, "duration": Kind.DURATION}
_READERS: Final = {kind: name for name, kind in READS.items()}


def read_of(path: Path) -> Node:
    """Return what reads a path whose type is known: the path itself, or a call on the text there."""
    if not path.type.written:
        return path
    # The text of a foreign event may be missing or no number at all, whatever its declaration says today.
    type_ = replace(path.type, written=False)
    return Call(
        start=path.start,
        end=path.end,
        function=_READERS[path.type.kind],
        arguments=(as_text(path),),
        type=type_,
    )


def as_text(path: Path) -> Path:
    return replace(path, type=replace(ANY.or_missing(path.type.optional), written=True))


def read_values(tree: Node, env: Mapping[str, object]) -> dict[str, object]:
    """Return what the paths that are written in a tree are read as, None where that cannot be."""
    found: dict[str, object] = {}
    for call, path in _reads(tree):
        value = evaluate(call, env)
        found[path.dotted] = None if isinstance(value, Gap) else value
    return found


def written_kinds(tree: Node) -> dict[str, str]:
    """Return the paths that are written in a tree, each with the function that reads it."""
    return {path.dotted: call.function for call, path in _reads(tree)}


@final
class _Read:
    """A record with some of its fields read out of their texts."""

    def __init__(self, record: object, values: Mapping[str, object]) -> None:
        self._record = record
        self._values = values

    def __getattr__(self, name: str) -> object:
        return self._values[name] if name in self._values else step(self._record, name, Hop.ATTRIBUTE)


def with_what_is_read(nodes: Iterable[Node], env: Mapping[str, object]) -> dict[str, object]:
    """Return the environment as a text is filled in from it: what is written in a root's fields stands there as what it is."""
    fields: dict[str, dict[str, object]] = {}
    for node in nodes:
        for path, value in read_values(node, env).items():
            root, _, field = path.partition(".")
            if value is not None and "." not in field:
                fields.setdefault(root, {})[field] = value
    return {**env, **{root: _Read(env.get(root), values) for root, values in fields.items()}}


def what_is_read(node: Node) -> Path | None:
    """Return the path of a value that stands written as a text, where a node does nothing but read it."""
    match node:
        case Call(arguments=(Path() as path,)) if path.type.written and node.start == path.start:
            return path
    return None


def _reads(node: Node) -> Iterator[tuple[Call, Path]]:
    path = what_is_read(node)
    if path is not None:
        assert isinstance(node, Call)
        yield node, path
        return
    for child in children(node):
        yield from _reads(child)
