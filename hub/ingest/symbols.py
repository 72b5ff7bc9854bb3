"""Which class a symbol belongs to: masks from the configuration, first match wins, an unlisted symbol has none.

The same table tells what kind of account a group holds.
"""

from collections.abc import Mapping
from typing import final

from hub.expr.glob import Glob

MAX_REMEMBERED = 20_000


@final
class SymbolClasses:
    """Masks are globs with * and ?; upper and lower case are the same, because brokers' suffixes mix them."""

    def __init__(self, masks: Mapping[str, str] | None = None) -> None:
        self._masks = [(Glob(mask.casefold()), name) for mask, name in (masks or {}).items()]
        self._known: dict[str, str | None] = {}

    def of(self, symbol: str) -> str | None:
        known = self._known
        if symbol in known:
            return known[symbol]
        folded = symbol.casefold()
        found = (
            next((name for mask, name in self._masks if mask.matches(folded)), None)
            if len(symbol) <= 128
            else None
        )
        if len(known) >= MAX_REMEMBERED:  # symbols come from outside: forget all rather than grow
            known.clear()
        known[symbol] = found
        return found
