"""The scope of a workflow that is kept by another key than the account.

Between events such a key has no account. So what its scope says of accounts is asked of every event: events of other
accounts count nowhere, and nothing starts at them. What it says of the key itself is asked before any trigger, as ever.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Final

from hub.engine.draft import Draft
from hub.engine.draft_names import belongs_to_no_account
from hub.engine.keys import KeyKind
from hub.engine.model_triggers import AnyTrigger, BecomesTrigger, EventTrigger
from hub.engine.nodes import Location
from hub.errors import ExpressionError
from hub.expr import Expression, Kind, compile_expression
from hub.expr.parse import parse
from hub.expr.tree import And, Node, paths

SCOPE: Final[Location] = ("scope",)


def scope_of(
    draft: Draft, text: str | None, triggers: Sequence[AnyTrigger], aggregates: Collection[str]
) -> Expression | None:
    """Return what is asked before a trigger, and hand to the draft what is asked of every event."""
    scopes = draft.scopes
    if text is None:
        return None
    events_are_asked = scopes.by_events or _start_at_events(triggers, aggregates)
    if scopes.key is KeyKind.ACCOUNT or not events_are_asked:
        return draft.expression(SCOPE, scopes.scope, Kind.BOOL)
    whole = draft.expression(SCOPE, scopes.scope_with_event, Kind.BOOL)
    if whole is None:
        return None
    parts = list(_parts(parse(text)))
    of_events = [part for part in parts if not all(map(scopes.stands, _roots(part)))]
    if any("now" in _roots(part) for part in of_events) and not (scopes.by_events and not aggregates):
        draft.error(SCOPE, "what is said of an event's account cannot depend on `now`: say it in `where`")
        return None
    draft.of_events = _together(text, of_events)
    if scopes.by_events or not of_events:  # all it needs is there whenever it is asked
        return whole
    of_key = _together(text, [part for part in parts if part not in of_events])
    return compile_expression(of_key, scopes.scope, expects=Kind.BOOL) if of_key else None


def _start_at_events(triggers: Iterable[AnyTrigger], aggregates: Collection[str]) -> bool:
    """Return whether everything starts at accounts' events, or at what they add up to: else a scope would be asked of nothing."""
    return all(
        (isinstance(each, EventTrigger) and not belongs_to_no_account(each.event))
        or (isinstance(each, BecomesTrigger) and _reads(each.becomes, aggregates))
        for each in triggers
    )


def _reads(text: str, names: Collection[str]) -> bool:
    try:
        return not _roots(parse(text)).isdisjoint(names)
    except ExpressionError:  # it is told where the trigger is compiled
        return True


def _parts(node: Node) -> Iterator[Node]:
    """Yield what has to hold, each by itself."""
    if isinstance(node, And):
        for part in node.parts:
            yield from _parts(part)
    else:
        yield node


def _roots(node: Node) -> frozenset[str]:
    return frozenset(path.names[0] for path in paths(node))


def _together(text: str, parts: Sequence[Node]) -> str:
    """Return parts of a text as one condition, "" for none. What binds more loosely than `and` has its parentheses there."""
    return " and ".join(text[part.start : part.end] for part in parts)
