from decimal import Decimal

import pytest
from unit.expr.world import compiled


@pytest.mark.parametrize(
    ("text", "reads"),
    [
        ("event.lots > params.min_lots", {"event.lots", "params.min_lots"}),
        ("lots_30d > 5 and lots_30d < 9", {"lots_30d"}),
        ("has(account.country)", {"account.country"}),
        ("default(steps.crm.body.tier, 'x') == 'x'", {"steps.crm.body.tier"}),
        ("event.symbol in [account.group, params.note]", {"event.symbol", "account.group", "params.note"}),
        ("1 if event.is_first else lots", {"event.is_first", "lots"}),
        ("abs(-event.profit)", {"event.profit"}),
        ("5 > 4", set()),
    ],
)
def test_an_expression_names_what_it_reads(text, reads):
    assert compiled(text).reads == reads


def test_an_expression_knows_its_roots():
    expression = compiled("event.lots > lots and params.rate > 1")

    assert expression.references_root("event")
    assert expression.references_root("lots")
    assert not expression.references_root("lot")
    assert not expression.references_root("account")
    assert not expression.references_root("param")


@pytest.mark.parametrize(
    ("text", "equalities"),
    [
        ("event.symbol == 'A'", [("event.symbol", {"A"})]),
        ("'A' == event.symbol", [("event.symbol", {"A"})]),
        ("event.symbol in ['A', 'B']", [("event.symbol", {"A", "B"})]),
        ("event.deal == -100", [("event.deal", {Decimal(-100)})]),
        ("account.enabled == true", [("account.enabled", {True})]),
        (
            "account.type == 'real' and lots > 5 and (event.symbol == 'A' and event.deal in [1, 2])",
            [("account.type", {"real"}), ("event.symbol", {"A"}), ("event.deal", {Decimal(1), Decimal(2)})],
        ),
        ("steps.crm.body.tier == 'gold'", [("steps.crm.body.tier", {"gold"})]),
        ("event.symbol == 'A' or event.symbol == 'B'", []),
        ("not event.symbol == 'A'", []),
        ("event.symbol != 'A'", []),
        ("event.symbol not in ['A']", []),
        ("event.symbol in ['A', account.group]", []),
        ("event.symbol == account.group", []),
        ("lower(event.symbol) == 'a'", []),
        ("event.symbol == 'A' if event.is_first else false", []),
        # A float in undeclared JSON has another hash than the decimal it is compared as.
        ("steps.crm.body.score == 0.1", []),
    ],
)
def test_equalities_that_must_hold_are_found_for_the_rule_index(text, equalities):
    assert compiled(text).equalities == tuple((path, frozenset(values)) for path, values in equalities)


def test_an_index_look_up_finds_an_integer_under_its_decimal():
    ((_, values),) = compiled("event.deal == 7001").equalities

    assert 7001 in values
