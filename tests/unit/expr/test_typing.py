import pytest
from unit.expr.world import ANY, SCOPE, STRING, compiled

from hub.errors import ExpressionError
from hub.expr import UNKNOWN, Kind, Scope, Type


@pytest.mark.parametrize(
    ("text", "kind", "currency"),
    [
        ("event.lots * 2", Kind.NUMBER, None),
        ("params.rate * lots", Kind.MONEY, "USD"),
        ("lots * params.rate", Kind.MONEY, "USD"),
        ("params.rate / 2", Kind.MONEY, "USD"),
        ("params.rate // 2", Kind.MONEY, "USD"),
        ("params.rate / params.rate", Kind.NUMBER, None),
        ("event.net_profit / params.rate", Kind.NUMBER, None),
        ("event.net_profit + params.rate", Kind.MONEY, "USD"),
        ("event.net_profit + 5", Kind.MONEY, None),
        ("-params.rate", Kind.MONEY, "USD"),
        ("abs(params.rate)", Kind.MONEY, "USD"),
        ("round(params.rate * lots, 2)", Kind.MONEY, "USD"),
        ("max(params.rate, 0)", Kind.MONEY, "USD"),
        ("params.rate if event.is_first else 0", Kind.MONEY, "USD"),
        ("day_start * (1 - params.daily / 100)", Kind.MONEY, None),
        ("default(day_start, account.balance)", Kind.MONEY, None),
        ("now - event.closed_at", Kind.DURATION, None),
        ("now - hours(6)", Kind.TIME, None),
        ("hours(6) + now", Kind.TIME, None),
        ("2 * hours(6)", Kind.DURATION, None),
        ("hours(6) / 2", Kind.DURATION, None),
        ("hours(6) / minutes(1)", Kind.NUMBER, None),
        ('event.symbol + ".x"', Kind.STRING, None),
        ('["a", "b"]', Kind.LIST, None),
        ("[]", Kind.LIST, None),
        ("steps.crm.body", Kind.ANY, None),
        ("steps.crm.body.amount + 1", Kind.ANY, None),
        ("number(steps.crm.body.amount)", Kind.NUMBER, None),
        ("account.attributes.deep.n // 2", Kind.NUMBER, None),
        ("default(steps.x.y, false)", Kind.ANY, None),
        ("event.lots if event.is_first else null", Kind.NUMBER, None),
        ("min(event.closed_at, now)", Kind.TIME, None),
    ],
)
def test_every_expression_has_a_type(text, kind, currency):
    found = compiled(text).type

    assert (found.kind, found.currency) == (kind, currency)


