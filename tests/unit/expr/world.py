"""A scope and an environment like those of the hub, for the tests of the expression language."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace

import msgspec

from hub.expr import Expression, Kind, Scope, Type, compile_expression

NUMBER = Type(Kind.NUMBER)
STRING = Type(Kind.STRING)
BOOL = Type(Kind.BOOL)
TIME = Type(Kind.TIME)
MONEY = Type(Kind.MONEY)
USD = Type(Kind.MONEY, currency="USD")
EUR = Type(Kind.MONEY, currency="EUR")
PERCENT = Type(Kind.PERCENT)
ANY = Type(Kind.ANY)
TEXTS = Type(Kind.LIST, item=STRING)


def maybe(type_: Type) -> Type:
    return type_.or_missing()


class Trade(msgspec.Struct, frozen=True, kw_only=True):
    deal: int | None = 11
    symbol: str | None = "EURUSD"
    symbol_class: str | None = None
    lots: Decimal | None = Decimal("2.5")
    profit: Decimal | None = Decimal(-120)
    net_profit: Decimal | None = Decimal("-150.5")
    comment: str | None = None
    is_first: bool | None = True
    closed_at: datetime | None = datetime(2026, 3, 31, 21, 30, tzinfo=UTC)
    opened_at: datetime | None = datetime(2026, 3, 31, 9, 0, tzinfo=UTC)


EVENT = Type(
    Kind.OBJECT,
    fields={
        "deal": NUMBER,
        "symbol": STRING,
        "symbol_class": maybe(STRING),
        "lots": NUMBER,
        "profit": MONEY,
        "net_profit": MONEY,
        "comment": maybe(STRING),
        "is_first": BOOL,
        "closed_at": TIME,
        "opened_at": TIME,
    },
)
ACCOUNT = Type(
    Kind.OBJECT,
    fields={
        "login": NUMBER,
        "group": STRING,
        "type": STRING,
        "country": maybe(STRING),
        "status": maybe(STRING),
        "balance": MONEY,
        "credit": MONEY,
        "equity": MONEY,
        "leverage": maybe(NUMBER),
        "enabled": BOOL,
        "tags": TEXTS,
        "attributes": ANY,
        "registered_at": TIME,
    },
)
PARAMS = Type(
    Kind.OBJECT,
    fields={
        "rate": USD,
        "bonus": EUR,
        "min_lots": NUMBER,
        "daily": PERCENT,
        "classes": TEXTS,
        "note": maybe(STRING),
    },
)
ROOTS = {
    "event": EVENT,
    "account": ACCOUNT,
    "params": PARAMS,
    "steps": ANY,
    "secrets": Type(Kind.OBJECT, fields={"crm_token": Type(Kind.SECRET)}),
    "lots": NUMBER,
    "lots_30d": maybe(NUMBER),
    "day_start": maybe(MONEY),
    "now": TIME,
}
SCOPE = Scope(ROOTS)

NOW = datetime(2026, 4, 1, 6, 0, tzinfo=UTC)


def an_account(**changes: object) -> SimpleNamespace:
    fields: dict[str, object] = {
        "login": 7001,
        "group": "real/std-usd",
        "type": "real",
        "country": None,
        "status": "active",
        "balance": Decimal(1000),
        "credit": Decimal(0),
        "equity": Decimal(900),
        "leverage": None,
        "enabled": True,
        "tags": ["vip", "eu"],
        "attributes": {"tier": "gold", "score": 0.1, "deep": {"n": 5}, "list": [1, 2.5, "x"], "no": None},
        "registered_at": NOW - timedelta(days=40),
    }
    return SimpleNamespace(**{**fields, **changes})


def an_env(**changes: object) -> dict[str, object]:
    env: dict[str, object] = {
        "event": Trade(),
        "account": an_account(),
        "params": {
            "rate": Decimal("2.00"),
            "bonus": Decimal(5),
            "min_lots": Decimal(20),
            "daily": Decimal(5),
            "classes": ["fx", "metals"],
            "note": None,
        },
        "steps": {"crm": {"ok": True, "body": {"tier": "gold", "amount": "12.50"}}},
        "secrets": {"crm_token": object()},
        "lots": Decimal("18.5"),
        "lots_30d": None,
        "day_start": None,
        "now": NOW,
    }
    return {**env, **changes}


def compiled(text: str, expects: Kind | None = None, scope: Scope = SCOPE) -> Expression:
    return compile_expression(text, scope, expects=expects)


def value_of(text: str, **changes: object) -> object:
    """Evaluate both ways, insist that they agree, return the answer."""
    expression = compiled(text)
    env = an_env(**changes)
    fast, careful = expression.evaluate(env), expression.evaluate_carefully(env)
    assert type(fast) is type(careful)
    assert fast == careful
    return fast
