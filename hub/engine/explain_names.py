"""How an explanation names things: fields, parameters, texts, numbers and spans, in words that need no programming."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Final

from hub.expr.explain import shown

_SIMPLE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_./:@*?+-]{0,199}")
MAX_TEXT: Final = 200
_TAKEN: Final = frozenset({"and", "or", "not", "is", "in", "if", "true", "false", "nothing", "otherwise"})

# Fields whose name alone would not read well; every other is its name with blanks.
_FIELDS: Final[Mapping[str, str]] = {
    "at": "time",
    "closed_at": "closing time",
    "ib": "introducing broker",
    "id": "id",
    "kyc": "KYC state",
    "last_trade_at": "time of the last trade",
    "lots": "volume in lots",
    "open_lots": "open volume in lots",
    "open_positions": "number of open positions",
    "opened_at": "opening time",
    "registered_at": "time of registration",
    "requested_by": "requester",
    "sl": "stop loss",
    "timestamp": "time",
    "timezone": "time zone",
    "tp": "take profit",
}
_OWNERS: Final[Mapping[str, str]] = {
    "account": "the account's",
    "client": "the client's",
    "event": "the event's",
    "group": "the group's",
    "position": "the position's",
    "symbol": "the symbol's",
    "trigger.event": "the starting event's",
}
_WHOLE: Final[Mapping[str, str]] = {
    "error.message": "why it failed",
    "error.step": "the step that failed",
    "event": "the event",
    "period.end": "the end of the period",
    "period.label": "the name of the period",
    "period.start": "the start of the period",
    "trigger": "what started it",
    "trigger.at": "the time it started",
    "trigger.by": "who asked for it",
    "trigger.event": "the starting event",
    "trigger.id": "the name of what started it",
    "trigger.limit": "the limit that was passed",
    "trigger.value": "the value that passed the limit",
}
# Conditions that are a field: how they are said, and how their opposite is.
_FLAGS: Final[Mapping[str, tuple[str, str]]] = {
    "account.enabled": ("the account is enabled", "the account is disabled"),
    "account.trading_enabled": ("the account may trade", "the account may not trade"),
    "client.consent_marketing": (
        "the client agreed to marketing",
        "the client did not agree to marketing",
    ),
    "event.is_first": ("it is the first", "it is not the first"),
}


@dataclass(frozen=True, slots=True)
class Param:
    """`shown` has its unit, `bare` is what a formula is reckoned with."""

    shown: str
    bare: str


def field(name: str) -> str:
    return _FIELDS.get(name, name.replace("_", " "))


def named(names: tuple[str, ...], *, near: str = "") -> str:
    """Return a path as a person says it; the fields of the root `near` stand alone, as in `where`."""
    dotted = ".".join(names)
    if dotted in _WHOLE:
        return _WHOLE[dotted]
    if names[:2] == ("trigger", "inputs") and len(names) == 3:
        return f"the {field(names[2])} that was given"
    owner = "trigger.event" if names[:2] == ("trigger", "event") else names[0]
    fields = names[owner.count(".") + 1 :]
    if not fields:
        return dotted  # an aggregate, `now`, or a whole record
    first = field(fields[0])
    whole = (
        first if owner == near else f"{_OWNERS[owner]} {first}" if owner in _OWNERS else f"{owner}'s {first}"
    )
    inner = "".join(f"{field(name)} in " for name in reversed(fields[1:]))
    return f"{inner}{whole}"


def flag(names: tuple[str, ...], yes: bool) -> str | None:
    """Return the sentence of a field that is true or false, where there is a better one than that it is."""
    found = _FLAGS.get(".".join(names))
    return None if found is None else found[0 if yes else 1]


def text(value: str) -> str:
    """Return a text as it stands, between quotes wherever it could be taken for a part of the sentence."""
    if _SIMPLE.fullmatch(value) is not None and value.lower() not in _TAKEN:
        return value
    line = " ".join(value.split("\n"))
    return f"“{line if len(line) <= MAX_TEXT else line[: MAX_TEXT - 1] + '…'}”"


def plain(value: object) -> str:
    """Return a value that is written out in the file."""
    match value:
        case None:
            return "nothing"
        case bool():
            return "true" if value else "false"
        case str():
            return text(value)
        case timedelta():
            return span(value)
        case Decimal() | int():
            return shown(value)
        case Mapping():
            return "{" + ", ".join(f"{name} = {plain(item)}" for name, item in value.items()) + "}"
        case list() | tuple():
            return "[" + ", ".join(plain(item) for item in value) + "]"
        case _:
            return str(value)


_UNITS: Final = (
    (timedelta(days=1), "day"),
    (timedelta(hours=1), "hour"),
    (timedelta(minutes=1), "minute"),
    (timedelta(seconds=1), "second"),
    (timedelta(milliseconds=1), "millisecond"),
)


def span(length: timedelta) -> str:
    """Return a duration in the largest unit that leaves nothing over: 90 minutes, 7 days."""
    unit, noun = next((each for each in _UNITS if not length % each[0]), _UNITS[-1])
    return count(length // unit, noun)


def count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if abs(number) == 1 else "s")


def times(number: int) -> str:
    return {1: "once", 2: "twice"}.get(number, f"{number} times")


def kind(event: str) -> str:
    """Return an event's type as a noun; a pattern is no name by itself."""
    return f"event of the kind {event}" if event.endswith("*") else event


def one(event: str) -> str:
    """Return `a trade.closed`, `an account.updated`."""
    noun = kind(event)
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"
