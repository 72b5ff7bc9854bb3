"""Two sides that hold the same rows have the same digest, in whatever order, and others have another."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from hub.moving.digest import Digest

VALUES = st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1), st.text(max_size=5), st.binary(max_size=5))
ROWS = st.lists(st.tuples(VALUES, VALUES), max_size=8)


def of(*parts: list[tuple[Any, ...]]) -> tuple[int, str]:
    digest = Digest()
    for rows in parts:
        digest.add(rows)
    return digest.rows, digest.hex


@given(ROWS, st.randoms(use_true_random=False))
def test_the_order_and_the_parts_do_not_matter(rows: list[tuple[Any, ...]], random: Any) -> None:
    shuffled = random.sample(rows, len(rows))
    cut = random.randint(0, len(rows))

    assert of(rows) == of(shuffled[:cut], shuffled[cut:])


@given(ROWS, st.tuples(VALUES, VALUES))
def test_a_row_more_is_seen_although_it_is_there_already(rows: list[tuple[Any, ...]], row: Any) -> None:
    assert of(rows)[1] != of([*rows, row])[1]
    assert of([row, row])[1] != of([])[1]


def test_values_that_look_alike_are_told_apart() -> None:
    alike = [
        (1, "a"),
        ("1", "a"),
        (b"1", "a"),
        (1, b"a"),
        (1, None),
        (1, ""),
        ("1a", ""),
        ("", "1a"),
        (None, 1),
    ]

    assert len({of([row]) for row in alike}) == len(alike)


def test_nothing_is_nothing() -> None:
    assert of([]) == (0, "0" * 64)
