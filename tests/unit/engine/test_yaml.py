"""The YAML traps: what other loaders change silently is text here, or refused with its place."""

import time
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.engine.problems import Problems
from hub.engine.yaml import MAX_BYTES, read

# Seconds of CPU: what is linear takes a fraction of one, what is not never ends. How quick it is stands in the benchmarks.
BLOWN_UP = 20


def data(text):
    problems = Problems()
    document = read(text, "w.yaml", problems)
    assert document is not None, list(problems)
    assert not list(problems)
    return document.data()


def complaints(text):
    problems = Problems()
    read(text, "w.yaml", problems)
    return [str(problem) for problem in problems]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("22:00", "22:00"),
        ("08:00", "08:00"),
        ("012", "012"),
        ("0x1F", "0x1F"),
        ("0o17", "0o17"),
        ("1_000", "1_000"),
        ("1e3", "1e3"),
        (".5", ".5"),
        ("+35799123456", "+35799123456"),
        ("NO", "NO"),
        ("yes", "yes"),
        ("on", "on"),
        ("True", "True"),
        ("~", "~"),
        (".inf", ".inf"),
        (".nan", ".nan"),
        ("2026-03-31", "2026-03-31"),
        ("2026-03-31T10:00:00Z", "2026-03-31T10:00:00Z"),
        ("=", "="),
        ("<<", "<<"),
        ("'5'", "5"),
        ('"true"', "true"),
        ("true", True),
        ("false", False),
        ("null", None),
        ("", None),
        ("0", 0),
        ("-3", -3),
        ("18446744073709551615", 18446744073709551615),
    ],
)
def test_a_scalar_means_what_yaml_1_2_says(written, meant):
    found = data(f"x: {written}\n")["x"]

    assert found == meant
    assert type(found) is type(meant)


def test_decimals_are_exact():
    found = data("x: 0.10\n")["x"]

    assert isinstance(found, Decimal)
    assert str(found) == "0.10"


def test_no_key_turns_into_something_else():
    assert list(data("on: 1\noff: 2\nyes: 3\n22:00: 4\nnull: 5\n")) == ["on", "off", "yes", "22:00", "null"]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("a: 1\nb: 2\na: 3\n", "w.yaml:3:1: error: key `a` stands here twice, first on line 1"),
        ("a: {b: 1, b: 2}\n", "w.yaml:1:11: error: key `b` stands here twice, first on line 1"),
        ("a: &x 1\n", "w.yaml:1:4: error: anchor `&x`: write the value out where it is used"),
        ("a: *x\n", "w.yaml:1:4: error: alias `*x`: write the value out"),
        ("a: !t 1\n", "w.yaml:1:4: error: tag `!t`: write the value without a tag"),
        ("a: !!str 1\n", "w.yaml:1:4: error: tag `tag:yaml.org,2002:str`: write the value without a tag"),
        (
            "a: !!python/object/apply:os.system [id]\n",
            "w.yaml:1:4: error: tag `tag:yaml.org,2002:python/object/apply:os.system`: write the value without a tag",
        ),
        (
            "a: 1\n---\nb: 2\n",
            "w.yaml:2:1: error: a second document in one file: write one workflow to a file",
        ),
        (
            "%YAML 1.1\n---\na: 1\n",
            "w.yaml:1:1: error: directives are not allowed: remove the line that begins with %",
        ),
        (
            "",
            "w.yaml:1:1: error: the file is not a mapping: begin with `schema: 1` and `id: ...`",
        ),
        (
            "# nothing\n- 1\n",
            "w.yaml:2:1: error: the file is not a mapping: begin with `schema: 1` and `id: ...`",
        ),
        ("? [a]\n: 1\n", "w.yaml:1:3: error: a key is one word, not a list or a mapping"),
        (
            "a: b: c\n",
            (
                "w.yaml:1:5: error: not valid YAML: mapping values are not allowed in this context: "
                "quote a value that holds `: `"
            ),
        ),
        (
            'if: "EURUSD" == event.symbol\n',
            (
                "w.yaml:1:14: error: not valid YAML: did not find expected key: a value that begins with a quote or a "
                "bracket has to be quoted as a whole, and lines of one block begin in one column"
            ),
        ),
        ("a:\n\tb: 1\n", "w.yaml:2:1: error: not valid YAML: found character that cannot start any token"),
        (
            "a: 1\n\tb: 1\n",
            "w.yaml:2:1: error: not valid YAML: found a tab character that violates indentation: indent with blanks",
        ),
        ("a: \ud800\n", "w.yaml:1:1: error: the file is not valid UTF-8: save it as UTF-8"),
        ("a: \x00\n", "w.yaml:1:1: error: not valid YAML: control characters are not allowed"),
    ],
)
def test_what_is_not_strict_is_refused_with_its_place(text, complaint):
    found = complaints(text)

    assert len(found) == 1
    assert found[0].startswith(complaint)


