"""The types of the language, and how each is named to a person."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum, StrEnum
from typing import Final, Never

from typing_extensions import override


class Kind(StrEnum):
    NUMBER = "number"
    MONEY = "money"
    PERCENT = "percent"
    STRING = "string"
    BOOL = "bool"
    TIME = "time"
    DURATION = "duration"
    LIST = "list"
    OBJECT = "object"
    SECRET = "secret"  # noqa: S105 - the name of a kind, not a password
    ANY = "any"  # JSON nobody declared: its kind is looked at when the expression runs


NUMERIC: Final = frozenset({Kind.NUMBER, Kind.MONEY, Kind.PERCENT})
ORDERED: Final = NUMERIC | {Kind.STRING, Kind.TIME, Kind.DURATION}

_SPOKEN: Final = {
    Kind.NUMBER: "a number",
    Kind.MONEY: "money",
    Kind.PERCENT: "a percentage",
    Kind.STRING: "text",
    Kind.BOOL: "true or false",
    Kind.TIME: "a time",
    Kind.DURATION: "a duration",
    Kind.LIST: "a list",
    Kind.OBJECT: "a record",
    Kind.SECRET: "a secret",
    Kind.ANY: "an undeclared value",
}


def spoken(kind: Kind) -> str:
    return _SPOKEN[kind]


@dataclass(frozen=True, slots=True)
class Type:
    """What a name, a field or an expression holds.

    Money without a currency is in the account's currency, which nobody knows while loading. An object's fields
    are read as attributes, or with ``mapping`` as keys. Of a ``finite`` number the owner of the name promises that it
    is an int, a finite decimal or missing, because it was checked where it came in. What is ``written`` stands as text
    in its record, as JSON has decimals and times, and is read as what it is. A text that is one of a few ``words`` has
    no other value.
    """

    kind: Kind
    optional: bool = False
    item: "Type | None" = None
    currency: str | None = None
    fields: "Mapping[str, Type] | None" = None
    mapping: bool = False
    finite: bool = field(default=False, compare=False)
    written: bool = field(default=False, compare=False)
    words: tuple[str, ...] = field(default=(), compare=False)

    @property
    def numeric(self) -> bool:
        return self.kind in NUMERIC

    @property
    def dynamic(self) -> bool:
        """Whether only the running expression can tell what this is."""
        return self.kind is Kind.ANY or (self.kind is Kind.OBJECT and self.fields is None)

    def or_missing(self, optional: bool = True) -> "Type":
        return self if self.optional == optional else replace(self, optional=optional)

    @override
    def __str__(self) -> str:
        if self.kind is Kind.MONEY and self.currency is not None:
            return f"money in {self.currency}"
        return _SPOKEN[self.kind]


BOOL: Final = Type(Kind.BOOL)
NUMBER: Final = Type(Kind.NUMBER)
STRING: Final = Type(Kind.STRING)
TIME: Final = Type(Kind.TIME)
DURATION: Final = Type(Kind.DURATION)
ANY: Final = Type(Kind.ANY)


class Unknown(Enum):
    """The third truth value, alone of its kind so that ``is UNKNOWN`` narrows."""

    UNKNOWN = "unknown"

    def __bool__(self) -> Never:
        raise TypeError(
            "unknown is neither true nor false: compare with `is UNKNOWN`, `is True` or `is False`"
        )


UNKNOWN: Final = Unknown.UNKNOWN
MISSING: Final = None  # how an absent value is written in an environment
