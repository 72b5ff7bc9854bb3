"""The expressions of the hub's own example workflows compile and have the types their keys need."""

import pytest
from unit.expr.world import ACCOUNT, ANY, BOOL, MONEY, NUMBER, PERCENT, SCOPE, STRING, TEXTS, compiled, maybe

from hub.expr import Kind, Type

CLIENT = {"email": STRING, "first_name": STRING, "timezone": STRING, "consent_marketing": BOOL, "id": STRING}
HUB = SCOPE.extended(
    {
        "account": Type(
            Kind.OBJECT,
            fields={**ACCOUNT.fields, "program": STRING, "open_positions": NUMBER, "margin_level": maybe(NUMBER),
                    "free_margin": MONEY},
        ),
        "event": Type(
            Kind.OBJECT,
            fields={**SCOPE.roots["event"].fields, "net_profit_base": maybe(MONEY), "amount": MONEY,
                    "amount_base": maybe(MONEY), "request": STRING, "requested_by": STRING},
        ),
        "client": Type(Kind.OBJECT, fields={name: maybe(type_) for name, type_ in CLIENT.items()}),
        "params": Type(
            Kind.OBJECT,
            fields={**SCOPE.roots["params"].fields, "overall": PERCENT},
        ),
        "trigger": Type(Kind.OBJECT, fields={"id": STRING, "value": NUMBER, "limit": NUMBER}),
        "withdrawn": MONEY,
        "loss_7d": MONEY,
        "initial": MONEY,
        "countries": TEXTS,
        "anything": ANY,
    },
    sampled_allowed=True,
)  # fmt: skip


@pytest.mark.parametrize(
    ("text", "expects"),
    [
        ('account.type == "real" and not account.country in ["US", "CA"]', Kind.BOOL),
        ('event.symbol_class in ["fx", "metals"]', Kind.BOOL),
        ("params.rate * lots", Kind.MONEY),
        ("lots > params.min_lots and withdrawn == 0", Kind.BOOL),
        ('account.type == "real" and client.consent_marketing', Kind.BOOL),
        ("abs(event.net_profit_base)", Kind.MONEY),
        ("loss_7d > 1000", Kind.BOOL),
        ("client.timezone", Kind.STRING),
        ('starts_with(account.group, "real/std")', Kind.BOOL),
        ("max(account.balance, account.equity)", Kind.MONEY),
        ("day_start * (1 - params.daily / 100)", Kind.MONEY),
        ("initial * (1 - params.overall / 100)", Kind.NUMBER),
        ('account.program == "challenge" and account.status == "active"', Kind.BOOL),
        ("account.open_positions == 0", Kind.BOOL),
        ("account.margin_level", Kind.NUMBER),
        ('"margin-call" if trigger.id == "call" else "margin-warning"', Kind.STRING),
        ("event.amount_base > 10000", Kind.BOOL),
        ("not default(steps.sign_off.rejected, false)", Kind.BOOL),
        ("account.free_margin >= event.amount", Kind.BOOL),
        ("steps.sign_off.decision", None),
        ('steps.crm.body.tier if steps.crm.ok else "standard"', None),
    ],
)
def test_the_expressions_of_the_example_workflows_compile(text, expects):
    expression = compiled(text, expects, scope=HUB)

    assert expression.text == text
    if expects in {Kind.BOOL, Kind.STRING}:
        assert expression.type.kind is expects
