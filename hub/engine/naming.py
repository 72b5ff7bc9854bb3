"""Keys that are worked out of what an event says and what its account was when it was decided."""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import final

from hub.engine.keys import WORKED_OUT, named
from hub.expr import Expression
from hub.expr.canonical import canonical
from hub.expr.parse import parse
from hub.expr.tree import Path


@final
@dataclass(frozen=True, slots=True, eq=False)
class Naming:
    """An expression that says whose an event is. `kind` is what its keys begin with, `text` how the file writes it.

    Of equal `kind` any two say the same of every event: the values of the parameters they read are part of it.
    """

    kind: str
    text: str
    expression: Expression
    params: Mapping[str, object]

    @property
    def of_events(self) -> bool:
        """Return whether it reads what events say, and not their account alone."""
        return self.expression.references_root("event")

    def key(self, env: Mapping[str, object]) -> str | None:
        """Return the key that what is known of an event names; None where there is no answer, or an empty one."""
        return named(self.kind, self.expression.evaluate({**env, "params": self.params}))


def naming_of(expression: Expression, params: Mapping[str, object]) -> Naming:
    """Return what a sound expression names keys by: a lone path is written as it is, anything else by its hash."""
    tree = parse(expression.text)
    text = canonical(tree, params)
    is_plain = isinstance(tree, Path) and WORKED_OUT.fullmatch(text) is not None
    kind = text if is_plain else f"by.{sha256(text.encode()).hexdigest()[:10]}"
    return Naming(kind, " ".join(expression.text.split()), expression, params)