def test_an_expression_cut_at_a_comment_sign_is_refused_with_the_fix():
    assert complaints('where: event.comment == "a #1"\n') == [
        (
            'w.yaml:1:8: error: YAML cuts this value at ` #` and reads `event.comment == "a`: '
            "put the whole value between single quotes, '...'"
        )
    ]


def test_an_expression_cut_at_a_comma_is_refused_with_the_fix():
    assert complaints("with: {amount: = default(event.lots, 1)}\n") == [
        (
            "w.yaml:1:16: error: YAML cuts this value at the comma and reads `= default(event.lots`: "
            "put the whole value between single quotes, '...'"
        )
    ]


def test_a_comment_after_a_whole_value_is_a_comment():
    assert data('a: event.comment == "x" # so\nb: don\'t # so\n') == {
        "a": 'event.comment == "x"',
        "b": "don't",
    }


def test_several_problems_are_told_at_once():
    assert len(complaints("a: &x 1\nb: *x\na: !t 2\n")) == 4


@pytest.mark.parametrize(
    "text",
    [
        "a0: &a0 [x,x,x,x,x,x,x,x,x]\n"
        + "".join(f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12)),
        "[" * 100_000,
        "{a: " * 50_000,
        "- " * 50_000,
        "a: [" + "x," * 100_000 + "]",
        "".join(f"{' ' * i}a:\n" for i in range(400)),
        "a: " + "'" * 200_001,
        "x" * MAX_BYTES + "x",
        "? " * 50_000,
    ],
    ids=["aliases", "brackets", "braces", "dashes", "wide", "blocks", "quotes", "large", "keys"],
)
def test_a_bomb_is_refused_at_once(text):
    started = time.process_time()

    assert complaints(text)

    assert time.process_time() - started < BLOWN_UP


def test_an_alias_bomb_takes_no_time():
    bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 10)
    )
    started = time.process_time()

    complaints(bomb)

    assert time.process_time() - started < BLOWN_UP


def test_thirty_two_levels_are_allowed_and_no_more():
    assert data("{a: " * 32 + "1" + "}" * 32)
    assert "nested more than 32 levels deep" in complaints("{a: " * 33 + "1" + "}" * 33)[0]


@pytest.mark.parametrize(
    ("text", "word", "place"),
    [
        ("a: one == two\n", "two", "1:11"),
        ('a: "x\\ty == zz"\n', "zz", "1:13"),
        ("a: 'it''s q'\n", "q", "1:11"),
        ("a: >\n  one two\n  three four\n", "four", "3:9"),
        ("a: |\n    if x\n    then y\n", "then", "3:5"),
        ("a: one\n  two\n", "two", "2:3"),
        ('a: "one\n  two"\n', "two", "2:3"),
        ("é: ü == x\n", "x", "1:9"),
    ],
)
def test_a_character_of_a_value_is_found_in_the_file(text, word, place):
    document = read(text, "w.yaml", Problems())
    key, value = next(iter(document.data().items()))

    assert str(document.within((key,), value.index(word))) == f"w.yaml:{place}"


@settings(max_examples=200, deadline=None)
@given(
    st.text(alphabet=st.sampled_from(list("ab:-?[]{}&*!|>'\"%@`#, \n\t01.~\u00e9\ufeff\x85")), max_size=80)
)
def test_no_text_raises(text):
    problems = Problems()

    document = read(text, "w.yaml", problems)

    assert document is not None or list(problems)


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=60), st.integers(0, 80))
def test_every_offset_of_every_value_has_a_place(text, offset):
    document = read(f"a: {text}\n", "w.yaml", Problems())
    if document is not None:
        for key in document.root.items:
            assert document.within((key,), offset).line >= 1
