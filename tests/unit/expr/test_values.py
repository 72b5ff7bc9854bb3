from datetime import UTC, datetime, timedelta
from decimal import ROUND_DOWN, Decimal, localcontext
from zoneinfo import ZoneInfo

import pytest
from unit.expr.world import NOW, Trade, an_env, compiled, value_of

from hub.expr import UNKNOWN


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("0.1 + 0.2", Decimal("0.3")),
        ("0.1 + 0.2 == 0.3", True),
        ("2 + 3 * 4", Decimal(14)),
        ("(2 + 3) * 4", Decimal(20)),
        ("2 - 3 - 4", Decimal(-5)),
        ("12 / 3 / 2", Decimal(2)),
        ("-2 * -3", Decimal(6)),
        ("- -2", Decimal(2)),
        ("1e3", Decimal(1000)),
        (".5", Decimal("0.5")),
        ("-0 == 0", True),
        ("7 // 2", Decimal(3)),
        ("-7 // 2", Decimal(-4)),
        ("7 // -2", Decimal(-4)),
        ("-7 // -2", Decimal(3)),
        ("-7 % 2", Decimal(1)),
        ("7 % -2", Decimal(-1)),
        ("5.5 % 2", Decimal("1.5")),
        ("event.deal / 2", Decimal("5.5")),
        ("event.deal / event.deal", Decimal(1)),
        ("event.deal % 10 == 1", True),
        ("lots * params.rate", Decimal("37.000")),
        ("1 / 3 * 3 < 1", True),
        ('"a" + "b"', "ab"),
        ('"a" < "b"', True),
        ('"it\'s"', "it's"),
        ('"\\"\\\\\\n\\t\\u00e9"', '"\\\n\té'),
        ("'x'", "x"),
        ('"ünï→"', "ünï→"),
        ("True and not False", True),
        ("true == false", False),
        ("1 < 2 < 3", True),
        ("1 < 3 < 2", False),
        ("3 > 2 >= 2 != 5", True),
        ("1 if false else 2 if false else 3", Decimal(3)),
        ("not 1 == 2", True),
        ("not true or true", True),
        ("true or true and false", True),
        ("2 in [1, 2]", True),
        ("2 not in [1, 2]", False),
        ("not 2 in [1, 2]", False),
        ("2.0 in [1, 2]", True),
        ("true in [false, true]", True),
        ('"vip" in account.tags', True),
        ("event.symbol in params.classes", False),
        ('event.symbol in ["EURUSD", account.group]', True),
        ("[1, 2]", [Decimal(1), Decimal(2)]),
        ("[1, 2,]", [Decimal(1), Decimal(2)]),
        ("[account.type, event.symbol]", ["real", "EURUSD"]),
        ("account.attributes.tier", "gold"),
        ("account.attributes.deep.n + 1", Decimal(6)),
        ('account.attributes.tier in ["gold", "silver"]', True),
        ("steps.crm.ok and steps.crm.body.tier == 'gold'", True),
        ("steps.crm.ok == true", True),
        ("number(steps.crm.body.amount) > 12", True),
        ('"x" in account.attributes.list', True),
        ("lots\n  >\r\n\t5", True),
    ],
)
def test_expressions_have_the_value_python_and_arithmetic_give_them(text, answer):
    found = value_of(text)

    assert type(found) is type(answer)
    assert found == answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("abs(event.net_profit)", Decimal("150.5")),
        ("abs(-hours(2))", timedelta(hours=2)),
        ("min(3, 1, 2)", Decimal(1)),
        ("max(3, 1, 2)", Decimal(3)),
        ('max("a", "b")', "b"),
        ("max(event.opened_at, event.closed_at) == event.closed_at", True),
        ("round(2.5)", Decimal(3)),
        ("round(-2.5)", Decimal(-3)),
        ("round(1.005, 2)", Decimal("1.01")),
        ("round(1.004, 2)", Decimal("1.00")),
        ("round(5, 2)", Decimal(5)),
        ("round(1e30, 12)", Decimal("1e30")),
        ("floor(-2.1)", Decimal(-3)),
        ("ceil(-2.9)", Decimal(-2)),
        ('lower("EURusd")', "eurusd"),
        ('upper("eurUSD")', "EURUSD"),
        ('starts_with(account.group, "real/")', True),
        ('ends_with(account.group, "-eur")', False),
        ('contains(account.group, "std")', True),
        ('like(account.group, "real/*-usd")', True),
        ('like(account.group, "real")', False),
        ("len(account.group)", Decimal(12)),
        ("len(account.tags)", Decimal(2)),
        ("between(5, 5, 10)", True),
        ("between(10, 5, 10)", True),
        ("between(10.01, 5, 10)", False),
        ('number("12.50")', Decimal("12.5")),
        ("number(5)", Decimal(5)),
        ('time("2026-03-31T21:00:00Z")', datetime(2026, 3, 31, 21, tzinfo=UTC)),
        ('time("2026-03-31T21:00:00+03:00") == time("2026-03-31T18:00:00Z")', True),
        ("time(now) == now", True),
        ('day_of(event.closed_at, "UTC")', "2026-03-31"),
        ('day_of(event.closed_at, "Europe/Nicosia")', "2026-04-01"),
        ('month_of(event.closed_at, "UTC")', "2026-03"),
        ('month_of(event.closed_at, "Europe/Nicosia")', "2026-04"),
        ('weekday_of(event.closed_at, "UTC")', "tue"),
        ('hour_of(event.closed_at, "Europe/Nicosia")', Decimal(0)),
        ("seconds(90) == minutes(1.5)", True),
        ("hours(24) == days(1)", True),
        ("now - account.registered_at", timedelta(days=40)),
        ("now - account.registered_at > days(30)", True),
        ("now - hours(6) == time('2026-04-01T00:00:00Z')", True),
        ("hours(6) + now > now", True),
        ("hours(6) + minutes(30)", timedelta(hours=6, minutes=30)),
        ("hours(6) - minutes(30)", timedelta(hours=5, minutes=30)),
        ("hours(6) / 4", timedelta(hours=1, minutes=30)),
        ("hours(6) * 0.5", timedelta(hours=3)),
        ("0.5 * hours(6)", timedelta(hours=3)),
        ("hours(6) / minutes(90)", Decimal(4)),
        ("-hours(1) < hours(0)", True),
    ],
)
def test_functions_do_what_their_words_say(text, answer):
    found = value_of(text)

    assert type(found) is type(answer)
    assert found == answer


