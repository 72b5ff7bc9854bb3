import sys
import warnings

import pytest
from unit.expr.world import compiled

from hub.errors import ExpressionError
from hub.expr import Kind

# The text, where the message points, and words it has to contain.
REFUSED = [
    ("", 0, "empty"),
    ("   ", 0, "empty"),
    ("event.lots > 1 && event.is_first", 15, "write `and`"),
    ("event.is_first || event.is_first", 15, "write `or`"),
    ("!event.is_first", 0, "write `not`"),
    ("event.lots = 5", 11, "write `==`"),
    ("event.lots === 5", 11, "write `==`"),
    ("event.lots <> 5", 11, "write `!=`"),
    ("event.lots => 5", 11, "write `>=`"),
    ("event.lots =< 5", 11, "write `<=`"),
    ("9**9", 1, "multiply"),
    ("9**9**9**9", 1, "multiply"),
    ("event.lots ^ 2", 11, "exclusive or"),
    ("event.is_first & event.is_first", 15, "write `and`"),
    ("event.is_first | event.is_first", 15, "write `or`"),
    ("~event.is_first", 0, "write `not`"),
    ("1 << 1000000", 2, "shifts"),
    ("lots @ lots", 5, "not in the language"),
    ("event.is_first ? 1 : 2", 15, "x if condition else y"),
    ('"a" * 2000000000', 0, "text is not repeated"),
    ('2000000000 * "a"', 0, "text is not repeated"),
    ('"%s" % lots', 0, "template"),
    ('"lots: " + lots', 0, "template"),
    ("[x for x in account.tags]", 3, "no loops"),
    ("(x for x in account.tags)", 3, "no loops"),
    ("{x: 1}", 0, "use a list"),
    ("lambda: 1", 0, "cannot be defined"),
    ("(lambda x: x)(1)", 1, "cannot be defined"),
    ('f"{lots}"', 0, "no prefix"),
    ('b"abc"', 0, "no prefix"),
    ('r"abc"', 0, "no prefix"),
    ('u"abc"', 0, "no prefix"),
    ("'''abc'''", 0, "not three"),
    ('"abc', 0, "no closing"),
    ('"abc\\', 4, "escape"),
    ('"a\nb"', 2, "control characters"),
    ('"\\x41"', 1, "escape"),
    ('"\\ud800"', 1, "escape"),
    ('"\\u0000"', 1, "escape"),
    ("(y := 5)", 3, "cannot assign"),
    ("event.__class__", 6, "out of reach"),
    ("event.__class__.__mro__", 6, "out of reach"),
    ('"".__class__', 2, "follows its record"),
    ("().__class__", 2, "follows its record"),
    ("_", 0, "out of reach"),
    ("__import__", 0, "out of reach"),
    ('__import__("os")', 0, "out of reach"),
    ('__import__("os").system("id")', 0, "out of reach"),
    ("account.attributes.__globals__", 19, "out of reach"),
    ("steps._private", 6, "out of reach"),
    ('eval("1")', 0, "unknown function eval"),
    ('exec("1")', 0, "unknown function exec"),
    ('getattr(event, "lots")', 0, "unknown function getattr"),
    ('open("/etc/passwd")', 0, "unknown function open"),
    ("abs.mro()", 0, "cannot be called"),
    ('event.symbol.startswith("E")', 0, "cannot be called"),
    ('event.symbol.format("E")', 0, "cannot be called"),
    ("event.lots(1)", 0, "cannot be called"),
    ("abs(event.lots)(1)", 15, "only a function"),
    ('"abc"(1)', 5, "only a function"),
    ("steps[0]", 5, "no indexes"),
    ('steps["crm"]', 5, "no indexes"),
    ("account.tags[0:2]", 14, "slices"),
    ("max(*account.tags)", 4, "unpacked"),
    ("*account.tags", 0, "unpacked"),
    ("max(**steps)", 4, "powers"),
    ("round(lots, digits=2)", 18, "by position"),
    ("(1, 2)", 2, "tuples"),
    ("1, 2", 1, "tuples"),
    ("()", 1, "expected a value"),
    ("await lots", 0, "no I/O"),
    ("yield lots", 0, "no generators"),
    ("import os", 0, "nothing can be imported"),
    ("lots; lots", 4, "one expression"),
    ("lots # comment", 5, "comments"),
    ("lots \\\n + 1", 5, "several lines"),
    ("lots is None", 5, "has(x)"),
    ("lots is not 5", 5, "write `==`"),
    ("lots == None", 0, "not has(lots)"),
    ("null != event.lots", 0, "`has(event.lots)`"),
    ("None == null", 0, "has(x)"),
    ("event.lots in [1, null]", 18, "has(x)"),
    ("lots + null", 7, "default(x, 0)"),
    ("lots AND lots", 5, "small letters"),
    ("TRUE", 0, "small letters"),
    ("lots lots", 5, "operator is missing"),
    ('"a" "b"', 4, "operator is missing"),
    ("lots +", 6, "expected a value"),
    ("+5", 0, "no unary plus"),
    ("lots ++ 5", 6, "no unary plus"),
    ("1 if lots > 2", 13, "expected `else`"),
    ("if lots > 2: 1", 11, "not in the language"),
    ("if", 0, "expected a value"),
    ("not", 3, "expected a value"),
    ("lots == not lots", 8, "parentheses"),
    ("- not lots", 2, "parentheses"),
    ("lots not 5", 9, "`in` after `not`"),
    ("event.is_first in [true] == true", 15, "chain"),
    ("1 < lots in [5]", 9, "chain"),
    ("event.lots in []", 14, "empty"),
    ('"E" in event.symbol', 7, "contains(text, part)"),
    ("event.lots in 5", 14, "needs a list"),
    ("event.lots in null", 14, "needs a list"),
    ("0x1F", 0, "not a number"),
    ("1_000", 0, "not a number"),
    ("1j", 0, "not a number"),
    ("5.", 0, "not a number"),
    ("1.2.3", 0, "not a number"),
    ("1e", 0, "not a number"),
    ("012", 0, "leading zeros"),
    ("1e400", 0, "between"),
    ("1e-400", 0, "between"),
    ("1e99999999999", 0, "digits"),
    ("9" * 29 + "9", 0, "digits"),
    ("9" * 1999, 0, "digits"),
    ("9" * 1_000_000, 2000, "2000 are allowed"),
    ("(" * 1000, 64, "levels deep"),
    ("(" * 900 + "1" + ")" * 900, 64, "levels deep"),
    ("[" * 900, 64, "levels deep"),
    ("-" * 1900 + "1", 64, "levels deep"),
    ("not " * 400 + "true", 256, "levels deep"),
    ("1" + "+1" * 100, 74, "levels deep"),
    ("1" + "+1" * 900, 400, "more than 400 parts"),
    ("[1" + ",1" * 500 + "]", 799, "more than 400 parts"),
    ("abs(" * 400, 256, "levels deep"),
    ("1 if true else " * 130 + "1", 950, "levels deep"),
    ("(((((1", 4, "never closed"),
    ("(" * 5, 5, "found the end"),
    ("[1, 2", 0, "never closed"),
    ("abs(1", 3, "never closed"),
    ("(1]", 2, "expected `,` or `)`"),
    ("[1 2]", 3, "expected `,` or `]`"),
    (")", 0, "expected a value"),
    ("1)", 1, "operator is missing"),
    ("event .lots", 6, "without spaces"),
    ("event. lots", 5, "without spaces"),
    ("lots > 1 ...", 9, "name each value"),
    ("lots → 5", 5, "U+2192"),
    ("lots > ٣", 7, "U+0663"),
    ("\uff45vent.lots", 0, "U+FF45"),
    ("lots\x00", 4, "U+0000"),
    ("lots\u00a0> 5", 4, "U+00A0"),
    ("lots \ud800", 5, "U+D800"),
    ("“a”", 0, "U+201C"),
    ("`a`", 0, "quotes"),
    ("$lots", 0, "without a sign"),
    ("true.x", 0, "no fields"),
    ("event.None", 6, "no fields"),
    ("event.lots.real", 11, "a number and has no fields"),
    ("event.lots / 0", 13, "divides by zero"),
    ("event.lots % 0.0", 13, "divides by zero"),
    ("event", 0, "needed here"),
]


