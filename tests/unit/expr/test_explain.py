from datetime import timedelta
from decimal import Decimal

import pytest
from unit.expr.world import Trade, an_env, compiled

from hub.expr.explain import shown


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("lots > params.min_lots", "lots > params.min_lots is false (18.5 > 20)"),
        ("lots < params.min_lots", "lots < params.min_lots is true (18.5 < 20)"),
        ("event.is_first and lots > params.min_lots", "lots > params.min_lots is false (18.5 > 20)"),
        (
            "event.lots > 1 and event.symbol == 'EURUSD'",
            'event.lots > 1 is true (2.5 > 1) and event.symbol == \'EURUSD\' is true ("EURUSD" == "EURUSD")',
        ),
        ("lots > 100 or event.lots > 1", "event.lots > 1 is true (2.5 > 1)"),
        ("lots > 100 or lots > 50", "lots > 100 is false (18.5 > 100) and lots > 50 is false (18.5 > 50)"),
        ("not lots > 5", "not lots > 5 is false (18.5 > 5)"),
        ("not (lots > 5 and lots > 6)", "lots > 5 is true (18.5 > 5) and lots > 6 is true (18.5 > 6)"),
        ("0 < lots <= 10", "lots <= 10 is false (18.5 <= 10)"),
        ("(lots + 1) * 2 > 100", "(lots + 1) * 2 > 100 is false (39.0 > 100)"),
        ("event.symbol in ['A', 'B']", "event.symbol in ['A', 'B'] is false (\"EURUSD\")"),
        ("'x' in account.tags", '\'x\' in account.tags is false ("x" in ["vip", "eu"])'),
        ("event.is_first", "event.is_first is true"),
        ("not event.is_first", "not event.is_first is false"),
        (
            "starts_with(account.group, 'demo/')",
            "starts_with(account.group, 'demo/') is false (account.group = \"real/std-usd\")",
        ),
        ("has(account.country)", "has(account.country) is false"),
        ("account.country == 'CY'", "account.country is missing"),
        ("account.country == 'CY' and event.is_first", "account.country is missing"),
        ("account.country == 'CY' and lots_30d > 1", "account.country is missing and lots_30d is missing"),
        ("lots / (lots - 18.5) > 1", "lots / (lots - 18.5) is unknown: division by zero"),
        (
            "steps.crm.body.amount > 5",
            "steps.crm.body.amount > 5 is unknown: text cannot be compared with a number",
        ),
        (
            "steps.crm.body.tier and true",
            "steps.crm.body.tier is unknown: text where true or false is needed",
        ),
        ("steps.crm.ok and lots > 5", "steps.crm.ok is true and lots > 5 is true (18.5 > 5)"),
        ("params.rate * lots", "params.rate * lots is 37.000 (params.rate = 2.00, lots = 18.5)"),
        ("lots", "lots is 18.5"),
        ("true", "true is true"),
        ("5", "it is always 5"),
        (
            "lots > 100 if event.is_first else lots > 1",
            "event.is_first is true, so lots > 100 is false (18.5 > 100)",
        ),
        (
            "now - account.registered_at > days(50)",
            "now - account.registered_at > days(50) is false (40d > 50d)",
        ),
        ("lots\n  > 100", "lots > 100 is false (18.5 > 100)"),
        ("null", "null is unknown: null stands for no value"),
    ],
)
def test_an_expression_says_what_decided_it(text, sentence):
    assert compiled(text).explain(an_env()) == sentence


def test_exactly_the_limit_is_told_as_the_story_tests_expect_it():
    assert (
        compiled("lots > params.min_lots").explain(an_env(lots=Decimal(20)))
        == "lots > params.min_lots is false (20 > 20)"
    )


def test_a_number_that_is_not_finite_is_told():
    assert compiled("lots > 1").explain({"lots": Decimal("NaN")}) == "lots is not a finite number"


def test_a_long_text_is_clipped():
    sentence = compiled("event.comment == 'a'").explain(an_env(event=Trade(comment="x" * 5_000)))

    assert len(sentence) < 120


def test_a_sentence_over_many_parts_stays_short():
    text = " and ".join(f"lots > {n}" for n in range(15))

    assert compiled(text).explain(an_env()).endswith("and more")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "missing"),
        (Decimal("-0.00"), "0"),
        (Decimal("1E+3"), "1000"),
        (Decimal("1e-20"), "0.00000000000000000001"),
        (timedelta(), "0s"),
        (timedelta(days=1, hours=2, minutes=3, seconds=4), "1d 2h 3m 4s"),
        (-timedelta(minutes=5), "-5m"),
        (timedelta(microseconds=7), "7µs"),
        (list(range(9)), "[0, 1, 2, 3, 4, 5, …]"),
        ({"a": 1}, "a record"),
        ('a"b', '"a\\"b"'),
        (10**50, "a very long number"),
        (object(), "a object"),
    ],
)
def test_values_are_written_for_people(value, words):
    assert shown(value) == words
