"""What an answer has to look like: checked when the file is read, and when the answer comes."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.intents.shape import Misfit, conform, shape_problem, tellable

SHAPE = {"tier": "string", "score": "number?", "vip": "bool?", "tags": ["string"], "home": {"city": "string"}}
WHOLE = {"tier": "gold", "score": Decimal("1.10"), "vip": True, "tags": ["a"], "home": {"city": "X"}}


def test_what_fits_is_kept_and_what_nobody_named_is_not():
    assert conform(SHAPE, {**WHOLE, "other": 1}) == WHOLE
    assert conform(SHAPE, {"tier": "", "tags": [], "home": {"city": ""}, "vip": None}) == {
        "tier": "",
        "tags": [],
        "home": {"city": ""},
    }


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"tier": None}, "body.tier is missing"),
        ({"tier": 5}, "body.tier is no string"),
        ({"tier": "x" * 1025}, "at most 1024"),
        ({"score": "5"}, "body.score is no number"),
        ({"score": True}, "body.score is no number"),
        ({"score": Decimal("1e99")}, "too many digits"),
        ({"score": 10**40}, "too many digits"),
        ({"vip": 1}, "body.vip is no bool"),
        ({"tags": "a"}, "body.tags is no list"),
        ({"tags": ["a"] * 201}, "at most 200"),
        ({"tags": [1]}, r"body.tags\[0\] is no string"),
        ({"home": "X"}, "body.home is no record"),
        ({"home": {}}, "body.home.city is missing"),
    ],
)
def test_what_does_not_fit_says_where(change, reason):
    with pytest.raises(Misfit, match=reason):
        conform(SHAPE, {**WHOLE, **change})


@pytest.mark.parametrize(
    ("shape", "reason"),
    [
        ("text", "'text' is no type"),
        ({}, "1 to 64 fields"),
        (["string", "number"], "a list has one type"),
        ({"a": 5}, "schema.a: 5 is no type"),
        ({"a": {"b": {"c": {"d": {"e": "string"}}}}}, "nested too deeply"),
    ],
)
def test_a_shape_that_is_none_is_refused(shape, reason):
    assert reason in shape_problem(shape)


@given(st.decimals(allow_nan=False, allow_infinity=False, places=6, min_value=-(10**12), max_value=10**12))
def test_a_number_that_is_told_is_the_number_that_came(number):
    checked = conform("number", number)

    assert conform("number", tellable(checked), told=True) == number
