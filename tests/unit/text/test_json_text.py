import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.errors import Place
from hub.text import Template, TextError

AT = Place("endpoint", 1, 1)


def filled(source, **values):
    return Template(source, place=AT, json=True).render(values)


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_no_text_leaves_the_quotes_it_is_written_in(name):
    told = json.loads(filled('{"name": "{{ name }}", "vip": false}', name=name))

    assert told == {"name": name, "vip": False}


def test_numbers_and_words_are_written_as_json_has_them():
    told = filled('{"lots": {{ lots }}, "open": {{ is_open }}}', lots=Decimal("1.50"), is_open=True)

    assert told == '{"lots": 1.50, "open": true}'


def test_a_record_is_written_whole_by_its_filter():
    data = {"lots": Decimal("1.50"), "at": datetime(2026, 1, 2, tzinfo=UTC), "tags": ["a", 'b"']}

    told = json.loads(filled('{"all": {{ data|json }}}', data=data))

    assert told == {"all": {"lots": "1.50", "at": "2026-01-02T00:00:00Z", "tags": ["a", 'b"']}}


def test_what_was_written_as_json_and_changed_after_is_text_again():
    assert filled('"{{ name|json|upper }}"', name='a"b') == r'"\"A\\\"B\""'


@pytest.mark.parametrize("value", [{"x": "y" * 70_000}, ["z" * 40_000, "z" * 40_000]])
def test_a_value_too_large_to_look_at_is_refused(value):
    with pytest.raises(TextError):
        filled("{{ value|json }}", value=value)


def test_plain_text_knows_nothing_of_quotes():
    assert Template("{{ name }}", place=AT).render({"name": 'a"b'}) == 'a"b'
