import inspect

import pytest
from unit.expr.world import SCOPE, compiled

import hub.expr
from hub.expr import FUNCTIONS, Kind, Type
from hub.expr.reference import KINDS, OPERATORS, render_reference

# The examples are written for the hub's own roots, which are more than the tests' world has.
SCOPE_OF_EXAMPLES = SCOPE.extended(
    {
        "client": Type(Kind.OBJECT, fields={"consent_marketing": Type(Kind.BOOL)}),
        "event": Type(
            Kind.OBJECT,
            fields={**SCOPE.roots["event"].fields, "side": Type(Kind.STRING), "swap": Type(Kind.MONEY),
                    "login": Type(Kind.NUMBER), "body": Type(Kind.ANY)},
        ),
    }
)  # fmt: skip


@pytest.mark.parametrize("example", [f.example for f in FUNCTIONS.values()] + [row[2] for row in OPERATORS])
def test_every_example_compiles(example):
    assert compiled(example, scope=SCOPE_OF_EXAMPLES).text == example


def test_the_page_names_every_function_kind_and_operator():
    page = render_reference()

    for function in FUNCTIONS.values():
        assert f"### {function.signature}\n\n{function.summary}" in page
    for kind in Kind:
        assert f"| {kind.value} |" in page
    for operators, _, _ in OPERATORS:
        assert f"| `{operators}` |" in page
    assert {kind for kind, _ in KINDS} == set(Kind)


def test_every_table_row_has_the_cells_of_its_head():
    for table in render_reference().split("\n\n"):
        rows = [line for line in table.splitlines() if line.startswith("|")]
        assert len({row.count("|") for row in rows}) <= 1


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)
def test_every_function_is_described_and_takes_what_it_says(function):
    assert function.summary.endswith((".", "`."))
    assert function.example.startswith(function.name) or function.name in function.example
    accepted = inspect.signature(function.run)
    accepted.bind(*[None] * function.fewest)
    accepted.bind(*[None] * (function.most or 9))


def test_the_public_names_are_the_ones_announced():
    assert all(hasattr(hub.expr, name) for name in hub.expr.__all__)
    assert list(hub.expr.__all__) == sorted(hub.expr.__all__, key=lambda name: (not name.isupper(), name))
