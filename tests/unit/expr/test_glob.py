import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.expr.glob import MAX_PATTERN, MAX_SUBJECT, Glob


def plainly(pattern: str, subject: str) -> bool:
    """Match as the definition says, without any cleverness."""
    if not pattern:
        return not subject
    if pattern[0] == "*":
        return plainly(pattern[1:], subject) or (bool(subject) and plainly(pattern, subject[1:]))
    return bool(subject) and pattern[0] in {"?", subject[0]} and plainly(pattern[1:], subject[1:])


@given(st.text("ab?*", max_size=7), st.text("ab?*", max_size=7))
def test_a_glob_matches_what_its_definition_says(pattern, subject):
    assert Glob(pattern).matches(subject) is plainly(pattern, subject)


@pytest.mark.parametrize(
    ("pattern", "subject", "answer"),
    [
        ("real/*", "real/std", True),
        ("real/*", "Real/std", False),
        ("*", "", True),
        ("", "", True),
        ("", "a", False),
        ("?", "?", True),
        ("?", "", False),
        ("EUR???", "EURUSD", True),
        ("*.pro", "XAUUSD.pro", True),
        ("[ab]", "a", False),
        ("a.c", "abc", False),
    ],
)
def test_globs_of_everyday_use(pattern, subject, answer):
    assert Glob(pattern).matches(subject) is answer


def test_the_worst_pattern_is_no_worse_than_the_text_is_long():
    worst = Glob("*a" * (MAX_PATTERN // 2))

    assert worst.matches("a" * MAX_SUBJECT) is True
    assert worst.matches("a" * 99 + "b" * 1_901) is False


def test_lengths_are_bounded():
    with pytest.raises(ValueError, match="at most"):
        Glob("a" * (MAX_PATTERN + 1))
    with pytest.raises(ValueError, match="not matched"):
        Glob("*").matches("a" * (MAX_SUBJECT + 1))