@pytest.mark.parametrize(
    ("text", "optional"),
    [
        ("account.country == 'CY'", True),
        ("account.type == 'real'", False),
        ("lots_30d + 1", True),
        ("default(lots_30d, 0)", False),
        ("default(lots_30d, lots_30d)", True),
        ("has(account.country)", False),
        ("event.lots if event.is_first else null", True),
        ("steps.x", True),
    ],
)
def test_what_may_be_missing_makes_the_whole_optional(text, optional):
    assert compiled(text).type.optional is optional


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("params.rate + params.bonus", "money in USD and money in EUR do not mix"),
        ("params.rate > params.bonus", "do not mix"),
        ("params.rate == params.bonus", "do not mix"),
        ("params.rate in [params.bonus]", "do not mix"),
        ("max(params.rate, params.bonus)", "do not mix"),
        ("between(params.rate, 0, params.bonus)", "do not mix"),
        ("params.rate if event.is_first else params.bonus", "do not mix"),
        ("params.rate / params.bonus", "do not mix"),
        ("event.net_profit + params.rate - params.bonus", "do not mix"),
        ("default(params.rate, params.bonus)", "do not mix"),
        ("params.rate + 1", "declare the other as money in USD"),
        ("1 - params.rate", "declare the other as money in USD"),
        ("params.rate * params.rate", "nothing anybody can pay"),
        ("1 / params.rate", "divided by money"),
        ("event.symbol == 5", 'write "5" in quotes'),
        ('event.lots == "5"', "write 5 without quotes"),
        ('event.is_first == "true"', "without quotes"),
        ('event.closed_at > "2026-01-01"', 'time("...")'),
        ("event.is_first > event.is_first", "has no order"),
        ("event.is_first < 1", "has no order"),
        ("steps.x < true", "has no order"),
        ("account.tags == account.tags", "a list cannot be compared"),
        ("event == event", "a record cannot be compared"),
        ("event.closed_at - 5", "hours(6)"),
        ("event.closed_at + event.closed_at", "cannot join"),
        ("event.is_first + 1", "cannot join"),
        ("-event.symbol", "needs a number"),
        ("-null", "needs a number"),
        ("event.lots and event.is_first", "not true or false"),
        ("not event.symbol", "not true or false"),
        ("1 if event.lots else 2", "not true or false"),
        ("true and null", "not true or false"),
        ("1 if event.is_first else 'a'", "do not go together"),
        ("[1, 'a']", "do not go together"),
        ("[0, params.rate, params.bonus]", "do not mix"),
        ("max(0, params.rate, params.bonus)", "do not mix"),
        ("event.lots in ['a']", "cannot be compared"),
        ("5 in account.tags", "cannot be compared"),
        ("abs()", "abs(x)"),
        ("abs(1, 2)", "abs(x)"),
        ("max(1)", "max(x, y, ...)"),
        ("abs('a')", "abs() needs a number or a duration as x, and this is text"),
        ("lower(5)", "lower() needs text as x"),
        ("contains(account.tags, 'a')", "for lists write `in`"),
        ("has(1)", "asks about a field"),
        ("has(lots + 1)", "asks about a field"),
        ("has(null)", "cannot work on null"),
        ("round(lots, 13)", "whole number from 0 to 12"),
        ("round(lots, 1.5)", "whole number from 0 to 12"),
        ("round(lots, -1)", "whole number from 0 to 12"),
        ('like(event.symbol, "' + "a" * 201 + '")', "at most 200"),
        ('hour_of(now, "Mars/Base")', "unknown time zone"),
        ('hour_of(now, "../../etc/passwd")', "unknown time zone"),
        ('number("abc")', "not a number"),
        ('time("soon")', "not a time"),
        ('time("2026-01-01")', "no zone"),
        ("min(lots, 'a')", "cannot be compared"),
        ("min(event.is_first, true)", "min() needs"),
    ],
)
def test_what_means_nothing_is_refused_while_loading(text, words):
    with pytest.raises(ExpressionError) as refused:
        compiled(text)

    assert words in refused.value.message
    assert refused.value.offset + refused.value.length <= len(text)


@pytest.mark.parametrize(
    ("text", "expects", "words"),
    [
        ("event.lots", Kind.BOOL, "this is a number, but true or false is needed"),
        ("event.symbol", Kind.NUMBER, "this is text, but a number is needed"),
        ("event.lots > 1", Kind.MONEY, "but money is needed"),
        ("now", Kind.DURATION, "but a duration is needed"),
        ("steps.x", Kind.SECRET, "but a secret is needed"),
    ],
)
def test_an_expression_has_to_be_of_the_kind_that_is_needed(text, expects, words):
    with pytest.raises(ExpressionError) as refused:
        compiled(text, expects)

    assert words in refused.value.message


def test_a_plain_number_may_stand_where_money_is_needed():
    assert compiled("50", Kind.MONEY).type.kind is Kind.NUMBER
    assert compiled("params.rate", Kind.NUMBER).type.kind is Kind.MONEY


def test_an_undeclared_value_is_of_the_kind_that_is_needed_or_unknown():
    expression = compiled("steps.x", Kind.BOOL)

    assert expression.type.kind is Kind.BOOL
    assert expression.test({"steps": {"x": True}}) is True
    assert expression.test({"steps": {"x": "yes"}}) is UNKNOWN
    assert expression.test({"steps": {"x": 1}}) is UNKNOWN
    assert expression.test({"steps": {}}) is UNKNOWN


