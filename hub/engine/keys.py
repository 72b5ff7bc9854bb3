"""What a workflow is kept per: an account, or a client, a group, a symbol, or everything at once.

An account's key is `server:login`; any other names its kind, as in `client=1042`, and no server's name has a `=` in it.
Groups and symbols belong to their server, clients to the company.
"""

import re
from enum import StrEnum
from typing import NamedTuple

from hub import ids


class KeyKind(StrEnum):
    ACCOUNT = "account"
    CLIENT = "client"
    GROUP = "group"
    SYMBOL = "symbol"
    ALL = "all"


EVERYTHING = "all="
FORMS = {
    KeyKind.ACCOUNT: "server:login",
    KeyKind.CLIENT: "client=ID",
    KeyKind.GROUP: "group=server:NAME",
    KeyKind.SYMBOL: "symbol=server:NAME",
    KeyKind.ALL: EVERYTHING,
}
_SOUND = {
    KeyKind.ACCOUNT: re.compile(r"[^=]+:[0-9]{1,19}"),
    KeyKind.CLIENT: re.compile(r"client=.+"),
    KeyKind.GROUP: re.compile(r"group=[^:]+:.+"),
    KeyKind.SYMBOL: re.compile(r"symbol=[^:]+:.+"),
    KeyKind.ALL: re.compile(EVERYTHING),
}
_OTHERS = {f"{kind}=": kind for kind in KeyKind if kind is not KeyKind.ACCOUNT}


class Whose(NamedTuple):
    """Whom an event of an account may concern beside it; None where nobody has said."""

    server: str
    client: str | None
    group: str | None
    symbol: str | None


def kind_of(key: str) -> KeyKind:
    """Return what a key names."""
    head, sign, _ = key.partition("=")
    return _OTHERS.get(head + sign, KeyKind.ACCOUNT) if sign else KeyKind.ACCOUNT


def key_for(kind: KeyKind, whose: Whose) -> str | None:
    """Return the key of this kind an event of an account concerns; None where it concerns none."""
    match kind:
        case KeyKind.ALL:
            return EVERYTHING
        case KeyKind.CLIENT:
            return f"client={whose.client}" if whose.client else None
        case KeyKind.GROUP:
            return f"group={whose.server}:{whose.group}" if whose.group else None
        case KeyKind.SYMBOL:
            return f"symbol={whose.server}:{whose.symbol}" if whose.symbol else None
        case KeyKind.ACCOUNT:
            return None  # its own events need no mail


def partition_of(key: str) -> int:
    """Return where a key lives."""
    if kind_of(key) is KeyKind.ACCOUNT:
        server, _, login = key.rpartition(":")
        if _SOUND[KeyKind.ACCOUNT].fullmatch(key):
            return ids.partition_of(server, int(login))
    return ids.partition_of_key(key)


def problem(key: str) -> str | None:
    """Return what is wrong with a key somebody typed, or None."""
    if _SOUND[kind_of(key)].fullmatch(key):
        return None
    return f"{key!r} is no key: write one of {', '.join(FORMS.values())}"
