"""What two ways of writing an expression have in common: one text, and only if they are the same."""

from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from unit.expr.test_agreement import conditions, numbers, texts

from hub.expr.canonical import canonical
from hub.expr.parse import parse
from hub.expr.tree import Arithmetic, Call, Comparison, Literal, Membership, Node, Path, children

PARAMS = {"n": Decimal("2.50"), "s": 'a"b', "b": False, "d": timedelta(hours=1)}


def written(text: str) -> str:
    return canonical(parse(text), PARAMS)


def shape(node: Node) -> tuple[object, ...]:
    """Return what a tree is, without where it stands."""
    own: object = None
    match node:
        case Literal(value=value):
            own = (type(value), value)
        case Path(names=("params", name)) if name in PARAMS:
            return (Literal, (type(PARAMS[name]), PARAMS[name]))
        case Path(names=names):
            own = names
        case Arithmetic(operator=operator) | Comparison(operator=operator):
            own = operator
        case Membership(negated=negated):
            own = negated
        case Call(function=function):
            own = function
    return (type(node), own, *map(shape, children(node)))


# What grows too long for hypothesis is drawn anew, which counts as filtering.
REDRAWN = [HealthCheck.filter_too_much]
expressions = st.one_of(numbers, texts, conditions, st.sampled_from(["1", "1.0", "-1", "true", "'a'", "a"]))


@settings(max_examples=50, suppress_health_check=REDRAWN)
@given(expressions, expressions)
def test_expressions_are_written_alike_if_they_are_the_same_and_only_then(one, other):
    same = shape(parse(one))[:2] == shape(parse(other))[:2] and shape(parse(one)) == shape(parse(other))

    assert (written(one) == written(other)) is same


@settings(max_examples=30, suppress_health_check=REDRAWN)
@given(expressions)
def test_blanks_and_parentheses_around_it_make_no_difference(text):
    assert written(f" ( {text} )  ") == written(text)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("lower(event.comment)", "lower(event.comment)"),
        ('default( event.a ,"x")', 'default(event.a, "x")'),
        ("'fx' if event.a == 1.50 and not event.b else null", '("fx" if ((event.a == 1.5) and (not event.b)) else null)'),
        ("a in [1, 'b']", '(a in [1, "b"])'),
        ("a not in b", "(a not in b)"),
        ("-a - -2 * 1000", "((-a) - (-2 * 1E+3))"),
        ("1 < a <= 0.0", "((1 < a) and (a <= 0))"),
        ("a or b or c", "(a or b or c)"),
        ("true", "true"),
        ("'\u00e9\\n'", '"\\u00e9\\n"'),
        ("params.n + params.s + params.b + params.d + params.x", '((((2.5 + "a\\"b") + false) + 3600000000us) + params.x)'),
        ("1." + "1" * 27, "1." + "1" * 27),
    ],
)  # fmt: skip
def test_what_is_kept_under_a_text_is_found_under_it_for_ever(text, found):
    assert written(text) == found