@pytest.mark.parametrize(
    "text",
    [
        'secrets.crm_token == "x"',
        "secrets.crm_token + 'a'",
        "lower(secrets.crm_token)",
        "has(secrets.crm_token)",
        "default(secrets.crm_token, 'x')",
        "[secrets.crm_token]",
        "secrets.crm_token in ['a']",
        "secrets.crm_token if event.is_first else 'x'",
        "len(secrets.crm_token) > 5",
        "not secrets.crm_token",
    ],
)
def test_a_secret_stands_alone(text):
    with pytest.raises(ExpressionError, match="a secret stands alone"):
        compiled(text)


def test_a_secret_comes_through_untouched_and_is_never_shown():
    class Reference:
        def __repr__(self) -> str:
            return "hunter2"

    reference = Reference()
    expression = compiled("secrets.crm_token", Kind.SECRET)
    env = {"secrets": {"crm_token": reference}}

    assert expression.evaluate(env) is reference
    assert expression.explain(env) == "secrets.crm_token is a secret"


def test_a_sampled_field_is_refused_where_no_input_brings_it():
    with pytest.raises(ExpressionError) as refused:
        compiled("lots > 5 and account.equity < 5")

    assert "account.equity moves with every price" in refused.value.message
    assert "`crosses`" in refused.value.message
    assert (refused.value.offset, refused.value.length) == (13, 14)


def test_has_reads_a_sampled_field_too():
    with pytest.raises(ExpressionError, match=r"account\.equity"):
        compiled("has(account.equity)")


def test_a_whole_record_with_sampled_fields_is_refused_with_them():
    with pytest.raises(ExpressionError, match=r"account\.equity"):
        compiled("account")


def test_asking_whether_there_is_a_record_reads_none_of_its_prices():
    assert compiled("has(account)").reads == {"account"}


def test_a_record_inside_a_mapping_is_a_mapping_too():
    scope = Scope({"steps": Type(Kind.OBJECT, fields={"crm": Type(Kind.OBJECT, fields={"values": STRING})})})
    expression = compiled("steps.crm.values == 'x'", scope=scope)

    assert expression._fast({"steps": {"crm": {"values": "x"}}}) is True


def test_a_sampled_field_is_read_where_it_is_allowed():
    scope = SCOPE.extended({}, sampled_allowed=True)

    assert compiled("account.equity < 5", scope=scope).reads == {"account.equity"}


def test_the_hint_for_sampled_fields_is_the_one_the_caller_gave():
    scope = Scope(SCOPE.roots, sampled=frozenset({"event.lots"}), hint_for_sampled="ask later")

    with pytest.raises(ExpressionError, match="ask later"):
        compiled("event.lots > 1", scope=scope)
    assert compiled("account.equity > 1", scope=scope)


def test_a_scope_can_be_extended_without_changing_the_first():
    extended = SCOPE.extended({"loss_7d": Type(Kind.MONEY)})

    assert compiled("loss_7d > 1000", scope=extended).reads == {"loss_7d"}
    with pytest.raises(ExpressionError, match="unknown name loss_7d"):
        compiled("loss_7d > 1000")


@pytest.mark.parametrize("name", ["and", "not", "_x", "a.b", "a b", "", "null"])
def test_a_root_needs_a_plain_name(name):
    with pytest.raises(ValueError, match="cannot name a root"):
        Scope({name: STRING})


def test_a_record_without_declared_fields_is_read_as_undeclared_json():
    scope = Scope({"body": Type(Kind.OBJECT), "any": ANY})

    assert compiled("body.a.b", scope=scope).evaluate({"body": {"a": {"b": "x"}}}) == "x"


def test_a_field_may_have_the_name_of_a_keyword():
    scope = Scope(
        {"move": Type(Kind.OBJECT, mapping=True, fields={"from": STRING, "in": STRING, "class": STRING})}
    )

    assert (
        compiled('move.from == "a" and move.class in ["x"]', scope=scope).test(
            {"move": {"from": "a", "class": "x"}}
        )
        is True
    )
