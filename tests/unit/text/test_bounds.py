"""Text that wants to cost too much: refused, by what it does and not by a clock, and soon enough that nobody waits for it."""

import time
from datetime import UTC, datetime
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

from hub.errors import Place
from hub.text import Template, TextError
from hub.text.sandbox import MAX_SOURCE
from hub.text.work import LONGEST_VALUE, MOST_ITEMS, MOST_WORK

PLACE = Place("w.yaml", 1, 1)
SOON = 0.1  # seconds of the processor's time, for one rendering


def filled(source: str, *, html: bool = False, **values: Any) -> str:
    return Template(source, place=PLACE, html=html).render(values)


def many(part: str) -> str:
    return part * (MAX_SOURCE // len(part))


WIDE = "ß\u0390" * (LONGEST_VALUE // 2 - 32)  # grows when it is put into capitals
HOSTILE = {
    "filters on a long value": many("{% if x.long|upper|lower|capitalize %}{% endif %}"),
    "a chain of filters": "{% if x.long" + "|upper" * 36 + " %}{% endif %}",
    "values that grow": many("{% if x.wide|upper %}{% endif %}"),
    "looking for one text in another": many("{% if x.half in x.long %}{% endif %}"),
    "comparing long texts": many("{% if x.long == x.same %}{% endif %}"),
    "looking through a list": many("{% if x.long in x.list %}{% endif %}"),
    "a list of long texts": many("{% if x.texts|join %}{% endif %}"),
    "long numbers": many("{% if (x.number*x.number*x.number*x.number)|round(9) %}{% endif %}"),
    "writing": many("{{ x.short }}"),
    "escaping": many("{{ x.marks }}"),
    "joining texts": many("{% if x.half + x.half %}{% endif %}"),
    "cutting texts": many("{% if x.long|truncate(60000) %}{% endif %}"),
    "times in zones": many("{% if x.when|time(x.zone) %}{% endif %}"),
}
VALUES = SimpleNamespace(
    long="a" * (LONGEST_VALUE - 64),
    same="a" * (LONGEST_VALUE - 64),
    wide=WIDE,
    half="a" * 16_000 + "b",
    list=["a"] * MOST_ITEMS,
    texts=["a" * 60] * MOST_ITEMS,
    number=Decimal("9999999999999999.9999999999"),
    short="a" * 200,
    when=datetime(2026, 6, 23, tzinfo=UTC),
    zone="America/Argentina/Buenos_Aires",
    marks="<&>'\"" * 30,
)


@pytest.mark.parametrize("html", [False, True])
@pytest.mark.parametrize("source", HOSTILE.values(), ids=HOSTILE.keys())
def test_the_most_a_text_can_ask_for_takes_less_than_a_tenth_of_a_second(source: str, html: bool) -> None:
    assert len(source) <= MAX_SOURCE
    template = Template(source, place=PLACE, html=html)
    started = time.process_time()

    try:
        template.render({"x": VALUES})
    except TextError as error:
        assert error.message  # noqa: PT017 (either outcome is fine, if it comes soon)

    assert time.process_time() - started < SOON


def test_where_it_ends_is_the_same_every_time() -> None:
    source = HOSTILE["filters on a long value"]

    said = set()
    for _ in range(3):
        with pytest.raises(TextError) as error:
            filled(source, x=VALUES)
        said.add(error.value.message)

    assert said == {"the text looks at too much: use fewer or shorter values and filters"}


def test_one_text_does_not_use_up_what_another_may_do() -> None:
    with pytest.raises(TextError):
        filled(HOSTILE["filters on a long value"], x=VALUES)

    assert filled("{{ x.short|upper }}", x=VALUES) == "A" * 200


@pytest.mark.parametrize(
    "value",
    ["a" * (LONGEST_VALUE + 1), [1] * (MOST_ITEMS + 1), ["a" * 1_000] * MOST_ITEMS],
    ids=["text", "list", "texts"],
)
@pytest.mark.parametrize(
    "source",
    ["{% if y in x.it %}{% endif %}", "{% if y in it %}{% endif %}", "{% if y in x.all[0] %}{% endif %}"],
)
def test_a_value_that_is_too_large_is_not_looked_at(value: Any, source: str) -> None:
    with pytest.raises(TextError, match="a value in text has at most"):
        filled(source, x=SimpleNamespace(it=value, all=[value]), it=value, y="b")


def test_an_ordinary_long_mail_is_far_below_every_bound() -> None:
    source = "Dear {{ client.name|default('client') }}, {{ amount|money }} on {{ day }}\n" * 200

    text = filled(source, client=SimpleNamespace(name="Ann" * 20), amount=Decimal("1234.5"), day="2026-06-23")

    assert text.count("1,234.50") == 200
    assert len(source) < MAX_SOURCE
    assert 10 * len(source) < MOST_WORK


# --- HTML

ATTACKS = [
    ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
    ('" onmouseover="alert(1)', "&#34; onmouseover=&#34;alert(1)"),
    ("' onmouseover='alert(1)", "&#39; onmouseover=&#39;alert(1)"),
    ("&lt;b&gt;", "&amp;lt;b&amp;gt;"),
]


@pytest.mark.parametrize(("value", "written"), ATTACKS)
@pytest.mark.parametrize(
    "source",
    [
        "<b>{{ x }}</b>",
        "<b>{{ x|trim }}</b>",
        "<b>{{ y|default(x) }}</b>",
        "<b>{{ z|join }}</b>",
        "<b>{{ '' + x }}</b>",
    ],
)
def test_in_html_a_value_is_text_and_never_markup(value: str, written: str, source: str) -> None:
    assert filled(source, html=True, x=value, z=[value]) == f"<b>{written}</b>"


def test_the_same_words_stay_as_they_are_in_plain_text() -> None:
    assert filled("{{ x }}", x="a & b") == "a & b"
    assert filled("{{ x }}", html=True, x="a & b") == "a &amp; b"


@pytest.mark.parametrize(
    "source",
    [
        "{{ x|safe }}",
        "{% autoescape false %}{{ x }}{% endautoescape %}",
        "{{ Markup(x) }}",
        "{{ x|forceescape }}",
    ],
)
def test_escaping_cannot_be_switched_off(source: str) -> None:
    with pytest.raises(TextError):
        filled(source, html=True, x="<b>")


def test_what_is_missing_is_missing_in_html_too() -> None:
    with pytest.raises(TextError, match="x is missing"):
        filled("<b>{{ x }}</b>", html=True)
