"""A `key` that is an expression, on its way from a file to what names keys.

It is compiled once for whatever events there may be, so that a kind of keys means the same in all workflows that have
it. For each type of event a workflow names it is checked again, against what such an event says.
"""

from collections.abc import Mapping
from typing import Final

from hub.engine.draft import Draft
from hub.engine.key_text import is_key
from hub.engine.model import WorkflowFile
from hub.engine.naming import Naming, naming_of
from hub.engine.nodes import Location, Scalar
from hub.engine.problems import quoted
from hub.engine.scopes import about_unknown
from hub.errors import ExpressionError
from hub.expr import Kind, Type, compile_expression
from hub.expr.types import NUMERIC
from hub.expr.written import written_kinds

KEY: Final[Location] = ("key",)
_NAMES: Final = NUMERIC | {Kind.STRING, Kind.ANY}
_INSTEAD: Final = {
    Kind.BOOL: 'give each case a name, as in `"large" if event.lots > 10 else "small"`',
    Kind.TIME: 'take a part of it, as in `day_of(event.timestamp, "UTC")`',
    Kind.DURATION: 'say which are alike, as in `"long" if event.closed_at - event.opened_at > hours(1) else "short"`',
    Kind.LIST: "an event has one key: name one value of it",
    Kind.OBJECT: "name one of its fields",
}


def naming(draft: Draft, file: WorkflowFile, params: Mapping[str, object]) -> Naming | None:
    """Return what names the keys of a workflow; None where one of the kinds does, or where something is wrong with it."""
    if is_key(file.key):
        return None
    text, scope = file.key, draft.scopes.keyed()
    node = draft.document.node(KEY)
    assert isinstance(node, Scalar)
    try:
        expression = compile_expression(text, scope)
    except ExpressionError as error:
        place = draft.document.within(KEY, error.offset)
        draft.problems.error(place, _said_better(error, text, file))
        return None
    if problem := _unfit(expression.type, "this"):
        draft.error(KEY, f"`key` {problem}")
        return None
    if all(path.partition(".")[0] == "params" for path in expression.reads):
        draft.error(KEY, "this `key` is the same for every event: write `key: all`")
        return None
    draft.reads |= expression.reads
    draft.compiled.append((KEY, expression))
    return naming_of(expression, params)


def unheard(draft: Draft, named: Naming, event: str) -> str | None:
    """Return why events of a type can have no such key, or None."""
    try:
        expression = compile_expression(named.expression.text, draft.scopes.keyed(event))
    except ExpressionError as error:
        return f"`key: {named.text}` cannot be worked out of `{event}`: {error.message}"
    draft.compiled.append((KEY, expression))  # what its fields may be is looked at there
    for path, function in written_kinds(expression.tree).items():
        return f"`key: {named.text}` reads `{path}`, which `{event}` has as a text: write {function}({path}) there"
    problem = _unfit(expression.type, f"of `{event}` it")
    return f"`key: {named.text}` {problem}" if problem else None


def _unfit(found: Type, what: str) -> str | None:
    if found.kind in _NAMES:
        return None
    return f"needs a text or a number, and {what} is {found}: {_INSTEAD[found.kind]}"


def _said_better(error: ExpressionError, text: str, file: WorkflowFile) -> str:
    name = text[error.offset : error.offset + error.length].partition(".")[0]
    if name in file.aggregates or name in file.anchors:
        return f"{quoted(name)} is known of each key, so no key is made of it: read event, account, client and params"
    if not error.message.startswith("unknown name "):
        return error.message
    return about_unknown(name, {}, text) or error.message
