"""What a stream of events asks for: types by pattern, and a condition on what they hold."""

from dataclasses import dataclass, field
from typing import Any, Final, final

from hub.bus.looked import Looked
from hub.dispatch.patterns import matches
from hub.engine.scopes import event_root
from hub.events.catalogue import BY_NAME
from hub.events.declared import NONE_DECLARED, Declarations
from hub.expr import Expression, Kind, Scope, Type, compile_expression

_STRING: Final = Type(Kind.STRING)
_ACCOUNT: Final = Type(
    Kind.OBJECT,
    optional=True,
    fields={
        "server": _STRING,
        "login": Type(Kind.NUMBER, finite=True),
        "group": _STRING.or_missing(),
        "currency": _STRING.or_missing(),
    },
)
_MOST_TYPES: Final = 1_000  # whose answer is remembered: custom ones are invented outside


@final
@dataclass(frozen=True)
class EventFilter:
    """`types` empty means all; `only` is what the viewer may see at all; `where` is an expression, "" none."""

    types: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    where: str = ""
    _condition: Expression | None = field(default=None, compare=False)
    _answers: dict[str, bool] = field(default_factory=dict, compare=False)

    @classmethod
    def made(
        cls,
        types: tuple[str, ...],
        only: tuple[str, ...],
        where: str,
        declared: Declarations = NONE_DECLARED,
    ) -> "EventFilter":
        """Raise ExpressionError for a condition that means nothing."""
        return cls(types, only, where, _compiled(types, where, declared) if where else None)

    def holds(self, looked: Looked) -> bool:
        if not self._is_of(looked.envelope.type):
            return False
        if self._condition is None:
            return True
        env: dict[str, Any] = {"event": looked.record, "account": looked.envelope.account}
        return self._condition.holds(env)

    def _is_of(self, name: str) -> bool:
        known = self._answers.get(name)
        if known is None:
            if len(self._answers) >= _MOST_TYPES:
                self._answers.clear()
            known = self._answers[name] = _one_of(self.types, name) and _one_of(self.only, name)
        return known


def _one_of(patterns: tuple[str, ...], name: str) -> bool:
    return not patterns or any(matches(pattern, name) for pattern in patterns)


def _compiled(types: tuple[str, ...], where: str, declared: Declarations) -> Expression:
    named = frozenset(types)
    if not named or "*" in named:
        named = frozenset(BY_NAME)
    return compile_expression(
        where, Scope({"event": event_root(named, declared), "account": _ACCOUNT}), expects=Kind.BOOL
    )
