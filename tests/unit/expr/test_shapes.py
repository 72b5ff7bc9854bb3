"""Conditions of one shape share their code; what each of them answers is its own."""

import weakref
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from types import FunctionType, SimpleNamespace
from typing import cast

import pytest

from hub.expr import Kind, Scope, Type, compile_expression
from hub.expr.generate import Doubt, Fast, Fixed, Roots, Sought, generate, generate_doubt
from hub.expr.shapes import MOST_GIVEN
from hub.expr.tree import Node

ANY = Type(Kind.ANY)
NUMBER = Type(Kind.NUMBER)
SCOPE = Scope(
    {
        "n": NUMBER,
        "flag": Type(Kind.BOOL),
        "any": ANY,
        "event": Type(
            Kind.OBJECT, fields={"lots": Type(Kind.NUMBER, finite=True), "symbol": Type(Kind.STRING)}
        ),
        "params": Type(Kind.OBJECT, fields={"most": NUMBER}),
    }
)


def tree(text: str) -> Node:
    return compile_expression(text, SCOPE).tree


def code_of(made: Fast | Doubt) -> object:
    return cast(FunctionType, made).__code__


def event(lots: str, symbol: str = "EURUSD") -> dict[str, object]:
    return {"event": SimpleNamespace(lots=Decimal(lots), symbol=symbol)}


def answer(fast: Fast, env: dict[str, object]) -> object:
    try:
        return fast(env)
    except Exception:  # the careful evaluator's turn
        return None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("event.lots > 1", "event.lots > 2"),
        ("event.symbol == 'EURUSD'", "event.symbol == 'XAUUSD'"),
        ("event.symbol in ['EURUSD']", "event.symbol in ['XAUUSD', 'XAGUSD']"),
        ("any == 1", "any == '1'"),
        ("number(any) > 1", "number(any) > 2"),
    ],
)
def test_what_differs_in_constants_only_shares_its_code(one, other):
    assert code_of(generate(tree(one))) is code_of(generate(tree(other)))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("event.lots > 1", "event.lots >= 1"),
        ("event.lots > 1", "n > 1"),
        ("flag == true", "flag == false"),
        ("starts_with(event.symbol, 'EUR')", "ends_with(event.symbol, 'EUR')"),
        ("any == 1", "any == true"),
        ("any + 1 > 1", "any - 1 > 1"),
        ("event.lots in [1]", "event.lots not in [1]"),
    ],
)
def test_what_differs_in_anything_else_does_not(one, other):
    made = generate(tree(one)), generate(tree(other))

    assert code_of(made[0]) is not code_of(made[1])


def test_each_answers_by_its_own_constants():
    texts = ["any == 1", "any == '1'", "any == true", "any == 1.0", "any == 2", "any == false"]
    made = [generate(tree(text)) for text in texts]

    of_text, of_number, of_flag = (
        [answer(fast, {"any": value}) for fast in made] for value in ("1", 1, True)
    )

    assert of_text == [None, True, None, None, None, None]
    assert of_number == [True, None, None, True, False, None]
    assert of_flag == [None, None, True, None, None, False]


def test_the_doubts_of_many_places_share_their_code_and_keep_their_own_roots():
    lots = tree("n > 5 and event.lots > 1")
    limit = tree("event.lots > params.most")
    feeds = [object() for _ in range(3)]
    places: list[Sequence[tuple[Node, Roots]]] = [
        [(lots, {"n": Sought(feed)}), (limit, {"params": Fixed({"most": Decimal(most)})})]
        for most, feed in zip((10, 20, 30), feeds, strict=True)
    ]
    doubts = [generate_doubt(place) for place in places]

    asked = [
        [doubt(event(lots), {feed: Decimal(6 * (feed is feeds[1])) for feed in feeds}) for doubt in doubts]
        for lots in ("2", "1", "15", "25")
    ]

    assert len({code_of(doubt) for doubt in doubts}) == 1
    assert asked == [[False, True, False], [False, False, False], [True, True, False], [True, True, False]]


@pytest.mark.parametrize("count", [1, MOST_GIVEN - 1, MOST_GIVEN, MOST_GIVEN + 1, 1024])
def test_however_many_constants_there_are_each_stands_in_its_place(count):
    conditions: list[tuple[Node, Roots]] = [(tree(f"event.lots == {number}"), {}) for number in range(count)]
    doubt = generate_doubt(conditions)

    asked = [number for number in range(-1, count + 1) if doubt(event(str(number)), {})]

    assert asked == list(range(count))


def test_code_that_nobody_uses_any_more_is_forgotten():
    first, second = (generate(tree(f"(n + 1) * (n + 2) * (n + 3) > {number}")) for number in (1, 2))
    code = weakref.ref(code_of(first))

    del first
    assert code() is code_of(second)

    del second
    assert code() is None


def test_threads_that_make_one_shape_at_once_answer_alike():
    texts = [f"(n + 7) * (n + 8) * (n - 9) > {number}" for number in range(64)]
    trees = [tree(text) for text in texts]

    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(generate, trees))

    # At 10 the product is 306.
    assert [fast({"n": Decimal(10)}) for fast in made] == [number < 306 for number in range(64)]
    assert [fast({"n": Decimal("9.1")}) for fast in made] == [
        Decimal("27.531") > number for number in range(64)
    ]
