"""Every effect an administrative write had, in the order it happened: what tests and demonstrations count against."""

from collections import defaultdict
from dataclasses import dataclass
from decimal import Decimal

TOKEN_PREFIX = "H1:"  # noqa: S105 - the mark of a tagged comment, no secret
TOKEN_LENGTH = 19


def token_of(comment: str) -> str:
    """Return what identifies the intent in a comment: the token of a tagged one, else the comment itself."""
    tagged = comment.startswith(TOKEN_PREFIX) and len(comment) >= TOKEN_LENGTH
    return comment[:TOKEN_LENGTH] if tagged else comment


@dataclass(frozen=True, slots=True)
class Effect:
    """``value`` is what a desired-state write set, as text; ``late`` says it was applied after its caller was gone."""

    number: int
    kind: str
    login: int
    at: int
    via: str
    amount: Decimal | None = None
    value: str = ""
    comment: str = ""
    ticket: int = 0
    late: bool = False

    @property
    def tag(self) -> str:
        return token_of(self.comment)


class Ledger:
    def __init__(self) -> None:
        self._effects: list[Effect] = []
        self._by_tag: defaultdict[str, list[Effect]] = defaultdict(list)

    def __len__(self) -> int:
        return len(self._effects)

    def record(
        self,
        kind: str,
        login: int,
        *,
        at: int,
        via: str,
        amount: Decimal | None = None,
        value: str = "",
        comment: str = "",
        ticket: int = 0,
        late: bool = False,
    ) -> Effect:
        number = len(self._effects) + 1
        effect = Effect(number, kind, login, at, via, amount, value, comment, ticket, late)
        self._effects.append(effect)
        if effect.tag:
            self._by_tag[effect.tag].append(effect)
        return effect

    def effects(self, kind: str | None = None, login: int | None = None) -> list[Effect]:
        return [
            effect
            for effect in self._effects
            if (kind is None or effect.kind == kind) and (login is None or effect.login == login)
        ]

    def by_tag(self, tag: str) -> list[Effect]:
        """Return the effects with this tag; a whole comment finds its token's effects."""
        return list(self._by_tag.get(token_of(tag), ()))

    def duplicates(self) -> dict[str, list[Effect]]:
        """Return every tag that was applied more than once, with its effects."""
        return {tag: list(effects) for tag, effects in self._by_tag.items() if len(effects) > 1}

    def total(self, kind: str, login: int | None = None) -> Decimal:
        return sum((effect.amount or Decimal(0) for effect in self.effects(kind, login)), Decimal(0))
