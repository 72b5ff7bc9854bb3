import operator
from decimal import Decimal

import pytest
from unit.expr.world import Trade, an_account, an_env, compiled, value_of

from hub.expr import UNKNOWN, Scope, Type
from hub.expr.types import Kind

FLAGS = Scope({name: Type(Kind.BOOL, optional=True) for name in "ab"})
T, F, U = True, False, UNKNOWN


def given(value):
    return None if value is UNKNOWN else value


@pytest.mark.parametrize(
    ("a", "b", "both", "either"),
    [
        (T, T, T, T), (T, F, F, T), (T, U, U, T),
        (F, T, F, T), (F, F, F, F), (F, U, F, U),
        (U, T, U, T), (U, F, F, U), (U, U, U, U),
    ],
)  # fmt: skip
def test_and_and_or_follow_kleene(a, b, both, either):
    env = {"a": given(a), "b": given(b)}

    assert compiled("a and b", scope=FLAGS).test(env) is both
    assert compiled("a or b", scope=FLAGS).test(env) is either
    assert compiled("not (a and b)", scope=FLAGS).test(env) is (U if both is U else not both)


@pytest.mark.parametrize(("a", "answer"), [(T, F), (F, T), (U, U)])
def test_not_follows_kleene(a, answer):
    assert compiled("not a", scope=FLAGS).test({"a": given(a)}) is answer


@pytest.mark.parametrize(
    "text",
    [
        "lots_30d == 1", "lots_30d != 1", "lots_30d < 1", "lots_30d <= 1", "lots_30d > 1", "lots_30d >= 1",
        "1 == lots_30d", "1 != lots_30d", "1 < lots_30d",
        "lots_30d + 1", "lots_30d - 1", "lots_30d * 0", "lots_30d / 1", "lots_30d // 1", "lots_30d % 2", "-lots_30d",
        "lots_30d in [1, 2]", "lots_30d not in [1, 2]", "lots in [1, lots_30d]", "not lots_30d in [1]",
        "0 < lots_30d < 5", "abs(lots_30d)", "max(1, lots_30d)", "min(lots_30d, 1)", "round(lots_30d, 2)",
        "between(lots_30d, 1, 2)", "between(1, lots_30d, 2)", "1 if lots_30d > 1 else 1",
        'account.country == "CY"', 'account.country != "CY"', 'account.country in ["CY"]',
        'account.country not in ["CY"]', 'account.country < "CY"', 'account.country + "x"', "lower(account.country)",
        'starts_with(account.country, "C")', 'like(account.country, "*")', "len(account.country)",
        "account.country in params.classes", "params.note in account.tags", "[account.country]",
        "account.attributes.no == 1", "steps.a.b.c != 1", "steps.a.b + 1", "steps.crm.ok and steps.a",
        "account.country", "steps.nothing", "null", "default(null if event.is_first else 1, lots_30d)",
        "default(lots_30d, null)", "hours(lots_30d)", "now - hours(lots_30d)",
    ],
)  # fmt: skip
def test_a_missing_value_makes_every_operation_unknown(text):
    assert value_of(text) is UNKNOWN
    assert compiled(text).test(an_env()) is UNKNOWN


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("lots in [18.5, lots_30d]", True),
        ("lots not in [18.5, lots_30d]", False),
        ("has(lots_30d)", False),
        ("has(lots)", True),
        ("has(account.country) and account.country == 'CY'", False),
        ("has(steps.crm.body.tier)", True),
        ("has(steps.crm.nothing.at.all)", False),
        ("has(steps.crm.ok.deeper)", False),
        ("default(account.country, 'XX')", "XX"),
        ("default(lots_30d, 0) + 1", Decimal(1)),
        ("default(lots_30d > 5, false)", False),
        ("default(steps.sign_off.rejected, false)", False),
        ("not default(steps.sign_off.rejected, false)", True),
        ("default(lots / (lots - 18.5), 7)", Decimal(7)),
        ("event.lots > 100 and lots_30d > 1", False),
        ("lots_30d > 1 and event.lots > 100", False),
        ("lots_30d > 1 or event.lots > 1", True),
        ("lots > 1 if has(lots) else lots_30d > 1", True),
    ],
)
def test_what_is_known_all_the_same_is_answered(text, answer):
    assert value_of(text) == answer


