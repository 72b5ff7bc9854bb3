"""The functions of the language: each is one entry with its types, its words for people, and what it does."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType
from typing import Final

from hub.expr import library
from hub.expr.library import Implementation
from hub.expr.types import NUMERIC, ORDERED, Kind, spoken

# Looks at an argument written as a literal, while loading: returns what is wrong with it, or nothing.
LiteralCheck = Callable[[object], str]

_NUMBERS: Final = NUMERIC
_LENGTHS: Final = NUMERIC | {Kind.DURATION}
_TEXT: Final = frozenset({Kind.STRING})
_TIME: Final = frozenset({Kind.TIME})
_ALL: Final = frozenset(Kind) - {Kind.SECRET}


@dataclass(frozen=True, slots=True)
class Parameter:
    name: str
    kinds: frozenset[Kind]
    default: Decimal | None = None
    repeated: bool = False
    check: LiteralCheck | None = None

    @property
    def wanted(self) -> str:
        """Return what may stand here, for messages and for the reference page."""
        if self.kinds == _ALL:
            return "anything but a secret"
        if self.kinds == ORDERED:
            return "something with an order (a number, text, a time, a duration)"
        # Money and percentages are numbers to whoever reads this.
        spared = {Kind.MONEY, Kind.PERCENT} if Kind.NUMBER in self.kinds else set()
        return " or ".join(spoken(kind) for kind in Kind if kind in self.kinds - spared)


@dataclass(frozen=True, slots=True)
class Function:
    """``returns`` is a kind, or None where the result has the type of the arguments, which then must agree.

    ``alike`` makes the arguments agree with one another as the two sides of a comparison do.
    """

    name: str
    parameters: tuple[Parameter, ...]
    returns: Kind | None
    summary: str
    example: str
    run: Implementation
    alike: bool = False

    @property
    def fewest(self) -> int:
        return sum(parameter.default is None for parameter in self.parameters)

    @property
    def most(self) -> int | None:
        return None if self.parameters[-1].repeated else len(self.parameters)

    def parameter(self, position: int) -> Parameter:
        return self.parameters[min(position, len(self.parameters) - 1)]

    @property
    def signature(self) -> str:
        """Return how it is called, for messages and for the reference page."""
        parts = [
            p.name + (f"={p.default}" if p.default is not None else "") + (", ..." if p.repeated else "")
            for p in self.parameters
        ]
        return f"{self.name}({', '.join(parts)})"


def _special(*_: object) -> object:
    raise AssertionError("has() and default() are evaluated by the language itself")


def _x(kinds: frozenset[Kind], name: str = "x") -> Parameter:
    return Parameter(name, kinds)


_TZ: Final = Parameter("tz", _TEXT, check=library.wrong_zone)
_WHEN: Final = Parameter("time", _TIME)

_LIST: Final = (
    Function(
        "abs", (_x(_LENGTHS),), None, "The value without its sign.", "abs(event.net_profit)", library.absolute
    ),
    Function(
        "min",
        (_x(ORDERED), Parameter("y", ORDERED, repeated=True)),
        None,
        "The smallest of two or more values of one kind.",
        "min(lots, 50)",
        library.smallest,
        alike=True,
    ),
    Function(
        "max",
        (_x(ORDERED), Parameter("y", ORDERED, repeated=True)),
        None,
        "The largest of two or more values of one kind.",
        "max(account.balance, account.credit)",
        library.largest,
        alike=True,
    ),
    Function(
        "round",
        (_x(_NUMBERS), Parameter("digits", _NUMBERS, Decimal(0), check=library.wrong_places)),
        None,
        "Rounds to that many digits after the point; a half goes away from zero, as on an invoice.",
        "round(lots * params.rate, 2)",
        library.round_half_up,
    ),
    Function("floor", (_x(_NUMBERS),), None, "The next whole number down.", "floor(lots)", library.floor),
    Function("ceil", (_x(_NUMBERS),), None, "The next whole number up.", "ceil(lots)", library.ceil),
    Function(
        "lower",
        (_x(_TEXT),),
        Kind.STRING,
        "The text in small letters.",
        "lower(event.comment)",
        library.lower,
    ),
    Function(
        "upper", (_x(_TEXT),), Kind.STRING, "The text in capitals.", "upper(event.symbol)", library.upper
    ),
    Function(
        "starts_with",
        (_x(_TEXT, "text"), _x(_TEXT, "start")),
        Kind.BOOL,
        "Whether the text begins with the other, capitals and small letters told apart.",
        'starts_with(account.group, "real/")',
        library.starts_with,
    ),
    Function(
        "ends_with",
        (_x(_TEXT, "text"), _x(_TEXT, "end")),
        Kind.BOOL,
        "Whether the text ends with the other.",
        'ends_with(event.symbol, ".pro")',
        library.ends_with,
    ),
    Function(
        "contains",
        (_x(_TEXT, "text"), _x(_TEXT, "part")),
        Kind.BOOL,
        "Whether the other text stands somewhere in it; for lists write `in`.",
        'contains(lower(event.comment), "bonus")',
        library.contains,
    ),
    Function(
        "like",
        (_x(_TEXT, "text"), Parameter("pattern", _TEXT, check=library.wrong_pattern)),
        Kind.BOOL,
        "Whether the whole text fits the pattern: `*` is any run of characters, `?` is one.",
        'like(account.group, "real/*-usd")',
        library.like,
    ),
    Function(
        "has",
        (_x(_ALL, "field"),),
        Kind.BOOL,
        "Whether the field or name has a value. Never unknown.",
        "has(account.country)",
        _special,
    ),
    Function(
        "default",
        (_x(_ALL), _x(_ALL, "fallback")),
        None,
        "The value, or the fallback where the value is missing or unknown.",
        "default(steps.sign_off.rejected, false)",
        _special,
    ),
    Function(
        "len",
        (_x(frozenset({Kind.STRING, Kind.LIST})),),
        Kind.NUMBER,
        "How many characters or items there are.",
        "len(account.tags)",
        library.length,
    ),
    Function(
        "between",
        (_x(ORDERED), _x(ORDERED, "low"), _x(ORDERED, "high")),
        Kind.BOOL,
        "Whether the value lies between the two, both included.",
        "between(event.lots, 0.1, 5)",
        library.between,
        alike=True,
    ),
    Function(
        "number",
        (Parameter("x", _TEXT | _NUMBERS, check=library.wrong_number),),
        Kind.NUMBER,
        "The number a text spells; unknown where it spells none.",
        "number(event.body.amount)",
        library.to_number,
    ),
    Function(
        "time",
        (Parameter("x", _TEXT | _TIME, check=library.wrong_time),),
        Kind.TIME,
        "The time a text spells, with its zone: `2026-03-31T21:00:00Z`.",
        'time("2026-03-31T21:00:00Z")',
        library.to_time,
    ),
    Function(
        "duration",
        (Parameter("x", _TEXT | {Kind.DURATION}, check=library.wrong_duration),),
        Kind.DURATION,
        "The duration a text spells, as files write one: `30s`, `6h`, `7d`.",
        'duration("6h")',
        library.to_duration,
    ),
    Function(
        "day_of",
        (_WHEN, _TZ),
        Kind.STRING,
        'The calendar day in a time zone: `"2026-03-31"`.',
        'day_of(event.closed_at, "Europe/Nicosia") == day_of(now, "Europe/Nicosia")',
        library.day_of,
    ),
    Function(
        "month_of",
        (_WHEN, _TZ),
        Kind.STRING,
        'The calendar month in a time zone: `"2026-03"`.',
        'month_of(now, "UTC") == "2026-03"',
        library.month_of,
    ),
    Function(
        "weekday_of",
        (_WHEN, _TZ),
        Kind.STRING,
        "The day of the week in a time zone: `mon tue wed thu fri sat sun`.",
        'weekday_of(now, "Europe/Prague") in ["sat", "sun"]',
        library.weekday_of,
    ),
    Function(
        "hour_of",
        (_WHEN, _TZ),
        Kind.NUMBER,
        "The hour on the wall clock of a time zone, 0 to 23.",
        'between(hour_of(now, "UTC"), 8, 19)',
        library.hour_of,
    ),
    Function(
        "seconds", (_x(_NUMBERS, "n"),), Kind.DURATION, "So many seconds.", "seconds(30)", library.span(1)
    ),
    Function(
        "minutes", (_x(_NUMBERS, "n"),), Kind.DURATION, "So many minutes.", "minutes(5)", library.span(60)
    ),
    Function("hours", (_x(_NUMBERS, "n"),), Kind.DURATION, "So many hours.", "hours(6)", library.span(3_600)),
    Function(
        "days",
        (_x(_NUMBERS, "n"),),
        Kind.DURATION,
        "So many times 24 hours; for calendar days compare `day_of`.",
        "now - account.registered_at > days(30)",
        library.span(86_400),
    ),
)
FUNCTIONS: Final[Mapping[str, Function]] = MappingProxyType({function.name: function for function in _LIST})
