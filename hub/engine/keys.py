"""What a workflow is kept per: an account, a client, a group, a symbol, a position, what events name, or everything.

An account's key is `server:login`; any other names its kind, as in `client=1042`, and no server's name has a `=` in it.
Groups, symbols and positions belong to their server, clients to the company. A kind such as `event.request` is what
events have in that field: `event.request=r-17`. What is worked out (`hub.engine.naming`) is named by the path it reads,
`account.country=CY`, or by the hash of its expression, `by.1f6c0a93d2=fx`.
"""

import hashlib
import re
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final, NamedTuple

from hub import ids


class KeyKind(StrEnum):
    ACCOUNT = "account"
    CLIENT = "client"
    GROUP = "group"
    SYMBOL = "symbol"
    POSITION = "position"
    ALL = "all"


KeyedBy = KeyKind | str  # a field of events, such as event.request, is a kind as well, or what is worked out
EVERYTHING = "all="
RATES: Final = "rates="  # the hub's own: its board of exchange rates, kept by no workflow
FORMS = {
    KeyKind.ACCOUNT: "server:login",
    KeyKind.CLIENT: "client=ID",
    KeyKind.GROUP: "group=server:NAME",
    KeyKind.SYMBOL: "symbol=server:NAME",
    KeyKind.POSITION: "position=server:TICKET",
    KeyKind.ALL: EVERYTHING,
}
FIELD: Final = re.compile(r"event\.[a-z][a-z0-9_]{0,63}")
# No lone field of an event is one of these, and no hash a path.
WORKED_OUT: Final = re.compile(
    r"by\.[0-9a-f]{10}"
    r"|(?=.{1,64}\Z)(?:account|client|event\.[a-z][a-z0-9_]*)(?:\.[A-Za-z][A-Za-z0-9_]*)+"
)
LONGEST: Final = 128  # a longer value is named by its hash
_SOUND = {
    KeyKind.ACCOUNT: re.compile(r"[^=]+:[0-9]{1,19}"),
    KeyKind.CLIENT: re.compile(r"client=.+"),
    KeyKind.GROUP: re.compile(r"group=[^:]+:.+"),
    KeyKind.SYMBOL: re.compile(r"symbol=[^:]+:.+"),
    KeyKind.POSITION: re.compile(r"position=[^:]+:[0-9]{1,20}"),
    KeyKind.ALL: re.compile(EVERYTHING),
}
_NAMES = frozenset(kind.value for kind in KeyKind)
_OTHERS = {f"{kind}=": kind for kind in KeyKind if kind is not KeyKind.ACCOUNT}


class Whose(NamedTuple):
    """Whom an event of an account may concern beside it; None where nobody has said."""

    server: str
    client: str | None
    group: str | None
    symbol: str | None
    position: int | None = None
    event: Any = None  # its record


def kind_of(key: str) -> KeyedBy:
    """Return what a key names."""
    head, sign, _ = key.partition("=")
    if not sign:
        return KeyKind.ACCOUNT
    known = _OTHERS.get(head + sign)
    if known is not None:
        return known
    return head if FIELD.fullmatch(head) or WORKED_OUT.fullmatch(head) or key == RATES else KeyKind.ACCOUNT


def kept_by(text: str) -> KeyedBy:
    """Return the kind a workflow's `key` says."""
    return KeyKind(text) if text in _NAMES else text


def form_of(kind: KeyedBy) -> str:
    """Return how a key of a kind is written."""
    return FORMS[kind] if isinstance(kind, KeyKind) else f"{kind}=VALUE"


def key_for(kind: KeyedBy, whose: Whose) -> str | None:
    """Return the key of this kind an event concerns; None where it concerns none."""
    if not isinstance(kind, KeyKind):  # what is worked out is found by whoever has the expression
        is_field = kind.startswith("event.")
        return named(kind, getattr(whose.event, kind.removeprefix("event."), None)) if is_field else None
    match kind:
        case KeyKind.ALL:
            return EVERYTHING
        case KeyKind.CLIENT:
            return f"client={whose.client}" if whose.client else None
        case KeyKind.GROUP:
            return f"group={whose.server}:{whose.group}" if whose.group else None
        case KeyKind.SYMBOL:
            return f"symbol={whose.server}:{whose.symbol}" if whose.symbol else None
        case KeyKind.POSITION:
            return f"position={whose.server}:{whose.position}" if whose.position else None
        case KeyKind.ACCOUNT:
            return None  # its own events need no mail


def named(kind: str, value: object) -> str | None:
    """Return the key of a value: a text or a number, equal numbers being one; None of anything else."""
    match value:
        case bool() | None:
            return None
        case int():
            text = str(value)
        case Decimal():
            plain = value.normalize() if value else Decimal(0)
            text = format(plain, "f") if abs(plain.adjusted()) < LONGEST else str(plain)
        case str():
            text = value
        case _:
            return None
    if not text:
        return None
    if len(text) > LONGEST or not text.isprintable():
        text = f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
    return f"{kind}={text}"


def partition_of(key: str) -> int:
    """Return where a key lives."""
    if kind_of(key) is KeyKind.ACCOUNT:
        server, _, login = key.rpartition(":")
        if _SOUND[KeyKind.ACCOUNT].fullmatch(key):
            return ids.partition_of(server, int(login))
    return ids.partition_of_key(key)


def problem(key: str) -> str | None:
    """Return what is wrong with a key somebody typed, or None."""
    kind = kind_of(key)
    if _SOUND[kind].fullmatch(key) if isinstance(kind, KeyKind) else key.partition("=")[2]:
        return None
    forms = ", ".join((*FORMS.values(), "event.FIELD=VALUE"))
    return f"{key!r} is no key: write one of {forms}, or as `hub explain` says of the workflow"
