"""What is wrong with a `key` somebody wrote, and what to write instead.

A key has to be told, not worked out. It is part of every run's and every booking's identity, and limits and edges are kept
under it for ever: with an expression, an edit that changes nothing else would begin them all anew, and pay twice.
"""

from typing import Final

from hub.engine.keys import FIELD, KeyKind
from hub.engine.problems import did_you_mean, quoted

_KINDS: Final = tuple(kind.value for kind in KeyKind)
_ROOTS: Final = {
    "account.login": KeyKind.ACCOUNT,
    "account.group": KeyKind.GROUP,
    "client.id": KeyKind.CLIENT,
    "group.name": KeyKind.GROUP,
    "symbol.name": KeyKind.SYMBOL,
    "position.id": KeyKind.POSITION,
}


def is_key(text: str) -> bool:
    return text in _KINDS or FIELD.fullmatch(text) is not None


def key_problem(value: object) -> str:
    """Return why something is no key; for people who read an error at a line of their file."""
    one_of = f"`key` is one of {', '.join(_KINDS)}, or a field of events such as event.request"
    if not isinstance(value, str):
        return one_of
    text = value.strip()
    if text in _ROOTS:
        return f"{one_of}: write `key: {_ROOTS[text]}` for {text}"
    if text.isidentifier():
        return f"{one_of}{did_you_mean(text, _KINDS)}"
    if FIELD.fullmatch(text.lower()):
        return f"{one_of}; did you mean {text.lower()}?"
    root, dot, rest = text.partition(".")
    if dot and all(part.isidentifier() for part in (root, *rest.split("."))):
        return one_of
    return (
        f"`key` is told by events and not worked out, and {quoted(text)} is an expression: limits and what was paid are "
        "kept under a key for ever, and an edit would lose them. Let a workflow publish a custom event with that "
        "value, and use it here as event.NAME"
    )
