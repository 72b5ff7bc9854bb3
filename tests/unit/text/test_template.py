"""Human text: what may be written in it, what it becomes, and what it refuses."""

import time
from datetime import UTC, datetime
from decimal import Decimal
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.errors import Place
from hub.text import Template, TextError, one_line
from hub.text.sandbox import MAX_SOURCE

# Seconds of CPU: what is linear takes a fraction of one, what is not never ends. How quick it is stands in the benchmarks.
BLOWN_UP = 20

HERE = Place("w.yaml", 7, 3)


def render(source, **values):
    return Template(source, place=HERE).render(values)


def refusal(source, **values):
    with pytest.raises(TextError) as caught:
        render(source, **values)
    return caught.value.message


def a_client(**fields):
    return SimpleNamespace(**{"first_name": "Ann", "tags": ["vip", "eu"], "email": None} | fields)


def test_values_are_filled_in():
    assert render("Dear {{ client.first_name }},", client=a_client()) == "Dear Ann,"


def test_text_without_marks_is_returned_as_it_is():
    assert render("50 % off\n") == "50 % off\n"


def test_records_and_mappings_read_alike():
    assert render("{{ params.rate }}", params={"rate": Decimal(2)}) == "2"


def test_the_key_of_a_mapping_wins_over_its_methods():
    assert render("{{ steps.items }}", steps={"items": 4}) == "4"


def test_decimals_are_written_without_an_exponent():
    assert render("{{ x }} {{ y }}", x=Decimal("1E+3"), y=Decimal("1E-8")) == "1000 0.00000001"


def test_money_has_two_digits_and_groups_and_a_half_goes_up():
    assert render("{{ x|money }}", x=Decimal("1234567.005")) == "1,234,567.01"


def test_times_can_be_written_in_a_zone():
    at = datetime(2026, 3, 31, 22, 30, tzinfo=UTC)

    assert render("{{ t|date('Europe/Nicosia') }} {{ t|time('Europe/Nicosia') }}", t=at) == "2026-04-01 01:30"


def test_lists_are_joined():
    assert render("{{ client.tags|join(' + ') }}", client=a_client()) == "vip + eu"


def test_truth_is_written_as_in_a_workflow_file():
    assert render("{{ x }}", x=True) == "true"


@pytest.mark.parametrize(
    ("source", "missing"),
    [
        ("{{ client.email }}", "client.email"),
        ("{{ client.phone }}", "client.phone"),
        ("{{ client.phone.home }}", "client.phone.home"),
        ("{{ nobody.x }}", "nobody.x"),
        ("{{ client.email == 'x' }}", "client.email"),
        ("{{ client.email|upper }}", "client.email"),
    ],
)
def test_a_missing_value_is_an_error_that_names_it(source, missing):
    assert (
        refusal(source, client=a_client()) == f"{missing} is missing: write `|default(...)` where it may be"
    )


def test_a_missing_value_can_have_a_default():
    assert render("{{ client.email|default('no address') }}", client=a_client()) == "no address"


def test_whether_a_value_is_there_can_be_asked():
    source = "{% if client.email is defined %}yes{% else %}no{% endif %}"

    assert render(source, client=a_client()) == "no"
    assert render(source, client=a_client(email="a@b.c")) == "yes"


def test_a_record_is_never_written_whole():
    assert refusal("{{ client }}", client=a_client()).startswith(
        "only text, numbers and times can be written"
    )


def test_a_syntax_error_is_found_while_loading_with_its_line():
    with pytest.raises(TextError) as caught:
        Template("Dear\n{{ client. }}", place=HERE)

    assert caught.value.line == 2
    assert str(caught.value).startswith("w.yaml:7:3: ")


def test_the_roots_and_paths_a_text_reads_are_known():
    template = Template("{{ client.first_name }}\n{{ lots|money }} {{ params['rate'] }}", place=HERE)

    assert template.variables() == {"client", "lots", "params"}
    assert template.paths() == (("client.first_name", 1), ("lots", 2), ("params.rate", 2))


