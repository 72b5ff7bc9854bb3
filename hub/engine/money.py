"""What has to hold before a workflow may move money: bounded, and in a currency the hub can book it in."""

from collections.abc import Mapping
from typing import Final, final

from hub.engine.draft import Draft
from hub.engine.keys import KeyKind
from hub.engine.nodes import Location
from hub.engine.program_steps import Computed, Literally, Value
from hub.expr import Expression, Kind, Scope, Type
from hub.expr.tree import Choice, Node, children, paths
from hub.intents.verbs import Verb

CURRENCY: Final = "account.currency"


@final
class MoneyRules:
    """`currencies`: those the scope lets through, None if nobody can tell; `base`: aggregates in the base currency."""

    def __init__(
        self, draft: Draft, currencies: frozenset[object] | None, *, limited: bool, base: frozenset[str]
    ) -> None:
        self._draft = draft
        self._limited = limited
        self._base = base
        self._currencies = currencies

    def check(self, step: Location, verb: Verb, params: Mapping[str, Value], known: Scope) -> None:
        if not self._limited:
            # What events name is a request or the like: whoever tells it twice, under two keys, shall pay once.
            every = "30d" if isinstance(self._draft.scopes.key, KeyKind) else "forever"
            self._draft.error(
                (*step, "do"),
                f"{verb.name} moves money and the workflow has no `limit`: add one, such as "
                f"`limit: {{max: 1, every: {every}}}`",
            )
        if self._currencies is None:
            return
        amount = params.get("amount")
        location: Location = (*step, "with", "amount")
        match amount:
            case Computed(expression=expression):
                if "event.amount" in expression.reads:
                    self._of_the_event(location, known.roots["event"])
                self._computed(location, expression, converts="undo" not in step and "from" not in params)
            case Literally():
                self._plain_number(location)
            case _:
                pass

    def _computed(self, location: Location, amount: Expression, *, converts: bool) -> None:
        currency = amount.type.currency
        if currency is not None and self._currencies != frozenset[object]({currency}):
            if converts:
                self._draft.warn(location, converted(currency))
                return
            self._draft.error(
                location,
                f"the amount is in {currency} and the account may be in another currency, and what is taken back or "
                f'passed on is not converted: add `{CURRENCY} == "{currency}"` to `scope`',
            )
        elif any(path in self._base or path.endswith("_base") for path in amount.reads):
            self._draft.warn(
                location, "the amount is in the hub's base currency and is paid in the account's"
            )
        elif amount.type.kind is not Kind.MONEY:
            self._plain_number(location)

    def _of_the_event(self, location: Location, event: Type) -> None:
        """Warn where an event names a currency beside its amount, and nothing before the step looks at it."""
        if "currency" in (event.fields or {}) and "event.currency" not in self._draft.reads:
            self._draft.warn(
                location,
                "the event may name another currency than the account's, and its amount is booked as it stands: add "
                f"`default(event.currency, {CURRENCY}) == {CURRENCY}` to `where` of the trigger, or to an `if`",
            )

    def _plain_number(self, location: Location) -> None:
        if self._currencies is not None and len(self._currencies) != 1:
            self._draft.warn(
                location,
                "the amount is a plain number and is paid in each account's own currency: add "
                f'`{CURRENCY} == "USD"` to `scope`, or say so with a money parameter',
            )


def refuse_mixed(draft: Draft, base: frozenset[str]) -> None:
    """Refuse money in a named currency that meets an account's own, where nothing asks which currency that is.

    What is in the hub's base currency is left out: `base` are the aggregates of it.
    """
    if {CURRENCY, "event.currency"} & draft.reads:
        return
    for location, expression in draft.compiled:
        currency = _met(expression.tree, base)
        if currency is not None:
            draft.error(
                location,
                f"money in {currency} meets money in each account's own currency, as if the two were one: add "
                f'`{CURRENCY} == "{currency}"` to `scope`, or to `where`',
            )


def _met(node: Node, base: frozenset[str]) -> str | None:
    """Return the currency that meets an unnamed one somewhere in a tree."""
    parts = children(node)
    sides = parts[1:] if isinstance(node, Choice) else parts
    moneys = [side for side in sides if side.type.kind is Kind.MONEY]
    named = next((side.type.currency for side in moneys if side.type.currency is not None), None)
    if named is not None and any(side.type.currency is None and not _in_base(side, base) for side in moneys):
        return named
    return next((found for part in parts if (found := _met(part, base)) is not None), None)


def _in_base(node: Node, base: frozenset[str]) -> bool:
    moneys = [path.dotted for path in paths(node) if path.type.kind is Kind.MONEY]
    return all(name in base or name.endswith("_base") for name in moneys)


def converted(currency: str) -> str:
    """Return what is said of an amount that may be in another currency than the account's."""
    return (
        f"the amount is in {currency}: accounts in another currency are booked at the recorded rate, and held back "
        f'while there is none. `{CURRENCY} == "{currency}"` in `scope` leaves them out'
    )


def pinned_currencies(scope: Expression | None) -> frozenset[object]:
    """Return the currencies the scope lets through, or nothing where it does not say."""
    for path, values in scope.equalities if scope is not None else ():
        if path == CURRENCY:
            return values
    return frozenset()
