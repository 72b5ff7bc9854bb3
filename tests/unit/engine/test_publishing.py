"""Events of the catalogue that steps publish with numbers that were worked out."""

from decimal import Decimal

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from unit.engine.desk import Desk, a_workflow

from hub.engine.publishing import _fitting

A_THIRD = Decimal("0." + "3" * 38)
RULE = "when: [{{event: trade.closed}}]\nsteps: [{{do: event.publish, with: {{type: {type}, data: {data}}}}}]"


def published(data, kind="challenge.failed", lots="1"):
    """Return what was published, or why nothing was."""
    desk = Desk(a_workflow(RULE.format(type=kind, data=data)))
    desk.tell("trade.closed", deal=1, lots=lots)
    facts = desk.decisions[-1].writes.facts
    if facts:
        return msgspec.json.decode(bytes(facts[0].envelope.data))
    return msgspec.json.decode(desk.decisions[-1].traces[0].body)["reason"]


def test_a_quotient_is_rounded_to_as_many_digits_as_an_event_holds():
    told = published(
        "{rule: x, values: {a: = event.lots / 3, b: = -2 * event.lots / 3, c: = event.lots / 8}}"
    )

    assert told["values"] == {"a": "0.3333333333", "b": "-0.6666666667", "c": "0.125"}


def test_a_number_too_large_for_an_event_is_refused_by_its_field_with_what_fits():
    said = published("{rule: x, values: {a: 1, loss: = event.lots * 12345678901234567.5}}")

    assert "data.values.loss: Input should be" in said
    assert "at most 16 digits before the point and 10 after it" in said
    assert "bool" not in said


def test_what_no_number_of_digits_would_help_is_left_as_it_is():
    values = [Decimal("1E+400"), Decimal("NaN"), Decimal("-Infinity"), True, None, "0.12345678901234"]

    assert [str(value) for value in _fitting(values)] == [str(value) for value in values]
    assert _fitting([Decimal("1E-400")]) == [0]


def test_a_custom_event_keeps_all_digits():
    told = published("{a: = event.lots / 3}", "custom.seen")

    assert Decimal(told["a"]) == A_THIRD
    assert len(told["a"]) > 28


@given(st.decimals(-(10**16) + 1, 10**16 - 1, allow_nan=False, places=None))
def test_what_fits_is_as_it_was_and_what_is_rounded_is_as_near_as_can_be(value):
    found = _fitting({"a": [value]})["a"][0]

    assert abs(found - value) <= Decimal("0.00000000005")
    if value == round(value, 10):
        assert found == value
        assert str(found) == str(value)