ATTACKS = [
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ x.__class__ }}",
    "{{ x['__class__'] }}",
    "{{ x['__cl' + 'ass__'] }}",
    "{{ x['__cl' 'ass__'] }}",
    "{{ x|attr('__class__') }}",
    '{{ x|attr("\\x5f\\x5fclass\\x5f\\x5f") }}',
    "{{ x.__init__.__globals__ }}",
    "{{ x.__init__.__globals__['os'].popen('id').read() }}",
    "{{ self.__init__.__globals__ }}",
    "{{ self._TemplateReference__context }}",
    "{{ self }}",
    "{{ lipsum.__globals__ }}",
    "{{ lipsum() }}",
    "{{ cycler.__init__.__globals__.os }}",
    "{{ cycler('a') }}",
    "{{ joiner.__init__ }}",
    "{{ namespace.__init__ }}",
    "{{ namespace() }}",
    "{{ range(10) }}",
    "{{ dict(a=1) }}",
    "{{ config }}",
    "{{ config.items() }}",
    "{{ request.application.__globals__ }}",
    "{{ url_for.__globals__ }}",
    "{{ get_flashed_messages.__globals__ }}",
    "{{ x.format('{0.__class__}') }}",
    "{{ '{0.__class__}'.format(x) }}",
    "{{ '{0.__class__}'.format_map(x) }}",
    "{{ '%s' % x }}",
    "{{ '%999999999s' % 'x' }}",
    "{{ '{:>999999999}'|format(x) }}",
    "{{ x.mro() }}",
    "{{ x.upper() }}",
    "{{ x.upper }}",
    "{{ x|map('upper') }}",
    "{{ [x]|map(attribute='__class__')|list }}",
    "{{ x|selectattr('__class__') }}",
    "{{ x|pprint }}",
    "{{ x|tojson }}",
    "{{ x|safe }}",
    "{{ x|xmlattr }}",
    "{{ ''|center(999999999) }}",
    "{{ 'x' * 999999999 }}",
    "{{ [1] * 999999999 }}",
    "{{ 9 ** 9 ** 9 }}",
    "{{ 2 ** 999999999 }}",
    "{{ 1e999999 }}",
    "{{ 9999999999999999999999999999999999999999999 }}",
    "{{ x ~ x }}",
    "{{ x[::-1] }}",
    "{{ x[0] }}",
    "{{ x[y] }}",
    "{{ caller() }}",
    "{{ loop }}",
    "{{ super() }}",
    "{% for a in 'xxxx' %}{% endfor %}",
    "{% for a in x recursive %}{{ loop(a) }}{% endfor %}",
    "{% set a = 'x' %}{{ a }}",
    "{% set a %}x{% endset %}",
    "{% set ns = namespace(x=1) %}",
    "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "{% call x() %}{% endcall %}",
    "{% filter upper %}x{% endfilter %}",
    "{% include '/etc/passwd' %}",
    "{% import 'os' as os %}",
    "{% from 'os' import system %}",
    "{% extends 'x' %}",
    "{% block a %}{% endblock %}",
    "{% with a = 1 %}{{ a }}{% endwith %}",
    "{% autoescape false %}{% endautoescape %}",
    "{% do x.append(1) %}",
    "{{ {'a': 1} }}",
    "{{ x",
    "{% if %}",
    "{{ 1 if }}",
]


@pytest.mark.parametrize("source", ATTACKS)
def test_an_attempt_to_reach_further_is_refused(source):
    assert refusal(source, x="text", y=0)


def test_no_attack_reaches_a_record_or_a_class():
    for source in ATTACKS:
        for value in (SimpleNamespace(a=1), {"a": 1}, 5, Decimal(5), datetime(2026, 1, 1, tzinfo=UTC)):
            with pytest.raises(TextError):
                render(source, x=value, y="__class__")


BOMBS = [
    "{{" + "(" * 5000 + "1" + ")" * 5000 + "}}",
    "{{" + "not " * 3900 + "1 }}",
    "{{" + "-" * 8000 + "1 }}",
    "{% if x %}" * 500 + "{% endif %}" * 500,
    "{{ [" * 2000 + "}}",
    "{{ x" + "|upper" * 2600 + " }}",
    "{{ x" + ".a" * 8000 + " }}",
    "{{" + "+".join(["x"] * 30) + "}}",
    "{{ x }}" * 2000,
    "{{ " + " * ".join(["99999999999999999999999999"] * 30) + " }}",
    "{# " * 5000,
    "{{ '" + "x" * MAX_SOURCE + "' }}",
]


@pytest.mark.parametrize("source", BOMBS, ids=range(len(BOMBS)))
def test_a_bomb_is_refused_in_time(source):
    started = time.process_time()

    assert refusal(source, x="x" * 60_000)

    assert time.process_time() - started < BLOWN_UP


def test_output_is_bounded():
    assert refusal("{{ x }}" * 6, x="x" * 60_000) == "the text grows beyond 256 KiB"


def test_arithmetic_on_what_is_no_number_is_an_error_of_the_text():
    assert refusal("{{ x + 1 }}", x=None)
    assert "cannot be filled in" in refusal("{{ 1 // x }}", x=0)


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet="{}%# abx.|()[]'\"_=+-*/12\n", max_size=60))
def test_no_text_raises_anything_else(source):
    try:
        assert isinstance(render("{{" + source + "}}", a=1, b="b", x={"a": "z"}), str)
    except TextError as error:
        assert error.message  # noqa: PT017 (either outcome is fine; only other exceptions are not)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a\r\nBcc: x@y.z", "a Bcc: x@y.z"),
        ("a\x00b\x1b[31m", "a b [31m"),
        ("a\u2028b\u0085c\u202ed", "a b c d"),
        ("  plain  ", "plain"),
        ("\ud800", ""),
    ],
)
def test_one_line_leaves_no_line_end_or_control_character(text, line):
    assert one_line(text) == line