@pytest.mark.parametrize(
    "text",
    [
        "(2 + " * 30 + "lots" + ")" * 30,
        "lots" + " + 1" * 60,
        "abs(-" * 30 + "lots" + ")" * 30 + " + 60 - lots + lots",
        "1 if lots < 0 else " * 60 + "lots + 60",
        "-" * 60 + "lots + 60",
    ],
)
def test_the_deepest_expressions_that_are_allowed_run_both_ways(text):
    assert value_of(text) == Decimal("78.5")


def test_the_widest_expressions_that_are_allowed_run_both_ways():
    assert value_of(" and ".join(["lots > 1"] * 99)) is True
    assert value_of("lots in [" + ", ".join(str(n) for n in range(390)) + ", 18.5]") is True


def test_a_lone_field_comes_as_it_is():
    assert value_of("account.login") == 7001
    assert type(value_of("account.login")) is int
    assert value_of("account.tags") == ["vip", "eu"]
    assert value_of("account.attributes.deep") == {"n": 5}


def test_time_is_added_across_a_change_of_clocks_in_real_hours():
    before = datetime(2026, 3, 28, 12, 0, tzinfo=ZoneInfo("Europe/Prague"))

    assert value_of("now + hours(24)", now=before) == before.astimezone(UTC) + timedelta(hours=24)
    assert value_of("(now + hours(24)) - now == hours(24)", now=before) is True


def test_a_time_without_a_zone_is_unknown():
    assert value_of("now + hours(1)", now=NOW.replace(tzinfo=None)) is UNKNOWN
    assert value_of('hour_of(now, "UTC") > 1', now=NOW.replace(tzinfo=None)) is UNKNOWN


def test_the_callers_decimal_context_does_not_matter():
    expression = compiled("event.net_profit * 1.000000001")
    with localcontext() as context:
        context.prec = 2
        context.rounding = ROUND_DOWN

        assert expression.evaluate(an_env()) == Decimal("-150.5000001505")
        assert compiled("event.lots + 0.123456789").evaluate(an_env()) == Decimal("2.623456789")


def test_a_join_of_texts_is_bounded():
    long = "x" * 6_000

    assert value_of("event.comment + event.comment", event=Trade(comment=long)) is UNKNOWN
    assert value_of('event.comment + "y"', event=Trade(comment=long)) == long + "y"


def test_a_giant_exponent_in_a_value_costs_nothing():
    giant = Decimal("1e999999999")

    assert value_of("lots > 5", lots=giant) is True
    assert value_of("lots in [1, 2]", lots=giant) is False
    for text in (
        "lots + 1",
        "round(lots)",
        "round(1.5, lots)",
        "floor(lots)",
        "hours(lots)",
        "lots % 7",
        "lots // 7",
    ):
        assert value_of(text, lots=giant) is UNKNOWN
    assert compiled("lots > 5").explain({"lots": giant}) == "lots > 5 is true (1.000000e+999999999 > 5)"


def test_a_long_list_in_undeclared_json_is_not_searched():
    env = an_env(steps={"crm": {"body": ["x"] * 10_001}})

    assert compiled('"y" in steps.crm.body').test(env) is UNKNOWN


@pytest.mark.parametrize(
    "zone", ["", "Mars/Base", "../UTC", "/etc/passwd", "Europe", "x" * 500, "Ünï", "\x00"]
)
def test_a_wrong_time_zone_from_a_client_is_unknown(zone):
    assert value_of("hour_of(now, event.comment) > 5", event=Trade(comment=zone)) is UNKNOWN


@pytest.mark.parametrize("text", ["1_000", "٣", "NaN", "Infinity", "1e40", "", "x", "0x10", "9" * 41, "1,5"])
def test_a_text_that_is_no_plain_number_is_unknown(text):
    assert value_of("number(event.comment)", event=Trade(comment=text)) is UNKNOWN
