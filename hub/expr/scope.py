"""What names mean while an expression is loaded: declared roots, their fields, and what may not be read here."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from difflib import get_close_matches
from typing import Final, final

from hub.errors import ExpressionError
from hub.expr.tokens import WORDS
from hub.expr.tree import Hop, Path
from hub.expr.types import ANY, Kind, Type

SAMPLED: Final = frozenset(
    {
        "account.equity",
        "account.floating",
        "account.margin",
        "account.free_margin",
        "account.margin_level",
        "position.price",
        "position.profit",
        "symbol.bid",
        "symbol.ask",
        "symbol.spread",
    }
)
# Of an account somebody can ask for what is so now; quotes of a symbol only come.
QUOTED: Final = frozenset({"symbol.bid", "symbol.ask", "symbol.spread"})
HINT_FOR_SAMPLED: Final = (
    "use a `crosses` trigger, or move the condition to `guard:` or `verify:`, where a fresh value is read"
)
# These arrive as mappings, whatever their declared fields: they come from files and from earlier steps.
MAPPINGS: Final = frozenset({"params", "steps", "secrets"})

_PLAIN_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ``; did you mean X?`` or nothing."""
    # The length is bounded because finding near spellings is quadratic in it.
    found = get_close_matches(name[:64], list(known), n=1, cutoff=0.6)
    return f"; did you mean {found[0]}?" if found else ""


@final
class Scope:
    """The roots an expression may name.

    ``env[root]`` of an OBJECT is a record with plain attributes for its declared fields; the roots ``params``,
    ``steps`` and ``secrets``, types marked ``mapping`` and everything undeclared (ANY) are mappings.
    """

    def __init__(
        self,
        roots: Mapping[str, Type],
        *,
        sampled: frozenset[str] = SAMPLED,
        sampled_allowed: bool = False,
        hint_for_sampled: str = HINT_FOR_SAMPLED,
    ) -> None:
        for name in roots:
            if not _PLAIN_NAME.fullmatch(name) or name in WORDS:
                raise ValueError(
                    f"{name!r} cannot name a root: it has to be a plain word that is not a keyword"
                )
        self.roots: Final[Mapping[str, Type]] = {
            name: replace(type_, mapping=True) if name in MAPPINGS else type_ for name, type_ in roots.items()
        }
        self.sampled: Final = sampled
        self.sampled_allowed: Final = sampled_allowed
        self.hint_for_sampled: Final = hint_for_sampled

    def extended(self, roots: Mapping[str, Type], *, sampled_allowed: bool | None = None) -> "Scope":
        """Return this scope with more names, such as aggregates, or with sampled fields let in or kept out."""
        allowed = self.sampled_allowed if sampled_allowed is None else sampled_allowed
        return Scope(
            {**self.roots, **roots},
            sampled=self.sampled,
            sampled_allowed=allowed,
            hint_for_sampled=self.hint_for_sampled,
        )

    def resolve(self, path: Path, *, whole: bool = True) -> Path:
        """Return the path with its type and the way each step of it is taken; ``whole`` if its value will be used."""
        root, *fields = path.names
        if root not in self.roots:
            hint = _spelling(root) or nearest(root, self.roots) or _listed(list(self.roots))
            raise ExpressionError(f"unknown name {root}{hint}", path.start, len(root))
        here, optional, hops = self.roots[root], self.roots[root].optional, list[Hop]()
        mapping = here.mapping  # what lies in a mapping is a mapping
        at = path.start + len(root) + 1
        for position, field in enumerate(fields, start=1):
            parent = ".".join(path.names[:position])
            here, hop = _step(here, parent, field, at, mapping=mapping)
            optional, mapping = optional or here.optional, mapping or here.mapping
            hops.append(hop)
            at += len(field) + 1
        type_ = ANY if here.dynamic else here
        resolved = replace(path, type=type_.or_missing(optional), hops=tuple(hops))
        self._refuse_sampled(resolved, whole=whole)
        return resolved

    def _refuse_sampled(self, path: Path, *, whole: bool) -> None:
        prefixes = {".".join(path.names[:length]) for length in range(2, len(path.names) + 1)}
        if self.sampled_allowed:
            stale = next((name for name in sorted(QUOTED) if name in prefixes), None)
            if stale is not None:
                raise ExpressionError(
                    f"{stale} is not looked up afresh: a `crosses` trigger brings it, and an `if` of its steps can read it",
                    path.start,
                    path.end - path.start,
                )
            return
        within = path.dotted + "."
        for name in sorted(self.sampled):
            if name in prefixes or (whole and path.type.kind is Kind.OBJECT and name.startswith(within)):
                raise ExpressionError(
                    f"{name} moves with every price and is not known here: {self.hint_for_sampled}",
                    path.start,
                    path.end - path.start,
                )


def _step(here: Type, parent: str, field: str, at: int, *, mapping: bool) -> tuple[Type, Hop]:
    if here.dynamic:
        return ANY.or_missing(), Hop.DYNAMIC
    if here.kind is not Kind.OBJECT or here.fields is None:
        raise ExpressionError(f"{parent} is {here} and has no fields", at, len(field))
    if field not in here.fields:
        known = [f"{parent}.{name}" for name in here.fields]
        near = get_close_matches(field[:64], list(here.fields), n=1, cutoff=0.6)
        hint = f"; did you mean {parent}.{near[0]}?" if near else _listed(known)
        raise ExpressionError(f"unknown field {parent}.{field}{hint}", at, len(field))
    return here.fields[field], Hop.KEY if mapping else Hop.ATTRIBUTE


def _listed(known: list[str]) -> str:
    if not known:
        return "; it has no fields"
    more = ", …" if len(known) > 8 else ""
    return f"; known are {', '.join(known[:8])}{more}"


def _spelling(name: str) -> str:
    for word in ("and", "or", "not", "in", "if", "else", "true", "false", "null"):
        if name.lower() == word:
            return f"; write `{word}` in small letters"
    return ""
