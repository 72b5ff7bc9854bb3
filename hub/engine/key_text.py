"""What is wrong with a `key` somebody wrote, and what to write instead; what is none of the kinds is an expression."""

from typing import Final

from hub.engine.keys import FIELD, KeyKind
from hub.engine.problems import did_you_mean

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


def key_problem(value: object) -> str | None:
    """Return why something can be no key, or None; for people who read an error at a line of their file."""
    one_of = (
        f"`key` is one of {', '.join(_KINDS)}, a field of events such as event.request, "
        "or an expression such as lower(event.comment)"
    )
    if not isinstance(value, str):
        return one_of
    if is_key(value):
        return None
    text = value.strip()
    # Logins and groups of two servers may be called the same: as expressions they would be one key.
    if text in _ROOTS:
        return f"{one_of}: write `key: {_ROOTS[text]}` for {text}"
    if text.isidentifier() or not text:
        return f"{one_of}{did_you_mean(text, _KINDS)}"
    if FIELD.fullmatch(text.lower()):
        return f"{one_of}; did you mean {text.lower()}?"
    return None