@pytest.mark.parametrize(
    ("text", "changes"),
    [
        ("event.lots < 5", {"event": Trade(lots=None)}),
        ("event.symbol == 'EURUSD'", {"event": Trade(symbol=None)}),
        ("event.symbol != 'EURUSD'", {"event": Trade(symbol=None)}),
        ("event.is_first", {"event": Trade(is_first=None)}),
        ("not event.is_first", {"event": Trade(is_first=None)}),
        ("event.is_first == false", {"event": Trade(is_first=None)}),
        ("event.closed_at != now", {"event": Trade(closed_at=None)}),
        ("'x' not in account.tags", {"account": an_account(tags=None)}),
        ("event.lots < 5", {"event": None}),
        ("event.symbol != 'x'", {"event": None}),
        ("params.min_lots != 1", {"params": {}}),
        ("params.min_lots != 1", {"params": None}),
        ("lots != 1", {"lots": UNKNOWN}),
    ],
)
def test_a_field_declared_as_always_there_may_still_be_missing(text, changes):
    assert value_of(text, **changes) is UNKNOWN


def test_a_root_that_is_not_there_at_all_is_missing():
    assert compiled("lots > 5").test({}) is UNKNOWN
    assert compiled("event.symbol != 'x'").missing({}) == ["event.symbol"]


@pytest.mark.parametrize("bad", ["NaN", "sNaN", "Infinity", "-Infinity"])
@pytest.mark.parametrize(
    "text",
    ["lots == 1", "lots != 1", "lots < 1", "lots > 1", "not lots < 1", "lots in [1]", "lots not in [1]", "lots",
     "lots + 1", "has(lots) and lots != 1", "max(lots, 1)", "abs(lots)", "round(lots)"],
)  # fmt: skip
def test_a_number_that_is_not_finite_never_fires(text, bad):
    assert value_of(text, lots=Decimal(bad)) in {UNKNOWN, False}


@pytest.mark.parametrize(
    "text",
    [
        "lots / (lots - 18.5)", "lots // (lots - 18.5)", "lots % (lots - 18.5)", "(lots - lots) / (lots - lots)",
        "lots * 1e29 * 1e29", "1e30 * 11", "hours(1e12)", "now + hours(1e9)", "now - days(1000000)",
        "hours(1) * 1e20", "round(1e28, lots)", "number(steps.crm.body.tier)", "time(steps.crm.body.tier)",
        "hour_of(now, account.group)",
        "steps.crm.body.amount > 5", "steps.crm.body.amount * 2", "account.attributes.tier < 5", "account.attributes.tier == 5",
        "account.attributes.tier != 5", "account.attributes.deep == 5", "account.attributes.list == 5",
        "not account.attributes.tier", "account.attributes.tier and true", "account.attributes.tier in [1, 2]",
        "account.attributes.tier not in [1, 2]", "5 in account.attributes.tier", "-account.attributes.tier",
        "upper(account.attributes.deep)", "lower(steps.crm.ok)", "len(account.attributes.score)", "steps.crm.ok < steps.crm.ok",
        "abs(steps.crm.ok)", "5 in account.attributes.list",
    ],
)  # fmt: skip
def test_an_operation_without_an_answer_is_unknown_and_never_raises(text):
    assert value_of(text) is UNKNOWN


def test_unknown_refuses_to_be_taken_for_true_or_false():
    with pytest.raises(TypeError, match="neither true nor false"):
        bool(UNKNOWN)
    with pytest.raises(TypeError):
        operator.not_(UNKNOWN)


def test_a_value_that_is_no_condition_does_not_pass_a_test():
    assert compiled("lots").test(an_env()) is UNKNOWN


def test_the_missing_paths_are_named_once_and_in_order():
    expression = compiled(
        "account.country == 'CY' and lots_30d > 1 and lots_30d < account.leverage and event.is_first"
    )

    assert expression.missing(an_env()) == ["account.country", "lots_30d", "account.leverage"]


def test_nothing_is_missing_where_there_is_an_answer():
    assert compiled("lots_30d > 1 or event.is_first").missing(an_env()) == []
    assert compiled("lots / (lots - 18.5) > 1").missing(an_env()) == []


def test_a_record_whose_own_code_fails_is_missing():
    class Broken:
        @property
        def lots(self):
            raise RuntimeError("gone")

    expression = compiled("event.lots > 1")

    assert expression.test({"event": Broken()}) is UNKNOWN
    assert expression.explain({"event": Broken()}) == "event.lots cannot be read"


@pytest.mark.parametrize("bad", ["yes", 1, "false"])
def test_a_flag_that_is_not_true_or_false_is_unknown(bad):
    assert value_of("event.is_first", event=Trade(is_first=bad)) is UNKNOWN


def test_a_mapping_in_the_place_of_a_record_is_read_all_the_same():
    assert compiled("event.lots > 1").test({"event": {"lots": Decimal(2)}}) is True


def test_a_float_that_slipped_in_is_taken_as_it_was_written():
    assert compiled("lots == 0.1").test({"lots": 0.1}) is True
    assert compiled("account.attributes.score == 0.1").test(an_env()) is True
    assert compiled("account.attributes.score * 3 == 0.3").test(an_env()) is True
    assert compiled("2.5 in account.attributes.list").test(an_env()) is True