@pytest.mark.parametrize(
    ("text", "offset", "words"), REFUSED, ids=[repr(text)[:40] for text, _, _ in REFUSED]
)
def test_what_is_not_in_the_language_is_refused_with_its_place_and_a_hint(text, offset, words):
    with pytest.raises(ExpressionError) as refused:
        compiled(text, Kind.BOOL)

    assert words in refused.value.message
    assert refused.value.offset == offset
    assert refused.value.offset + refused.value.length <= max(len(text), offset + 1)


@pytest.mark.parametrize(
    ("text", "offset", "length", "words"),
    [
        ("event.profitt > 5", 6, 7, "did you mean event.profit?"),
        ("1 < evnt.profit", 4, 4, "did you mean event?"),
        ("starts_wth(event.symbol, 'E')", 0, 29, "did you mean starts_with?"),
        ("lots > params.min_lot", 14, 7, "did you mean params.min_lots?"),
        ("lots_30 > 1", 0, 7, "did you mean lots_30d?"),
        ('hour_of(now, "Europe/Nicosai") > 5', 13, 16, "did you mean Europe/Nicosia?"),
        ("account.zzz", 8, 3, "known are account.login"),
        ("event.lots > 1 and event.symbol > 5", 19, 16, 'write "5" in quotes'),
    ],
)
def test_a_wrong_name_is_told_the_nearest_spelling(text, offset, length, words):
    with pytest.raises(ExpressionError) as refused:
        compiled(text)

    assert words in refused.value.message
    assert (refused.value.offset, refused.value.length) == (offset, length)


def test_chains_within_chains_cannot_multiply_the_work():
    text = "lots == 1"
    for _ in range(12):
        text = f"true == ({text}) == true"

    with pytest.raises(ExpressionError, match="more than 400 parts"):
        compiled(text)


def test_a_deep_caller_gets_an_expression_error_and_no_recursion_error():
    def dive(levels: int) -> None:
        if levels:
            dive(levels - 1)
        else:
            compiled("(" * 60 + "lots" + ")" * 60)

    outcomes = set()
    for levels in range(0, sys.getrecursionlimit(), 50):
        try:
            dive(levels)
        except ExpressionError as refused:
            outcomes.add(refused.message)
        except RecursionError:
            break  # the dive itself
    assert outcomes <= {"nested too deeply: use fewer parentheses"}


def test_no_text_makes_python_warn():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for text in ('"\\d"', "1 is 1", "1if 1else 2", '"a" is "a"', "5()"):
            with pytest.raises(ExpressionError):
                compiled(text)


def test_the_generated_code_holds_no_word_of_the_author_but_declared_names():
    source = compiled('event.symbol == "__import__" and like(event.comment, "os.system*")').source

    assert "__import__" not in source
    assert "system" not in source


def test_the_fast_code_has_no_builtins():
    assert compiled("lots > 5")._fast.__globals__["__builtins__"] == {}
